"""Every metric of every clip, as tables print it."""

import math
from collections.abc import Iterable

from torch import Tensor

from vsr_adapter.evaluation.table import SECONDS, Score
from vsr_adapter.metrics import LPIPS, PSNR, SSIM, ClipMetric, WarpError
from vsr_adapter.metrics.base import check_video
from vsr_adapter.types import Clip

EVERY_FRAME = slice(None)


def default_metrics() -> list[ClipMetric]:
    """PSNR, SSIM, LPIPS and E_warp with their defaults."""
    return [PSNR(), SSIM(), LPIPS(), WarpError()]


def score(
    metrics: Iterable[ClipMetric],
    method: str,
    video: Tensor,
    clip: Clip,
    seconds: float = math.nan,
    scored: slice = EVERY_FRAME,
) -> list[Score]:
    """The numbers of a batch.

    Args:
        metrics: by which.
        method: that made the video.
        video: in [0, 1], shape (B, T, 3, H, W).
        clip: the truth.
        seconds: per frame.
        scored: frames that metrics of single frames see; those of neighbouring frames see all.

    Raises:
        UserError: NaN, infinity or values outside [0, 1], with the name of the method and the clip; another size.
    """
    for name, one in zip(clip.name, video, strict=True):
        check_video(f"{method}, {name}", one[None])
    columns = {}
    for metric in metrics:
        seen = scored if metric.min_frames == 1 else EVERY_FRAME
        columns[metric.label] = (metric.per_clip(video[:, seen], clip.hr[:, seen]) * metric.factor).tolist()
    columns[SECONDS] = [seconds] * clip.batch_size
    return [Score(name, method, {c: values[i] for c, values in columns.items()}) for i, name in enumerate(clip.name)]
