"""Metrics of video super-resolution, as torchmetrics: ``update(prediction, target)`` on (B, T, 3, H, W) in [0, 1]."""

from vsr_adapter.metrics.base import ClipMetric
from vsr_adapter.metrics.fidelity import PSNR, SSIM
from vsr_adapter.metrics.flow import DIS, RAFT, Farneback, Flow
from vsr_adapter.metrics.perceptual import LPIPS
from vsr_adapter.metrics.temporal import TLPIPS, TOF, VGGWarpError, WarpError

__all__ = [
    "DIS",
    "LPIPS",
    "PSNR",
    "RAFT",
    "SSIM",
    "TLPIPS",
    "TOF",
    "ClipMetric",
    "Farneback",
    "Flow",
    "VGGWarpError",
    "WarpError",
]
