"""Upscale-A-Video's networks behind the protocol: ranges, layouts, scaling factor and schedules."""

from typing import Any, ClassVar

import torch
from torch import Tensor

from vsr_adapter.assets import shipped
from vsr_adapter.backbones.base import VAECapabilities, VAEPart
from vsr_adapter.backbones.loading import published_config, published_network
from vsr_adapter.backbones.published import NoisedLowResUNet, given
from vsr_adapter.backbones.upscale_a_video.unet import UpscaleUNet
from vsr_adapter.backbones.upscale_a_video.vae import VideoVAE
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision, channels_last
from vsr_adapter.types import Condition


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


class UpscaleUNetPart(NoisedLowResUNet):
    """The "upscale" UNet: Upscale-A-Video's, and LaVie's, which is the same under other names."""

    config_name = "unet_video_config.json"
    weight_names: ClassVar[list[str]] = ["unet_video.safetensors", "unet_video.bin"]

    def make(self) -> UpscaleUNet:
        """Of the published config."""
        return UpscaleUNet.from_config(self.config)

    def published_name(self, name: str) -> str:
        """LaVie's names, translated."""
        return lavie_names(name)

    def build(self) -> None:
        """As published; on a CPU laid out so that a step on one thread takes .8 of the time (on two, the same)."""
        super().build()
        if not torch.cuda.is_available():
            channels_last(self.network)

    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """v, shape of ``z_t``; ``low_res`` is that of `noise_low_res`."""
        assert condition.low_res is not None  # Backbone.denoise has seen to it
        low_res = condition.low_res.transpose(1, 2)
        return self.network(z_t, t, condition.tokens, low_res, given(condition.noise_level), condition.own)


class VideoVAEPart(VAEPart):
    """Upscale-A-Video's autoencoder, f4; its norms pool over the frames that are decoded together.

    Decoding takes memory in proportion to the frames decoded together: the full-width SFT decoder was measured at
    0.48 GB a frame of 320x320 on top of its weights (float32, CPU).

    Args:
        source: Upscale-A-Video's folder (with ``vae/``), a Hub id, a file of weights, or ``mini`` for the shipped
            ones; None builds random ones.
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
        source = shipped(source)
        self.source, self.revision, self.seed, self.precision = source, revision, seed, precision
        self.name = "vae_video" if sft else "vae_3d"
        self.chunk, self.sft_weight = chunk, sft_weight
        config = published_config(source, "vae", f"{self.name}_config.json", revision, config)
        self.config: dict[str, Any] = config or {"condition_img": sft}
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
        names = [f"{self.name}.safetensors", f"{self.name}.bin"]
        self.network = published_network(
            lambda: VideoVAE.from_config(self.config), self.source, "vae", names, self.revision, self.seed,
            self.precision,
        )  # fmt: skip
        if not torch.cuda.is_available():  # measured on a CPU: decodes 1.2 times as fast
            channels_last(self.network)

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
