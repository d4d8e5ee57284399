"""The forward process: z_t = alpha_t z_0 + sigma_t epsilon, for every kind of prediction."""

from typing import Any

import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import Tensor

from vsr_adapter.backbones.base import PredictionType


class ForwardProcess:
    """Tables of alpha_t and sigma_t over the training times, index 0 being the cleanest.

    Variance preserving (epsilon and v): alpha_t = sqrt(alpha_bar_t), sigma_t = sqrt(1 - alpha_bar_t).
    Rectified flow: alpha_t = 1 - sigma_t.

    Args:
        scheduler_config: diffusers scheduler config; the betas (or the flow's shift) are read from it.
        prediction_type: what the denoiser predicts.

    Attributes:
        alpha: shape (N,), float32.
        sigma: shape (N,), float32.
        times: what the denoiser is told at each index, shape (N,), float32.
    """

    def __init__(self, scheduler_config: dict[str, Any], prediction_type: PredictionType):
        self.prediction_type = prediction_type
        if prediction_type == "flow_prediction":
            flow = FlowMatchEulerDiscreteScheduler.from_config(scheduler_config)
            self.sigma = flow.sigmas.flip(0).float()
            self.times = flow.timesteps.flip(0).float()
            self.alpha = 1 - self.sigma
        else:
            alpha_bar = DDIMScheduler.from_config(scheduler_config).alphas_cumprod.float()
            self.alpha, self.sigma = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
            self.times = torch.arange(len(alpha_bar)).float()

    def __len__(self) -> int:
        return len(self.times)

    def index(self, time: Tensor) -> Tensor:
        """Index of the training time nearest to each of a sampler's ``time``, shape of ``time``, int64."""
        return (time.float().cpu().reshape(-1, 1) - self.times).abs().argmin(dim=1).reshape(time.shape)

    def coefficients(self, index: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t) of each clip, shaped (B, 1, ..., 1), on the device of ``like``."""
        shape = (-1,) + (1,) * (like.ndim - 1)
        index = index.cpu()
        return self.alpha[index].reshape(shape).to(like.device), self.sigma[index].reshape(shape).to(like.device)

    def noised(self, z_0: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """z_t (Eq. 3.1, on latents: they are what the UNet sees), shape of ``z_0``; ``index`` has shape (B,)."""
        alpha, sigma = self.coefficients(index, z_0)
        return alpha * z_0 + sigma * noise

    def target(self, z_0: Tensor, noise: Tensor, index: Tensor) -> Tensor:
        """What the denoiser should predict at z_t: the noise, v = alpha epsilon - sigma z_0, or the flow."""
        if self.prediction_type == "epsilon":
            return noise
        if self.prediction_type == "v_prediction":
            alpha, sigma = self.coefficients(index, z_0)
            return alpha * noise - sigma * z_0
        return noise - z_0

    def epsilon(self, prediction: Tensor, z_t: Tensor, index: Tensor) -> Tensor:
        """The noise that a prediction implies.

        v = alpha epsilon - sigma z_0, so epsilon = alpha v + sigma z_t; the flow is epsilon - z_0, so
        epsilon = z_t + alpha flow.
        """
        alpha, sigma = self.coefficients(index, z_t)
        if self.prediction_type == "epsilon":
            return prediction
        if self.prediction_type == "v_prediction":
            return alpha * prediction + sigma * z_t
        return z_t + alpha * prediction
