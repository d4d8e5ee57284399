"""Every metric of every clip, as tables print it."""

import math
from collections.abc import Iterable

from torch import Tensor

from vsr_adapter.metrics import LPIPS, PSNR, SSIM, ClipMetric, WarpError
from vsr_adapter.report.table import SECONDS, Score
from vsr_adapter.types import Clip


def default_metrics() -> list[ClipMetric]:
    """PSNR, SSIM, LPIPS and E_warp with their defaults."""
    return [PSNR(), SSIM(), LPIPS(), WarpError()]


def score(
    metrics: Iterable[ClipMetric], method: str, video: Tensor, clip: Clip, seconds: float = math.nan
) -> list[Score]:
    """The numbers of a batch.

    Args:
        metrics: by which.
        method: that made the video.
        video: in [0, 1], shape (B, T, 3, H, W).
        clip: the truth.
        seconds: per frame.
    """
    columns = {metric.label: (metric.per_clip(video, clip.hr) * metric.factor).tolist() for metric in metrics}
    columns[SECONDS] = [seconds] * clip.batch_size
    return [Score(name, method, {c: values[i] for c, values in columns.items()}) for i, name in enumerate(clip.name)]
