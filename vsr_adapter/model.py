"""Backbone + encoder + adapter: condition, loss and sample."""

from fractions import Fraction
from math import gcd
from pathlib import Path
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from vsr_adapter.adapters import Adapter, LinearLinear
from vsr_adapter.adapters.files import load_adapter
from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import (
    ConditionedDenoiser,
    Denoiser,
    ForwardProcess,
    GaussianStart,
    GuidedDenoiser,
    JointDenoiser,
    Sampler,
    Start,
    TimeSteps,
    UniformTimeSteps,
    epsilon_loss,
    prediction_loss,
)
from vsr_adapter.errors import UserError
from vsr_adapter.postprocess import Postprocess, postprocess
from vsr_adapter.seeds import NoiseField, generator
from vsr_adapter.tiles import Tiling
from vsr_adapter.types import Clip, Condition
from vsr_adapter.video.plan import Window, blend_tiles, check_window
from vsr_adapter.video.resize import bicubic_upscale

DEFAULT_TILES = Tiling()


class VSRModel(nn.Module):
    """A frozen backbone told of the low-resolution clip by an adapter.

    Args:
        backbone: frozen UNet and VAE.
        encoder: frozen ViT.
        adapter: the only part that trains; its tokens, in_dim and text_dim must be the encoder's and the UNet's.
        adapter_file: exported adapter to start from (`vsr export`).
        time_steps: which training times a step looks at: recipe A, B or C.
        objective: ``epsilon`` is Eq. 3.4; ``prediction`` the squared error of what the network itself predicts, which
            also teaches at zero terminal SNR (`prediction_loss`).
        sampler: diffusers scheduler and number of steps.
        start: where sampling starts.
        prompt: text whose tokens follow the adapter's; they stand alone where the condition is off.
        negative_prompt: text that guidance leads away from, instead of the null tokens.
        guidance_scale: classifier-free guidance against the null tokens; 1 is none, and one pass a step.
        noise_level: training time of the noise in the low-resolution clip, for backbones that noise it.
        condition: ``on`` uses the adapter's tokens, ``off`` the backbone's null tokens, ``shuffled`` the adapter's with
            their numbers in a fixed wrong order: as large, and meaningless. Attention does not see the order of tokens
            alone.
        scale: upscaling factor.
        window: frames that are sampled together by predict; the adapter's where None.
        overlap: frames that neighbouring windows share, and over which they are blended.
        tiles: how predict cuts frames.
        postprocess: steps after decoding, on whole frames; none where None.
        seed: of all noise.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: FrozenViT,
        adapter: Adapter | None = None,
        adapter_file: Path | None = None,
        time_steps: TimeSteps | None = None,
        objective: Literal["epsilon", "prediction"] = "epsilon",
        sampler: Sampler | None = None,
        start: Start | None = None,
        prompt: str | None = None,
        negative_prompt: str | None = None,
        guidance_scale: float = 1.0,
        noise_level: int = 120,
        condition: Literal["on", "off", "shuffled"] = "on",
        scale: int = 4,
        window: int | None = None,
        overlap: int = 2,
        tiles: Tiling = DEFAULT_TILES,
        postprocess: list[Postprocess] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        self.backbone, self.encoder = backbone, encoder
        unet = backbone.capabilities.unet
        self.adapter = adapter or LinearLinear(8, encoder.tokens, encoder.dim, unet.text_dim)
        self.time_steps = time_steps or UniformTimeSteps()
        self.objective = {"epsilon": epsilon_loss, "prediction": prediction_loss}[objective]
        self.sampler, self.start = sampler or Sampler(), start or GaussianStart()
        if negative_prompt and guidance_scale == 1:
            raise UserError(
                f"negative_prompt {negative_prompt!r}: does nothing at guidance_scale 1; pass --model.guidance_scale 6"
            )
        self.prompt, self.negative_prompt = prompt, negative_prompt
        self.guidance_scale, self.noise_level, self.condition_mode = guidance_scale, noise_level, condition
        self.scale, self.seed = scale, seed
        self.window, self.overlap = window or self.adapter.frames, overlap
        check_window(self.window, overlap)
        self.tiles, self.postprocess = tiles, postprocess or []
        self.process = ForwardProcess(unet.scheduler_config, unet.prediction_type)
        grid = self.sampler.schedule(unet.scheduler_config).timesteps
        self.grid = self.process.index(grid)
        self.check_dimensions()
        self.made_by = None if adapter_file is None else load_adapter(self.adapter, adapter_file)

    @property
    def lr_multiple(self) -> int:
        """Low-resolution height and width must be multiples of this for the backbone to take them."""
        multiple = self.backbone.capabilities.size_multiple
        return multiple // gcd(multiple, self.scale)

    def check_dimensions(self) -> None:
        """The adapter's input is the encoder's output, and its output the UNet's text.

        Raises:
            UserError: they differ.
        """
        text_dim = self.backbone.capabilities.unet.text_dim
        for name, ours, theirs, part in [
            ("tokens", self.adapter.tokens, self.encoder.tokens, "encoder"),
            ("in_dim", self.adapter.in_dim, self.encoder.dim, "encoder"),
            ("text_dim", self.adapter.text_dim, text_dim, "backbone"),
        ]:
            if ours != theirs:
                raise UserError(f"adapter.{name} {ours}: the {part} has {theirs}; set --model.adapter.{name} {theirs}")

    def load(self) -> Self:
        """Reads the frozen weights and encodes the prompts; does nothing the second time."""
        self.backbone.load()
        if not hasattr(self, "prompt_tokens"):
            for name, prompt in [("prompt_tokens", self.prompt), ("negative_tokens", self.negative_prompt)]:
                tokens = self.backbone.unet.prompt_tokens(prompt) if prompt else self.backbone.null_tokens
                self.register_buffer(name, tokens, persistent=False)
        self.encoder.load()
        return self

    def condition(self, lr: Tensor) -> Condition:
        """tau_theta(x_LR) = Adapter(ViT(x_LR)), Eq. 3.2, then the prompt's tokens, where there is one.

        Where the condition is off: the prompt's alone, or the null tokens.

        Args:
            lr: low-resolution video in [0, 1], shape (B, T, 3, h, w).
        """
        prompt = self.get_buffer("prompt_tokens").expand(lr.shape[0], -1, -1)
        if self.condition_mode == "off":
            return Condition(prompt, lr)
        with torch.no_grad():
            features = self.encoder(lr)
        tokens = self.adapter(features)
        if self.condition_mode == "shuffled":
            order = torch.randperm(tokens[0].numel(), generator=generator(self.seed, "shuffled"))
            tokens = tokens.flatten(1)[:, order.to(tokens.device)].view_as(tokens)
        return Condition(torch.cat([tokens, prompt.to(tokens)], dim=1) if self.prompt else tokens, lr)

    def loss(self, clip: Clip, key: tuple[object, ...]) -> Tensor:
        """Eq. 3.4 on latents, of each clip.

        Times and noise are a function of (seed, ``key``, clip name): the same for any batch size, order and
        number of processes.

        Args:
            clip: low and high resolution.
            key: ``("fit", epoch)``, or ``("val",)`` for times and noise that every epoch shares.

        Returns:
            Shape (B,).
        """
        with torch.no_grad():
            z_0 = self.backbone.encode(clip.hr)
        generators = [generator(self.seed, *key, name) for name in clip.name]
        index = torch.stack([self.time_steps.draw(len(self.process), self.grid, one) for one in generators])
        condition = self.condition(clip.lr)
        low_res_noise = torch.stack([torch.randn(clip.lr.shape[1:], generator=one) for one in generators])
        denoise = self.denoiser(condition, low_res_noise)
        losses = []
        for times in index.unbind(1):
            noise = torch.stack([torch.randn(z_0.shape[1:], generator=one) for one in generators])
            losses.append(self.objective(denoise, self.process, z_0, noise.to(z_0), times))
        return torch.stack(losses).mean(dim=0)

    def denoiser(self, condition: Condition, low_res_noise: Tensor, guidance_scale: float = 1.0) -> Denoiser:
        """The backbone told of a clip, guided where ``guidance_scale`` is not 1.

        Args:
            condition: tokens and clean clip.
            low_res_noise: standard normal, shape of the low-resolution clip.
            guidance_scale: see `GuidedDenoiser`.
        """
        low_res = noise_level = None
        if self.backbone.capabilities.unet.needs_low_res:
            noise_level = torch.full((condition.lr.shape[0],), self.noise_level, device=condition.lr.device)
            low_res = self.backbone.unet.noise_low_res(condition.lr, noise_level, low_res_noise.to(condition.lr))
        conditioned = ConditionedDenoiser(self.backbone, condition.tokens, low_res, noise_level)
        if guidance_scale == 1:
            return conditioned
        negative = self.get_buffer("negative_tokens").expand(condition.lr.shape[0], -1, -1)
        return GuidedDenoiser(conditioned, conditioned._replace(tokens=negative), guidance_scale)

    def begin(self, lr: Tensor, fields: list[NoiseField]) -> tuple[Denoiser, Tensor, Any, Tensor]:
        """All that stands before the first step.

        Returns:
            The denoiser of these clips, their first latents, a scheduler and the times left to denoise.
        """
        low_res_noise = noise(fields, lr, "low_res", tuple(lr.shape[2:])).transpose(1, 2)
        denoise = self.denoiser(self.condition(lr), low_res_noise, self.guidance_scale)
        scheduler = self.sampler.schedule(self.backbone.capabilities.unet.scheduler_config)
        z, timesteps = self.start(
            self.backbone, lr, self.scale, scheduler, lambda shape: noise(fields, lr, "start", shape)
        )
        return denoise, z, scheduler, timesteps

    def decode(self, z_0: Tensor, lr: Tensor) -> Tensor:
        """Video of latents and, for VAEs that take it, the clean low-resolution clip."""
        return self.backbone.decode(z_0.to(lr), lr if self.backbone.capabilities.vae.needs_low_res else None)

    def finished(self, video: Tensor, lr: Tensor) -> Tensor:
        """Whole frames after all post-processing, shape (B, T, 3, H, W); ``lr`` has shape (B, T, 3, h, w)."""
        return postprocess(self.postprocess, video, bicubic_upscale(lr, self.scale)) if self.postprocess else video

    @torch.no_grad()
    def sample(self, lr: Tensor, fields: list[NoiseField]) -> Tensor:
        """Upscales clips.

        Args:
            lr: low-resolution video in [0, 1], shape (B, T, 3, h, w); h and w times the scale must be multiples
                of the backbone's ``size_multiple``.
            fields: noise of each clip.

        Returns:
            Video in [0, 1], shape (B, T, 3, h * scale, w * scale).
        """
        denoise, z, scheduler, timesteps = self.begin(lr, fields)
        shape = (z.shape[1], *z.shape[3:])
        z_0 = self.sampler.run(denoise, z, scheduler, timesteps, lambda i: noise(fields, lr, "step", shape, i))
        return self.decode(z_0, lr)

    @torch.no_grad()
    def sample_jointly(
        self, tiles: list[Tensor], fields: list[NoiseField], rows: list[Window], columns: list[Window]
    ) -> Tensor:
        """Upscales a clip whose tiles agree after every step: their predictions are blended in latent space.

        Args:
            tiles: row by row, each in [0, 1], shape (1, T, 3, h, w).
            fields: noise of each tile.
            rows: of the plan, in low-resolution pixels.
            columns: likewise.

        Returns:
            Video in [0, 1], shape (1, T, 3, H * scale, W * scale).
        """
        cells = Fraction(self.scale, self.backbone.capabilities.vae.spatial_factor)
        begun = [self.begin(tile, [field]) for tile, field in zip(tiles, fields, strict=True)]
        _, _, scheduler, timesteps = begun[0]
        # of equal noise, blending leaves the noise as it is
        z = blend_tiles((one[1] for one in begun), rows, columns, cells)
        denoise = JointDenoiser([one[0] for one in begun], rows, columns, cells)
        shape = (z.shape[1], *begun[0][1].shape[3:])

        def steps(i: int) -> Tensor:
            each = (noise([field], tile, "step", shape, i) for field, tile in zip(fields, tiles, strict=True))
            return blend_tiles(each, rows, columns, cells)

        z_0 = self.sampler.run(denoise, z, scheduler, timesteps, steps)
        places = ((row.times(cells), column.times(cells)) for row in rows for column in columns)
        decoded = (
            self.decode(z_0[..., y.start : y.stop, x.start : x.stop], tile)
            for (y, x), tile in zip(places, tiles, strict=True)
        )
        return blend_tiles(decoded, rows, columns, self.scale)

    def made_of(self) -> dict[str, Any]:
        """What an exported adapter says of the stack that made it."""
        capabilities = self.backbone.capabilities
        return {
            "unet": type(self.backbone.unet).__name__,
            "vae": type(self.backbone.vae).__name__,
            "prediction_type": capabilities.unet.prediction_type,
            "encoder": self.encoder.name,
            "time_steps": type(self.time_steps).__name__,
            "scale": self.scale,
            "seed": self.seed,
        }


def noise(fields: list[NoiseField], like: Tensor, kind: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
    """Noise of each clip for one frame's shape (C, h, w): (B, C, T, h, w), on the device of ``like``."""
    return torch.stack([field(kind, shape, step).transpose(0, 1) for field in fields]).to(like)
