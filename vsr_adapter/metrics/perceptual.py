"""Perceptual distance of a video from its truth."""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vsr_adapter.metrics.base import ClipMetric, FrameMetric
from vsr_adapter.metrics.networks import lpips_network

LPIPS_MIN_SIDE = 31  # below, AlexNet's second pooling has less than a window


class PerceptualMetric(ClipMetric):
    """Of which LPIPS' network is a part, and its trunk's name a part of the column's head.

    Args:
        net: ``alex``, whose weights are shipped, or ``vgg``.
        trunk: convolution weights of the network as safetensors (recipes/lpips/convert.py); None takes the shipped.
        rounded: whether both sides are rounded to 8 bit first.
        border: pixels cut from each side.
        kwargs: of torchmetrics' `Metric`.

    Raises:
        UserError: ``vgg`` without weights.
    """

    name: str
    higher_is_better = False
    min_side = LPIPS_MIN_SIDE

    def __init__(
        self,
        net: Literal["alex", "vgg"] = "alex",
        trunk: Path | None = None,
        rounded: bool = True,
        border: int = 0,
        **kwargs: Any,
    ):
        super().__init__(rounded, border, **kwargs)
        self.net = net
        self.network = lpips_network(net, trunk)

    @property
    def title(self) -> str:
        """Such as ``LPIPS-alex``."""
        return f"{self.name}-{self.net}"

    def distance(self, ours: Tensor, truth: Tensor) -> Tensor:
        """LPIPS of two frames (3, H, W) in [0, 1]: float64 scalar."""
        return self.network(ours.float()[None], truth.float()[None], normalize=True).double().squeeze()


class LPIPS(PerceptualMetric, FrameMetric):
    """LPIPS v0.1 (Zhang et al. 2018), mean over frames; 0 for equal frames."""

    name = "LPIPS"

    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """LPIPS of a frame."""
        return self.distance(prediction, target)
