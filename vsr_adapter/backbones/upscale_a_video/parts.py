"""Upscale-A-Video's networks behind the protocol: ranges, layouts, scaling factor and schedules."""

from typing import Any

import torch
from diffusers import DDPMScheduler
from torch import Tensor

from vsr_adapter.backbones.base import UNetCapabilities, UNetPart, VAECapabilities, VAEPart
from vsr_adapter.backbones.loading import load_network, read_json, required
from vsr_adapter.backbones.upscale_a_video.unet import UpscaleUNet
from vsr_adapter.backbones.upscale_a_video.vae import VideoVAE
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision, random_weights

# of stacks of our own, with random weights: published ones bring theirs
OWN_SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
}
OWN_LOW_RES_SCHEDULE = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}


def lavie_names(name: str) -> str:
    """LaVie's state-dict names as Upscale-A-Video's."""
    for theirs, ours in [
        ("down_temporal_blocks", "down_temp_blocks"),
        ("up_temporal_blocks", "up_temp_blocks"),
        ("mid_temporal_block", "mid_temp_block"),
        ("resblocks_3d_t.", "resblocks_3d_temporal."),
        ("resblocks_3d_s.", "resblocks_3d_spatial."),
    ]:
        name = name.replace(theirs, ours)
    return name


class UpscaleUNetPart(UNetPart):
    """The "upscale" UNet: sees the low-resolution clip, noised by its own schedule, beside the latents.

    Args:
        source: Upscale-A-Video's folder (with ``unet/``, ``scheduler/``, ``low_res_scheduler/``), a Hub id, or a
            single file of weights (LaVie's ``lavie_vsr.pt`` as well); None builds random weights.
        revision: of the Hub repository.
        config: as published; for random weights and single files.
        scheduler: diffusers scheduler config; read from ``source`` where None, and needed for single files.
        low_res_scheduler: that of the low-resolution clip's noise, likewise.
        text_length: tokens of the text encoder.
        seed: of random weights.
        precision: of the weights.
    """

    def __init__(
        self,
        source: str | None = None,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        low_res_scheduler: dict[str, Any] | None = None,
        text_length: int = 77,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        self.source, self.revision, self.seed, self.precision = source, revision, seed, precision
        self.text_length = text_length
        if source is None:
            scheduler, low_res_scheduler = scheduler or OWN_SCHEDULE, low_res_scheduler or OWN_LOW_RES_SCHEDULE
        elif config is None and not source.endswith((".pt", ".bin", ".safetensors")):
            config = read_json(required(source, "unet", ["unet_video_config.json"], revision))
        self.config = config or {}
        self.scheduler = scheduler or self.schedule("scheduler")
        self.low_res_scheduler = low_res_scheduler or self.schedule("low_res_scheduler")

    def schedule(self, part: str) -> dict[str, Any]:
        """A published scheduler config.

        Raises:
            UserError: it is not in ``source``.
        """
        assert self.source is not None
        return read_json(required(self.source, part, ["scheduler_config.json"], self.revision))

    @property
    def capabilities(self) -> UNetCapabilities:
        """Read from the config."""
        return UNetCapabilities(
            latent_channels=self.config.get("out_channels", 4),
            latent_multiple=1,  # upsampling goes to the size of the next skip
            native_window=8,
            text_dim=self.config.get("cross_attention_dim", 1024),
            text_length=self.text_length,
            prediction_type=self.scheduler.get("prediction_type", "epsilon"),
            scheduler_config=self.scheduler,
            needs_low_res=True,
            latent_factor=4,
        )

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.low_res_process = DDPMScheduler.from_config(self.low_res_scheduler)
        if self.source is None:
            with random_weights(self.seed):
                self.network = UpscaleUNet.from_config(self.config).to(getattr(torch, self.precision))
            return
        path = required(self.source, "unet", ["unet_video.safetensors", "unet_video.bin"], self.revision)
        self.network = load_network(lambda: UpscaleUNet.from_config(self.config), path, self.precision, lavie_names)

    def noise_low_res(self, low_res: Tensor, noise_level: Tensor | None, noise: Tensor) -> Tensor:
        """The clip in [-1, 1], noised by its own schedule at ``noise_level``; shape (B, T, 3, h, w)."""
        if noise_level is None:
            raise UserError("noise_level is None: this UNet takes a noised low-resolution clip; pass noise_level")
        return self.low_res_process.add_noise(low_res * 2 - 1, noise, noise_level)

    def denoise(
        self, z_t: Tensor, t: Tensor, tokens: Tensor, low_res: Tensor | None = None, noise_level: Tensor | None = None
    ) -> Tensor:
        """v, shape of ``z_t``; ``low_res`` is that of `noise_low_res`."""
        assert low_res is not None  # Backbone.denoise has seen to it
        if noise_level is None:
            raise UserError("noise_level is None: this UNet takes a noised low-resolution clip; pass noise_level")
        return self.network(z_t, t, tokens, low_res.transpose(1, 2), noise_level)


class VideoVAEPart(VAEPart):
    """Upscale-A-Video's autoencoder, f4; its norms pool over the frames that are decoded together.

    Decoding takes memory in proportion to the frames decoded together: the full-width SFT decoder was measured at
    0.48 GB a frame of 320x320 on top of its weights (float32, CPU).

    Args:
        source: Upscale-A-Video's folder (with ``vae/``), a Hub id, or a file of weights; None builds random ones.
        sft: which of the folder's two: ``vae_video`` with SFT, or ``vae_3d`` without.
        revision: of the Hub repository.
        config: as published; for random weights and single files.
        chunk: frames decoded at once; None decodes all together. The public pipeline uses 3; other chunks give
            other results, since norms pool over them.
        sft_weight: strength of the fusion with the low-resolution clip.
        seed: of random weights.
        precision: of the weights.
    """

    def __init__(
        self,
        source: str | None = None,
        sft: bool = True,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
        chunk: int | None = None,
        sft_weight: float = 1.0,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        if chunk is not None and chunk < 1:
            raise UserError(f"chunk {chunk}: at least 1 frame is decoded at once; pass a positive chunk or null")
        self.source, self.revision, self.seed, self.precision = source, revision, seed, precision
        self.name = "vae_video" if sft else "vae_3d"
        self.chunk, self.sft_weight = chunk, sft_weight
        if source is not None and config is None and not source.endswith((".pt", ".bin", ".safetensors")):
            config = read_json(required(source, "vae", [f"{self.name}_config.json"], revision))
        self.config: dict[str, Any] = {"condition_img": sft} if config is None else config
        self.scaling_factor = self.config.get("scaling_factor", 0.08333)

    @property
    def capabilities(self) -> VAECapabilities:
        """Read from the config."""
        levels = len(self.config.get("block_out_channels", (128, 256, 512)))
        return VAECapabilities(
            latent_channels=self.config.get("latent_channels", 4),
            spatial_factor=2 ** (levels - 1),
            needs_low_res=bool(self.config.get("condition_img", False)),
        )

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        if self.source is None:
            with random_weights(self.seed):
                self.network = VideoVAE.from_config(self.config).to(getattr(torch, self.precision))
            return
        path = required(self.source, "vae", [f"{self.name}.safetensors", f"{self.name}.bin"], self.revision)
        self.network = load_network(lambda: VideoVAE.from_config(self.config), path, self.precision)

    def encode(self, video: Tensor) -> Tensor:
        """Posterior mode x scaling factor, of all frames together."""
        dtype = self.network.quant_conv.weight.dtype
        mean, _ = self.network.encode_moments((video * 2 - 1).transpose(1, 2).to(dtype))
        return (mean * self.scaling_factor).to(video.dtype)

    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video in [0, 1]; ``low_res`` is the clean clip in [0, 1], for SFT."""
        dtype = self.network.quant_conv.weight.dtype
        latents = (z / self.scaling_factor).to(dtype)
        clip = None if low_res is None else (low_res * 2 - 1).transpose(1, 2).to(dtype)
        chunk = self.chunk or z.shape[2]
        parts = [
            self.network.decode(
                latents[:, :, start : start + chunk],
                None if clip is None else clip[:, :, start : start + chunk],
                self.sft_weight,
            )
            for start in range(0, z.shape[2], chunk)
        ]
        return ((torch.cat(parts, 2).to(z.dtype) + 1) / 2).clamp(0, 1).transpose(1, 2)
