"""Fidelity of a video against its truth, as the field computes it: PSNR and SSIM."""

from typing import Any, Literal

from kornia.metrics import ssim
from torch import Tensor

from vsr_adapter.metrics.base import FrameMetric


def luma(frame: Tensor) -> Tensor:
    """Studio-range Y of BT.601, as MATLAB's rgb2ycbcr and BasicSR compute it, not rounded.

    Args:
        frame: RGB in [0, 1], shape (3, H, W).

    Returns:
        (65.481 R + 128.553 G + 24.966 B + 16) / 255, shape (1, H, W), in [16, 235] / 255. `kornia.color.rgb_to_y` is
        full range, and not this.
    """
    weights = frame.new_tensor([65.481, 128.553, 24.966])
    return ((weights[:, None, None] * frame).sum(dim=0, keepdim=True) + 16) / 255


class FidelityMetric(FrameMetric):
    """A frame's number from its RGB or its Y planes.

    Args:
        channels: ``rgb``: the three planes jointly; ``y``: studio-range luma.
        rounded: whether both sides are rounded to 8 bit first (before the conversion to Y).
        border: pixels cut from each side; the field cuts none for video.
        kwargs: of torchmetrics' `Metric`.
    """

    higher_is_better = True
    name: str

    def __init__(self, channels: Literal["rgb", "y"] = "rgb", rounded: bool = True, border: int = 0, **kwargs: Any):
        super().__init__(rounded, border, **kwargs)
        self.channels, self.planes = channels, channels.upper()

    @property
    def title(self) -> str:
        """Such as ``PSNR-Y``."""
        return self.name if self.channels == "rgb" else f"{self.name}-Y"

    def prepared(self, frame: Tensor) -> Tensor:
        """The planes that are compared, float64, shape (3 or 1, H, W)."""
        frame = super().prepared(frame)
        return frame if self.channels == "rgb" else luma(frame)


class PSNR(FidelityMetric):
    """10 log10(1 / MSE) in dB; the squared error is pooled over a frame's planes, the dB are averaged over frames.

    Infinite where a frame equals its truth.
    """

    name = "PSNR"

    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """PSNR of a frame."""
        return -10 * (prediction - target).square().mean().log10()


class SSIM(FidelityMetric):
    """SSIM (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, K = (.01, .03), valid region, mean over planes."""

    name = "SSIM"
    min_side = 11

    def frame_score(self, prediction: Tensor, target: Tensor) -> Tensor:
        """SSIM of a frame."""
        # kornia's guard against 0 / 0 cannot be needed with C1, C2 > 0, and shifts dark flat frames by 6e-6
        return ssim(prediction[None], target[None], 11, 1.0, eps=0.0, padding="valid").mean()
