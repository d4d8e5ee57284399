"""Fidelity of a video against its truth, as the field computes it."""

import torch
from kornia.metrics import ssim as kornia_ssim
from torch import Tensor

from vsr_adapter.errors import UserError


def as_frames(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both videos as 8-bit frames, float64 in [0, 1], shape (B * T, 3, H, W).

    Raises:
        UserError: the shapes differ, or the prediction is not finite.
    """
    if prediction.shape != target.shape:
        raise UserError(
            f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}: must be equal; resize before"
        )
    if not torch.isfinite(prediction).all():
        raise UserError("prediction holds NaN or infinity: metrics take finite video in [0, 1]; mend the sampler first")
    rounded = [(video.double().clamp(0, 1) * 255).round() / 255 for video in (prediction, target)]
    return rounded[0].flatten(0, 1), rounded[1].flatten(0, 1)


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB, mean over frames; the squared error is pooled over a frame's RGB planes.

    Args:
        prediction: video in [0, 1], shape (B, T, 3, H, W).
        target: same shape.

    Returns:
        Scalar, float64; infinite for equal videos.
    """
    ours, truth = as_frames(prediction, target)
    return (-10 * (ours - truth).square().flatten(1).mean(dim=1).log10()).mean()


def ssim(prediction: Tensor, target: Tensor) -> Tensor:
    """SSIM (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, valid region, mean over channels and frames.

    Args:
        prediction: video in [0, 1], shape (B, T, 3, H, W), at least 11 pixels along each side.
        target: same shape.

    Returns:
        Scalar, float64.
    """
    ours, truth = as_frames(prediction, target)
    return kornia_ssim(ours, truth, 11, 1.0, padding="valid").mean()
