"""Metrics of video super-resolution."""

from vsr_adapter.metrics.fidelity import psnr, ssim

__all__ = ["psnr", "ssim"]
