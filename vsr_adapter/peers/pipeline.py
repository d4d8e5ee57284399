"""Stable Diffusion's x4 upscaler as diffusers runs it, frame by frame."""

import torch
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.peers.base import Peer
from vsr_adapter.types import Ask


class SDx4Pipeline(Peer):
    """diffusers' `StableDiffusionUpscalePipeline`, with its own defaults (Rombach et al. 2022).

    Every frame starts from the same noise, a function of ``seed`` alone: rows reproduce whatever the clips, and a still
    video stays still.

    Args:
        source: the pipeline's folder, or a Hub id, such as ``stabilityai/stable-diffusion-x4-upscaler``.
        name: row in the table.
        revision: of the Hub repository.
        prompt: text.
        negative_prompt: text that guidance leads away from; None is the empty one.
        steps: of denoising.
        guidance_scale: of classifier-free guidance; up to 1 is none.
        noise_level: training time of the noise in the low-resolution frame.
        seed: of all noise.
        device: where it runs.

    Raises:
        UserError: no such pipeline.
    """

    def __init__(
        self,
        source: str,
        name: str = "SD x4",
        revision: str | None = None,
        prompt: str = "",
        negative_prompt: str | None = None,
        steps: int = 75,
        guidance_scale: float = 9.0,
        noise_level: int = 20,
        seed: int = 0,
        device: str = "cpu",
    ):
        from diffusers import StableDiffusionUpscalePipeline  # here, since it takes seconds
        from diffusers.utils import is_accelerate_available

        sparing = is_accelerate_available()  # the default, which says many lines where it cannot be
        try:
            self.pipeline = StableDiffusionUpscalePipeline.from_pretrained(
                source, revision=revision, low_cpu_mem_usage=sparing
            ).to(device)
        except (OSError, ValueError) as error:
            raise UserError(
                f"{source}: diffusers reads no x4 upscaler from it ({' '.join(str(error).split())[:200]}); name the "
                "folder with model_index.json, or a Hub id"
            ) from error
        most = self.pipeline.config.max_noise_level
        if steps < 1 or not 0 <= noise_level <= most:
            raise UserError(f"steps {steps}, noise_level {noise_level}: must be at least 1, and 0 to {most}; pass such")
        self.pipeline.set_progress_bar_config(disable=True)
        self.settings = {
            "prompt": prompt,
            "negative_prompt": negative_prompt,
            "num_inference_steps": steps,
            "guidance_scale": guidance_scale,
            "noise_level": noise_level,
        }
        self.name, self.seed = name, seed
        self.about = (
            f"{source}{'' if revision is None else f' at {revision}'} by diffusers, prompt {prompt!r}, negative prompt "
            f"{negative_prompt or ''!r}, {type(self.pipeline.scheduler).__name__}, {steps} steps, guidance "
            f"{guidance_scale:g}, noise level {noise_level}, seed {seed}"
        )

    def __call__(self, ask: Ask) -> Tensor:
        """Frame by frame.

        Raises:
            UserError: a size that the pipeline would resize silently, or that it does not enlarge by the scale.
        """
        height, width = ask.lr.shape[-2:]
        factor = self.pipeline.vae_scale_factor
        if factor != ask.scale:
            raise UserError(f"{self.name}: enlarges by {factor}, the test by {ask.scale}; take another")
        if height % factor or width % factor:
            raise UserError(
                f"{self.name}: takes LR whose sides are multiples of {factor}, and would resize {width}x{height}; "
                f"pass a size that is a multiple of {factor * ask.scale}"
            )
        return torch.cat([self.frame(frame[None]) for frame in ask.lr])

    def frame(self, frame: Tensor) -> Tensor:
        """An enlarged frame in [0, 1], shape (1, 3, H, W)."""
        same = torch.Generator().manual_seed(self.seed)
        return self.pipeline(image=frame, generator=same, output_type="pt", **self.settings).images.float().cpu()
