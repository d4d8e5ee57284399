"""The forward process: z_t = alpha_t z_0 + sigma_t epsilon, for every kind of prediction."""

from typing import Any

from torch import Tensor

from vsr_adapter.backbones.base import PredictionType
from vsr_adapter.diffusion.schedule import named_class, schedule_of
from vsr_adapter.errors import UserError

CLOSE = 0.02  # of sigma: others end at alpha_bar 6e-8 where zero is asked for, and space flows by one time more


class ForwardProcess:
    """alpha_t and sigma_t over the training times, index 0 being the cleanest, of the class that the config names.

    Args:
        scheduler_config: diffusers scheduler config of the backbone's training.
        prediction_type: what the denoiser predicts.

    Attributes:
        alpha: shape (N,), float32.
        sigma: shape (N,), float32.
        times: what the denoiser is told at each index, shape (N,), float32.
        kind: class of the scheduler.

    Raises:
        UserError: a schedule that training cannot follow.
    """

    def __init__(self, scheduler_config: dict[str, Any], prediction_type: PredictionType):
        self.prediction_type = prediction_type
        self.kind = named_class({"prediction_type": prediction_type, **scheduler_config})
        self.alpha, self.sigma, self.times = schedule_of(self.kind.from_config(scheduler_config), prediction_type)

    def __len__(self) -> int:
        return len(self.times)

    def index(self, time: Tensor) -> Tensor:
        """Index of the training time nearest to each of a sampler's ``time``, shape of ``time``, int64."""
        return (time.float().cpu().reshape(-1, 1) - self.times).abs().argmin(dim=1).reshape(time.shape)

    def visited(self, scheduler: Any) -> Tensor:
        """Index of the training time nearest to each that a scheduler visits, shape (steps,), int64.

        By sigma for a flow: some cut its times to whole numbers.
        """
        steps = len(scheduler.timesteps)
        return self.index(scheduler.sigmas[:steps] * len(self) if self.flow else scheduler.timesteps)

    @property
    def flow(self) -> bool:
        """Whether the path is straight."""
        return self.prediction_type == "flow_prediction"

    def check(self, scheduler: Any) -> None:
        """Refuses a scheduler of another class that would not walk down this schedule.

        Args:
            scheduler: of the class and the options that the user chose.

        Raises:
            UserError: with its alpha_bar or sigma in the middle, and ours.
        """
        theirs = schedule_of(scheduler, self.prediction_type).sigma
        if len(theirs) == len(self) and (theirs - self.sigma).abs().max() < CLOSE:
            return
        raise UserError(
            f"scheduler {type(scheduler).__name__}: its sigma is {theirs[len(theirs) // 2]:.3f} in the middle, the "
            f"backbone was trained with {self.sigma[len(self) // 2]:.3f}; leave it out, or set its options"
        )

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
