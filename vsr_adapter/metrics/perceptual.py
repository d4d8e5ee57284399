"""Perceptual distance of a video from its truth."""

from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from vsr_adapter.metrics.base import FrameMetric
from vsr_adapter.metrics.networks import lpips_network

LPIPS_MIN_SIDE = 31  # below, AlexNet's second pooling has less than a window


class LPIPS(FrameMetric):
    """LPIPS v0.1 (Zhang et al. 2018), mean over frames; 0 for equal frames.

    Args:
        net: ``alex``, whose weights are shipped, or ``vgg``.
        trunk: convolution weights of the network as safetensors (recipes/lpips/convert.py); None takes the shipped.
        rounded: whether both sides are rounded to 8 bit first.
        border: pixels cut from each side.
        kwargs: of torchmetrics' `Metric`.

    Raises:
        UserError: ``vgg`` without weights.
    """

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
        return f"LPIPS-{self.net}"

    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """LPIPS of a frame."""
        return self.network(prediction.float()[None], target.float()[None], normalize=True).double().squeeze()
