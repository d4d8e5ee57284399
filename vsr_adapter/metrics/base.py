"""What all metrics share: what they accept, and how clips are averaged."""

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from vsr_adapter.errors import UserError


def check_video(name: str, video: Tensor) -> None:
    """Refuses what is no video.

    Args:
        name: what it is, for the message.
        video: shape (B, T, 3, H, W).

    Raises:
        UserError: another shape, whole numbers, NaN, infinity, or values outside [0, 1].
    """
    if video.ndim != 5 or video.shape[2] != 3:
        raise UserError(f"{name} of shape {tuple(video.shape)}: metrics take (B, T, 3, H, W); permute or unsqueeze it")
    if not video.is_floating_point():
        raise UserError(f"{name} is {video.dtype}: metrics take floats in [0, 1]; divide it by 255")
    low, high = (value.item() for value in video.aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(f"{name} holds NaN or infinity: metrics take finite video in [0, 1]; mend what made it")
    if low < 0 or high > 1:
        raise UserError(f"{name} spans [{low:.4g}, {high:.4g}]: metrics take video in [0, 1]; scale or clamp it before")


class ClipMetric(Metric, ABC):
    """A number per clip, averaged over the clips of all updates and all processes.

    The states are a sum and a count in float64 and int64, so that batches of any size, in any order, on any number of
    processes give the same mean.

    Args:
        rounded: whether both sides are rounded to 8 bit first, as they would be in a PNG.
        border: pixels cut from each side before anything is computed.
        kwargs: of torchmetrics' `Metric`.

    Attributes:
        factor: tables print the value times this.
        planes: that are compared.
        min_frames: of a clip.
        min_side: smallest height and width that can be scored, in pixels.
    """

    is_differentiable = False
    full_state_update = False
    factor: float = 1
    planes: str = "RGB"
    min_frames = 1
    min_side = 1
    total: Tensor
    clips: Tensor

    def __init__(self, rounded: bool = True, border: int = 0, **kwargs: Any):
        super().__init__(**kwargs)
        if border < 0:
            raise UserError(f"border {border}: pixels to cut from each side; pass 0 or more")
        self.rounded, self.border = rounded, border
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("clips", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @property
    @abstractmethod
    def title(self) -> str:
        """The name, with what else changes the number."""

    @property
    def label(self) -> str:
        """Head of the column in a table, such as ``E_warp[DIS] x1000``."""
        return self.title if self.factor == 1 else f"{self.title} x{self.factor:g}"

    @abstractmethod
    def clip_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The number of one clip: float64 scalar, NaN where it says nothing.

        Args:
            prediction: in [0, 1], shape (T, 3, H, W).
            target: same shape.
        """

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Adds clips to the mean; clips that say nothing (NaN) are left out.

        Args:
            prediction: video in [0, 1], shape (B, T, 3, H, W).
            target: the truth, same shape.

        Raises:
            UserError: shapes that differ, or that are too small; values that are none of a video.
        """
        scores = self.per_clip(prediction, target)
        known = ~scores.isnan()
        self.total += scores[known].sum()
        self.clips += known.sum()

    def compute(self) -> Tensor:
        """The mean over clips, float64; NaN without any."""
        return self.total / self.clips

    @torch.no_grad()
    def per_clip(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The number of each clip, float64, shape (B,); leaves the mean alone.

        Raises:
            UserError: as `update`.
        """
        self.check(prediction, target)
        # the precision of a trainer must not change what it is measured with
        with torch.autocast(prediction.device.type, enabled=False):
            return torch.stack([self.clip_score(*clips) for clips in zip(prediction, target, strict=True)])

    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Refuses what cannot be compared.

        Raises:
            UserError: as `update`.
        """
        check_video("prediction", prediction)
        check_video("target", target)
        if prediction.shape != target.shape:
            raise UserError(
                f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}: must be equal, no metric resizes "
                "or crops; do that before"
            )
        _, frames, _, height, width = prediction.shape
        if frames < self.min_frames:
            raise UserError(
                f"clip of {frames} frames: {self.label} takes at least {self.min_frames}; pass longer clips"
            )
        if min(height, width) - 2 * self.border < self.min_side:
            raise UserError(
                f"frames of {width}x{height}, {self.border} cut from each side: {self.label} takes at least "
                f"{self.min_side}x{self.min_side}; pass larger frames or a smaller border"
            )

    def prepared(self, frame: Tensor) -> Tensor:
        """A frame (3, H, W) in float64, with the border cut, rounded where that was asked for."""
        inner = slice(self.border, -self.border or None)
        frame = frame[:, inner, inner].double()
        return (frame * 255).round() / 255 if self.rounded else frame


class FrameMetric(ClipMetric):
    """A clip's number is the mean over its frames."""

    @abstractmethod
    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The number of a frame: float64 scalar; both are `prepared`, shape (3, H, W)."""

    def clip_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean over frames."""
        pairs = zip(prediction, target, strict=True)
        return torch.stack(
            [self.frame_score(self.prepared(ours), self.prepared(truth)) for ours, truth in pairs]
        ).mean()
