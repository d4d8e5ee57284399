"""The one loop that scores: every method is asked for a clip, and what it gives is checked, timed and measured."""

import math
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

import torch
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.place import check_place
from vsr_adapter.evaluation.table import SECONDS, Score
from vsr_adapter.metrics import LPIPS, PSNR, SSIM, ClipMetric, WarpError
from vsr_adapter.metrics.base import check_video
from vsr_adapter.peers import Peer
from vsr_adapter.types import Trial

TRUTH = "truth"  # the last row of every table


class Evaluated(NamedTuple):
    """What was found of a clip.

    Attributes:
        scores: of every method, in their order, and of the truth, whose E_warp is not 0.
        outputs: by method, video in [0, 1], shape (T, 3, H, W), where the truth is.
    """

    scores: list[Score]
    outputs: dict[str, Tensor]


def default_metrics() -> list[ClipMetric]:
    """PSNR, SSIM, LPIPS and E_warp with their defaults."""
    return [PSNR(), SSIM(), LPIPS(), WarpError()]


def evaluate(methods: Sequence[Peer], metrics: Sequence[ClipMetric], trial: Trial) -> Evaluated:
    """The numbers of a clip, by every method.

    Args:
        methods: of different names.
        metrics: by which, on the device of the clip.
        trial: the clip.

    Raises:
        UserError: with the names of the method and the clip: NaN, infinity or values outside [0, 1], another size,
            another place in space or in time.
    """
    names = [*(method.name for method in methods), TRUTH]
    assert len({*names}) == len(names), f"{names}: rows go by their names"
    scores: list[Score] = []
    outputs: dict[str, Tensor] = {}
    for method in methods:
        start = now(trial.truth.device)
        with torch.no_grad():
            video = method(trial.ask).float()
        seconds = (now(video.device) - start) / len(video) if method.timed else math.nan
        video = video.to(trial.truth.device)
        check(method.name, video, trial)
        scores.append(score(method.name, video, metrics, trial, seconds))
        outputs[method.name] = video
    return Evaluated([*scores, score(TRUTH, trial.truth, metrics, trial)], outputs)


def now(device: torch.device) -> float:
    """Seconds, when the device has done what it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def check(name: str, video: Tensor, trial: Trial) -> None:
    """Refuses what is no answer to what was asked.

    Raises:
        UserError: as `evaluate`.
    """
    who, truth = f"{name}, {trial.ask.name}", trial.truth
    check_video(who, video[None])
    if video.shape != truth.shape:
        raise UserError(f"{who}: gives {tuple(video.shape)}, the truth is {tuple(truth.shape)}; mend it")
    if trial.source.placed:
        check_place(who, video.cpu(), truth.cpu(), trial.ask.lr.cpu())


def score(name: str, video: Tensor, metrics: Sequence[ClipMetric], trial: Trial, seconds: float = math.nan) -> Score:
    """A video (T, 3, H, W) by every metric, as tables print it; those of single frames see the scored ones alone."""
    values = {}
    for metric in metrics:
        seen = trial.scored if metric.min_frames == 1 else slice(None)
        number = metric.per_clip(video[None, seen], trial.truth[None, seen])
        values[metric.label] = (number * metric.factor).item()
    return Score(trial.ask.name, name, {**values, SECONDS: seconds})
