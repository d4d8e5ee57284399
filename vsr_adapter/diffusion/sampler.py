"""Sampling with diffusers' schedulers."""

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from diffusers import DDIMScheduler, DDPMScheduler, SchedulerMixin
from torch import Tensor

from vsr_adapter.diffusion.denoiser import Denoiser
from vsr_adapter.diffusion.process import ForwardProcess
from vsr_adapter.diffusion.schedule import check_step, named_class
from vsr_adapter.errors import UserError


class Sampler:
    """A diffusers scheduler and a number of steps.

    Args:
        scheduler: class of the scheduler; betas, spacing and prediction type are the backbone's. None takes the class
            that the backbone's config names, DDIM where it names none. ``DDPMScheduler``, chosen or named, runs as DDIM
            with eta 1.
        steps: denoising steps (the thesis: 30).
        eta: DDIM's noise in each step, 0 to 1; 0 is deterministic.
        options: entries that replace those of the backbone's scheduler config.

    Raises:
        UserError: ``steps`` is not positive, ``eta`` not in [0, 1], or a scheduler that the loop cannot call.
    """

    def __init__(
        self,
        scheduler: type[SchedulerMixin] | None = None,
        steps: int = 30,
        eta: float = 0.0,
        options: dict[str, Any] | None = None,
    ):
        if steps < 1:
            raise UserError(f"steps {steps}: sampling takes at least 1 step; pass --steps 1 or more")
        if not 0 <= eta <= 1:
            raise UserError(f"eta {eta}: DDIM's eta lies in [0, 1]; pass --model.sampling.sampler.eta 0")
        if scheduler is not None:
            check_step(scheduler)
        self.scheduler, self.steps, self.eta, self.options = scheduler, steps, eta, options or {}

    def schedule(self, scheduler_config: dict[str, Any]) -> Any:
        """A new scheduler with its timesteps set; schedulers keep state, so each clip needs its own.

        Raises:
            UserError: more steps than training times, or a scheduler that the loop cannot call.
        """
        scheduler = self.untimed(scheduler_config)
        if self.steps > scheduler.config.num_train_timesteps:
            raise UserError(
                f"steps {self.steps}: the backbone has {scheduler.config.num_train_timesteps} training times; "
                f"pass --steps {scheduler.config.num_train_timesteps} or less"
            )
        scheduler.set_timesteps(self.steps)
        return scheduler

    def untimed(self, scheduler_config: dict[str, Any]) -> Any:
        """The scheduler before its timesteps are set."""
        kind = self.scheduler or named_class(scheduler_config)
        check_step(kind)
        config = {**scheduler_config, **self.options}
        if not issubclass(kind, DDPMScheduler):
            return kind.from_config(config)
        # the same chain (DDIM paper, section 4.1), and DDPMScheduler.step takes no noise from outside
        scheduler = DDIMScheduler.from_config(config)
        scheduler.eta = 1.0
        return scheduler

    def describe(self, scheduler_config: dict[str, Any]) -> str:
        """Class, steps and eta in words."""
        scheduler = self.untimed(scheduler_config)
        return f"{type(scheduler).__name__}, {self.steps} steps, eta {getattr(scheduler, 'eta', self.eta):g}"

    def check(self, process: ForwardProcess, scheduler_config: dict[str, Any]) -> None:
        """Refuses a class that would not walk down the schedule that the backbone was trained with.

        Raises:
            UserError: such as DDIM for CogVideoX's, or Euler for Wan's, whose shifts they ignore.
        """
        if (self.scheduler or named_class(scheduler_config)) is not process.kind:
            process.check(self.untimed(scheduler_config))

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
        eta = getattr(scheduler, "eta", self.eta)
        stochastic = eta > 0 or str(scheduler.config.get("algorithm_type", "")).startswith("sde")
        z = z.float()
        for i, t in enumerate(timesteps):
            prediction = denoise(scheduler.scale_model_input(z, t) if hasattr(scheduler, "scale_model_input") else z, t)
            extra: dict[str, Any] = {"eta": eta} if "eta" in takes else {}
            if stochastic and "variance_noise" in takes:
                extra["variance_noise"] = noise(i)
            z = scheduler.step(prediction.float(), t, z, **extra).prev_sample
        return z
