"""Sampling with diffusers' schedulers."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, SchedulerMixin
from torch import Tensor

from vsr_adapter.diffusion.denoiser import Denoiser
from vsr_adapter.errors import UserError


class Sampler:
    """A diffusers scheduler and a number of steps.

    Args:
        scheduler: class of the scheduler; betas, spacing and prediction type are the backbone's.
        steps: denoising steps (the thesis: 30).
        eta: DDIM's noise in each step, 0 to 1; 0 is deterministic.
        options: entries that replace those of the backbone's scheduler config.

    Raises:
        UserError: ``steps`` is not positive, or ``eta`` not in [0, 1].
    """

    def __init__(
        self,
        scheduler: type[SchedulerMixin] = DDIMScheduler,
        steps: int = 30,
        eta: float = 0.0,
        options: dict[str, Any] | None = None,
    ):
        if steps < 1:
            raise UserError(f"steps {steps}: sampling takes at least 1 step; pass --steps 1 or more")
        if not 0 <= eta <= 1:
            raise UserError(f"eta {eta}: DDIM's eta lies in [0, 1]; pass --model.sampling.sampler.eta 0")
        if issubclass(scheduler, DDPMScheduler):
            # the same chain (DDIM paper, section 4.1), and DDPMScheduler.step takes no noise from outside
            scheduler, eta = DDIMScheduler, 1.0
        self.scheduler, self.steps, self.eta, self.options = scheduler, steps, eta, options or {}

    def schedule(self, scheduler_config: dict[str, Any]) -> Any:
        """A new scheduler with its timesteps set; schedulers keep state, so each clip needs its own.

        Raises:
            UserError: more steps than training times.
        """
        scheduler = self.scheduler.from_config({**scheduler_config, **self.options})
        if self.steps > scheduler.config.num_train_timesteps:
            raise UserError(
                f"steps {self.steps}: the backbone has {scheduler.config.num_train_timesteps} training times; "
                f"pass --steps {scheduler.config.num_train_timesteps} or less"
            )
        scheduler.set_timesteps(self.steps)
        return scheduler

    @torch.no_grad()
    def run(
        self, denoise: Denoiser, z: Tensor, scheduler: Any, timesteps: Tensor, noise: Callable[[int], Tensor]
    ) -> Tensor:
        """Denoises ``z`` along ``timesteps``.

        Args:
            denoise: predicts on (z_t, t).
            z: latents at ``timesteps[0]``, shape (B, C, T, h, w).
            scheduler: of `schedule`.
            timesteps: descending times, the scheduler's or the tail of them.
            noise: standard normal of step i, shape of ``z``; asked for only by stochastic samplers.

        Returns:
            z_0, shape of ``z``, in float32.
        """
        takes = signature(scheduler.step).parameters
        stochastic = self.eta > 0 or str(scheduler.config.get("algorithm_type", "")).startswith("sde")
        z = z.float()
        for i, t in enumerate(timesteps):
            prediction = denoise(scheduler.scale_model_input(z, t) if hasattr(scheduler, "scale_model_input") else z, t)
            extra: dict[str, Any] = {"eta": self.eta} if "eta" in takes else {}
            if stochastic and "variance_noise" in takes:
                extra["variance_noise"] = noise(i)
            z = scheduler.step(prediction.float(), t, z, **extra).prev_sample
        return z
