"""Where sampling starts (section 4.1.3 of the thesis)."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vsr_adapter.backbones.base import Backbone
from vsr_adapter.diffusion.process import ForwardProcess
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_upscale

Noise = Callable[[tuple[int, int, int, int]], Tensor]
"""Standard normal noise (B, C, T, h, w) for a clip's shape (C, T, h, w), of latents or of pixels."""


class Start(ABC):
    """Initial latents and the times left to denoise."""

    @abstractmethod
    def __call__(
        self, backbone: Backbone, lr: Tensor, scale: int, scheduler: Any, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Latents at the first time, and the times.

        Args:
            backbone: encodes, where that is wanted.
            lr: low-resolution video in [0, 1], shape (B, T, 3, h, w).
            scale: upscaling factor.
            scheduler: a diffusers scheduler with its timesteps set.
            noise: source of noise.

        Returns:
            Latents of shape (B, C, T, h', w'), and timesteps of shape (steps,), descending.
        """


def output_size(lr: Tensor, scale: int) -> tuple[int, int, int]:
    """Frames, height and width of the upscaled video."""
    return lr.shape[1], lr.shape[-2] * scale, lr.shape[-1] * scale


def first_sigma(scheduler: Any) -> float:
    """Of the noise at the first time, in the scheduler's terms; those of flows do not name it."""
    return getattr(scheduler, "init_noise_sigma", 1.0)


class GaussianStart(Start):
    """Gaussian noise in latent space: the standard, and the thesis's smoother choice."""

    def __call__(
        self, backbone: Backbone, lr: Tensor, scale: int, scheduler: Any, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Noise times the scheduler's initial sigma, and all times."""
        z = noise(backbone.capabilities.latent_shape(*output_size(lr, scale)))
        return z * first_sigma(scheduler), scheduler.timesteps


class EncodedNoiseStart(Start):
    """Gaussian noise in pixels, passed through the VAE: the thesis's sharper and noisier choice (4.1.3).

    The noise stands in the VAE's own range [-1, 1], unclipped; the latents are the posterior mode times the
    scaling factor.
    """

    @torch.no_grad()
    def __call__(
        self, backbone: Backbone, lr: Tensor, scale: int, scheduler: Any, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Encoded noise, and all times."""
        pixels = noise((3, *output_size(lr, scale))).transpose(1, 2)
        return backbone.encode((pixels + 1) / 2) * first_sigma(scheduler), scheduler.timesteps


class NoisedLowResStart(Start):
    """The bicubically upscaled clip, encoded and noised to a chosen time (SDEdit, Meng et al. 2022).

    The only start that carries structure to a UNet that does not see the low-resolution clip.

    Args:
        strength: fraction of the training times from which to denoise, in (0, 1]; 1 is nearly pure noise.
    """

    def __init__(self, strength: float = 0.5):
        if not 0 < strength <= 1:
            raise UserError(f"strength {strength}: a fraction of the training times in (0, 1]; pass 0.5")
        self.strength = strength

    @torch.no_grad()
    def __call__(
        self, backbone: Backbone, lr: Tensor, scale: int, scheduler: Any, noise: Noise
    ) -> tuple[Tensor, Tensor]:
        """Noised latents, and the scheduler's times that are not later."""
        unet = backbone.capabilities.unet
        process = ForwardProcess(unet.scheduler_config, unet.prediction_type)
        index = process.visited(scheduler)
        kept = index < self.strength * len(process)
        if not kept.any():
            raise UserError(
                f"strength {self.strength}: no sampling time is that early with {len(index)} steps; "
                "pass more --steps or a larger strength"
            )
        z_0 = backbone.encode(bicubic_upscale(lr, scale))
        first = index[kept][:1].expand(z_0.shape[0])
        z = process.noised(z_0, noise(backbone.capabilities.latent_shape(*output_size(lr, scale))), first)
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(int((~kept).sum()))
        return z, scheduler.timesteps[kept]
