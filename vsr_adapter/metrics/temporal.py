"""Temporal consistency of a video, against the motion or the change of its truth."""

from abc import abstractmethod
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr_adapter.metrics.base import ClipMetric
from vsr_adapter.metrics.flow import DIS, Farneback, Flow
from vsr_adapter.metrics.networks import VGGFeatures
from vsr_adapter.metrics.perceptual import PerceptualMetric
from vsr_adapter.metrics.warping import trusted, warp

Pair = tuple[Tensor, Tensor]


class PairMetric(ClipMetric):
    """A clip's number is the mean over its pairs of neighbouring frames."""

    higher_is_better = False
    min_frames = 2

    @abstractmethod
    def pair_score(self, ours: Pair, truth: Pair) -> Tensor:
        """The number of a pair: float64 scalar, NaN where it says nothing; all frames are `prepared`, (3, H, W)."""

    def clip_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean over pairs; pairs that say nothing are left out."""
        pairs = zip(self.pairs(prediction), self.pairs(target), strict=True)
        return torch.stack([self.pair_score(ours, truth) for ours, truth in pairs]).nanmean()

    def pairs(self, clip: Tensor) -> Iterator[Pair]:
        """Neighbouring frames, `prepared`."""
        return pairwise(map(self.prepared, clip))


class FlowMetric(PairMetric):
    """Of which a flow is a part, and its name a part of the column's head.

    Args:
        flow: motion between two frames.
        rounded: whether both sides are rounded to 8 bit first.
        border: pixels cut from each side, before the flow is computed.
        kwargs: of torchmetrics' `Metric`.
    """

    name: str

    def __init__(self, flow: Flow, rounded: bool, border: int = 0, **kwargs: Any):
        super().__init__(rounded, border, **kwargs)
        self.flow = flow
        self.min_side = max(self.min_side, flow.min_side)

    @property
    def title(self) -> str:
        """Such as ``E_warp[DIS]``."""
        return f"{self.name}[{self.flow.name}]"


class WarpError(FlowMetric):
    """E_warp, the reference definition (Lai et al. 2018).

    E_t = mean over trusted pixels and RGB of (warp(O_{t+1}, f) - O_t)^2, where f, and what is trusted (`warping`), are
    of the truth; mean over pairs. The truth's own is not 0, and blur lowers it: print it beside.

    Args:
        flow: motion of the truth; None takes `DIS`.
        rounded: whether both sides are rounded to 8 bit first.
        border: pixels cut from each side, before the flow is computed.
        kwargs: of torchmetrics' `Metric`.
    """

    name = "E_warp"
    factor = 1e3

    def __init__(self, flow: Flow | None = None, rounded: bool = False, border: int = 0, **kwargs: Any):
        super().__init__(flow or DIS(), rounded, border, **kwargs)

    def pair_score(self, ours: Pair, truth: Pair) -> Tensor:
        """E_t; NaN where no pixel is trusted, such as at a cut: Lai's code counts a 0 there, which flatters."""
        forward, backward = self.flow(*truth), self.flow(*truth[::-1])
        error = (warp(ours[1], forward) - ours[0]).square().mean(dim=0)
        return error[trusted(forward, backward)].mean()


class VGGWarpError(FlowMetric):
    """E_warp in the features of VGG16, after the wording of the thesis's section 3.3, which gives no formula.

    Ours: E_t = weighted mean over positions of |phi(W) - phi(O_t)|^2. W is warp(O_{t+1}, f) where the truth's flow f is
    trusted, and O_t elsewhere, so that what is occluded does not leak through the receptive field. phi is VGG16 at
    ``relu3_3``, a quarter of the size, scaled to length 1 at each position: E_t lies in [0, 4]. The weight is the
    share of a position's 4x4 pixels that is trusted. Mean over pairs.

    Frames are warped, not features: those of a frame that moved by less than the stride are not moved features.

    Args:
        flow: motion of the truth; None takes `DIS`.
        rounded: whether both sides are rounded to 8 bit first.
        border: pixels cut from each side, before the flow is computed.
        kwargs: of torchmetrics' `Metric`.
    """

    name = "E_warp-VGG16-relu3_3"
    min_side = VGGFeatures.stride

    def __init__(self, flow: Flow | None = None, rounded: bool = False, border: int = 0, **kwargs: Any):
        super().__init__(flow or DIS(), rounded, border, **kwargs)
        self.features = VGGFeatures()

    def pair_score(self, ours: Pair, truth: Pair) -> Tensor:
        """E_t; NaN where no pixel is trusted."""
        forward, backward = self.flow(*truth), self.flow(*truth[::-1])
        kept = trusted(forward, backward)
        seen = torch.where(kept, warp(ours[1], forward), ours[0])
        error = (self.features(seen) - self.features(ours[0])).double().square().sum(dim=0)
        weight = F.avg_pool2d(kept.double()[None], VGGFeatures.stride)[0]
        return (weight * error).sum() / weight.sum()


class TOF(FlowMetric):
    """tOF (TecoGAN, Chu et al. 2020): distance between the flow of the video and that of its truth.

    Mean over pixels of |flow(O_t, O_{t+1}) - flow(G_t, G_{t+1})|, in pixels; mean over pairs. TecoGAN's code cuts a
    border of 8 pixels and more, to multiples of 32: here nothing is cut, unless ``border`` says so.

    Args:
        flow: of both videos; None takes `Farneback` with TecoGAN's settings.
        rounded: whether both sides are rounded to 8 bit first; OpenCV's flows always are.
        border: pixels cut from each side, before the flow is computed.
        kwargs: of torchmetrics' `Metric`.
    """

    name = "tOF"

    def __init__(self, flow: Flow | None = None, rounded: bool = True, border: int = 0, **kwargs: Any):
        super().__init__(flow or Farneback(), rounded, border, **kwargs)

    def pair_score(self, ours: Pair, truth: Pair) -> Tensor:
        """Mean distance between the two flows."""
        return (self.flow(*ours) - self.flow(*truth)).square().sum(dim=0).sqrt().mean()


class TLPIPS(PerceptualMetric, PairMetric):
    """tLPIPS (TecoGAN): |LPIPS(O_t, O_{t+1}) - LPIPS(G_t, G_{t+1})|, mean over pairs."""

    name = "tLPIPS"
    factor = 100

    def pair_score(self, ours: Pair, truth: Pair) -> Tensor:
        """Distance between the two changes."""
        return (self.distance(*ours) - self.distance(*truth)).abs()
