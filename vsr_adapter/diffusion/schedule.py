"""Schedules: the class that a published config names, and its alpha_t and sigma_t at every training time."""

import inspect
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, SchedulerMixin
from torch import Tensor

from vsr_adapter.backbones.base import PredictionType
from vsr_adapter.errors import UserError

STEP = ("self", "model_output", "timestep", "sample")  # what the loop gives to a scheduler's step


class Schedule(NamedTuple):
    """Tables over the training times, index 0 being the cleanest; each of shape (N,), float32.

    Attributes:
        alpha: of the latents.
        sigma: of the noise.
        times: what the denoiser is told.
    """

    alpha: Tensor
    sigma: Tensor
    times: Tensor


def named_class(config: dict[str, Any]) -> type[SchedulerMixin]:
    """The scheduler class of a config: what its ``_class_name`` says; where it says nothing DDIM, or Euler for a flow.

    Raises:
        UserError: diffusers has no scheduler of that name.
    """
    name = config.get("_class_name")
    if name is None:
        flow = config.get("prediction_type") == "flow_prediction"
        return FlowMatchEulerDiscreteScheduler if flow else DDIMScheduler
    found = getattr(diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, SchedulerMixin)):
        raise UserError(f"_class_name {name}: diffusers has no scheduler of that name; set one that it has")
    return found


def check_step(kind: type[SchedulerMixin]) -> None:
    """Refuses schedulers whose step wants more than the loop knows.

    Raises:
        UserError: such as `CogVideoXDPMScheduler`, which wants its own earlier predictions.
    """
    parameters = inspect.signature(kind.step).parameters.values()
    needed = [one.name for one in parameters if one.default is one.empty and one.kind not in (2, 4)]
    more = [name for name in needed if name not in STEP]
    if more:
        raise UserError(
            f"scheduler {kind.__name__}: its step wants {' and '.join(more)} too, which the loop does not have; set "
            "model.sampling.sampler.scheduler to another, such as the DDIM of its family"
        )


def schedule_of(scheduler: Any, prediction_type: PredictionType) -> Schedule:
    """The tables of a scheduler.

    Variance preserving (epsilon and v): alpha_t = sqrt(alpha_bar_t), sigma_t = sqrt(1 - alpha_bar_t), times are whole.
    Rectified flow: alpha_t = 1 - sigma_t, the time is sigma_t times their number.

    Raises:
        UserError: the class has none for this kind of prediction, or a shift that depends on the size.
    """
    name = type(scheduler).__name__
    if scheduler.config.get("use_dynamic_shifting"):
        raise UserError(
            f"use_dynamic_shifting true: {name} would shift times by the size of the video, and training does not know "
            "it; set a scheduler config with a fixed shift"
        )
    if prediction_type != "flow_prediction":
        if not hasattr(scheduler, "alphas_cumprod"):
            raise UserError(f"scheduler {name}: has no alpha_bar, which {prediction_type} needs; choose one that has")
        alpha_bar = scheduler.alphas_cumprod.float()
        return Schedule(alpha_bar.sqrt(), (1 - alpha_bar).sqrt(), torch.arange(len(alpha_bar)).float())
    number = scheduler.config.num_train_timesteps
    known = inspect.signature(type(scheduler).__init__).parameters
    settings = {key: value for key, value in scheduler.config.items() if key in known}  # it keeps others' too
    if isinstance(scheduler, FlowMatchEulerDiscreteScheduler):
        sigma, times = (
            scheduler.sigmas,
            scheduler.timesteps,
        )  # those of training; `set_timesteps` would shift them again
    elif settings.get("use_flow_sigmas"):
        scheduler.set_timesteps(number)
        sigma = scheduler.sigmas[:number]  # without the final one
        times = sigma * number  # `timesteps` are cut to whole numbers
    else:
        raise UserError(f"scheduler {name}: knows no flow; choose one with use_flow_sigmas, or FlowMatchEuler's")
    sigma = sigma.flip(0).float()
    return Schedule(1 - sigma, sigma, times.flip(0).float())
