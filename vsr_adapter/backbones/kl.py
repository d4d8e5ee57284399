"""Stable Diffusion's KL autoencoder, diffusers'."""

from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from vsr_adapter.backbones.base import VAECapabilities, VAEPart
from vsr_adapter.backbones.loading import DIFFUSERS_WEIGHTS, published_config, published_network
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision


def attention_name(name: str) -> str:
    """Today's name of a tensor in a file from before diffusers renamed the attention of its mid block."""
    for old, new in [("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")]:
        name = name.replace(f".attentions.0.{old}.", f".attentions.0.{new}.")
    return name


class KLVAE(VAEPart):
    """diffusers' `AutoencoderKL`, applied frame by frame.

    Args:
        source: a published folder or its ``vae/``, a Hub id, or a file of weights; None builds random weights.
        revision: of the Hub repository.
        config: `AutoencoderKL`'s arguments; read from ``source`` where None, and needed for single files.
        chunk: frames that are encoded or decoded at once; bounds the memory, changes nothing.
        seed: of random weights.
        precision: of the weights.
    """

    def __init__(
        self,
        source: str | None = None,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
        chunk: int = 8,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        if chunk < 1:
            raise UserError(f"chunk {chunk}: at least 1 frame is decoded at once; pass a positive chunk")
        self.source, self.revision, self.seed, self.precision = source, revision, seed, precision
        self.chunk = chunk
        self.config = published_config(source, "vae", "config.json", revision, config)

    @property
    def capabilities(self) -> VAECapabilities:
        """Read from the config."""
        levels = len(self.config.get("block_out_channels", (64,)))
        return VAECapabilities(latent_channels=self.config.get("latent_channels", 4), spatial_factor=2 ** (levels - 1))

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.network = published_network(
            lambda: AutoencoderKL.from_config(self.config), self.source, "vae", DIFFUSERS_WEIGHTS, self.revision,
            self.seed, self.precision, attention_name,
        )  # fmt: skip

    def encode(self, video: Tensor) -> Tensor:
        """Posterior mode x scaling factor, frame by frame."""
        batch = video.shape[0]
        pixels = (video * 2 - 1).flatten(0, 1).to(self.network.dtype)
        modes = [self.network.encode(frames).latent_dist.mode() for frames in pixels.split(self.chunk)]
        z = torch.cat(modes) * self.network.config.scaling_factor
        return z.unflatten(0, (batch, -1)).transpose(1, 2).to(video.dtype)

    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video in [0, 1], frame by frame."""
        batch = z.shape[0]
        latents = (z.transpose(1, 2).flatten(0, 1) / self.network.config.scaling_factor).to(self.network.dtype)
        pixels = torch.cat([self.network.decode(frames).sample for frames in latents.split(self.chunk)])
        return ((pixels.to(z.dtype) + 1) / 2).clamp(0, 1).unflatten(0, (batch, -1))
