"""Class paths that no package should hold: post-processing that spoils a video, and a metric of a user's own."""

import torch
from torch import Tensor

from vsr_adapter.metrics.base import FrameMetric
from vsr_adapter.postprocess.base import Postprocess


class Rolled(Postprocess):
    """Bicubic, two pixels to the left."""

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        return style.roll(-2, dims=-1)


class Late(Postprocess):
    """Bicubic, a frame later."""

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        return torch.cat([style[:, :1], style[:, :-1]], dim=1)


class Cropped(Postprocess):
    """Too narrow."""

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        return video[..., 4:]


class Nan(Postprocess):
    """One pixel of one frame is no number."""

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        spoilt = video.clone()
        spoilt[0, -1, 0, 0, 0] = torch.nan
        return spoilt


class Darkness(FrameMetric):
    """How much darker than the truth, in 8-bit levels."""

    title = "darkness"
    factor = 255

    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (target - prediction).mean()
