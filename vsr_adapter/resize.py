"""Bicubic resizing as MATLAB's imresize does it: the field's LR ("BIx4") and its baseline."""

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr_adapter.errors import UserError

PAD = 16  # low-resolution borders of MATLAB come from a symmetric extension; 16 pixels cover an x4 kernel


def symmetric_index(size: int, pad: int) -> Tensor:
    """Indices that extend an axis by ``pad`` on both sides, the border pixel repeated (numpy's ``symmetric``)."""
    position = torch.arange(-pad, size + pad) % (2 * size)
    return torch.minimum(position, 2 * size - 1 - position)


def pad_symmetric(video: Tensor, pad: int) -> Tensor:
    """Extends height and width by ``pad`` on all sides; works for any size, unlike torch's reflection."""
    height, width = video.shape[-2:]
    rows = symmetric_index(height, pad).to(video.device)
    columns = symmetric_index(width, pad).to(video.device)
    return video.index_select(-2, rows).index_select(-1, columns)


def interpolated(video: Tensor, scale_factor: float, pad: int) -> Tensor:
    """Antialiased bicubic (a = -0.5, which torch uses only with antialiasing) of a padded video, still padded."""
    padded = pad_symmetric(video, pad)
    frames = padded.reshape(-1, *padded.shape[-3:]).float()
    out = F.interpolate(frames, scale_factor=scale_factor, mode="bicubic", antialias=True)
    return out.reshape(*video.shape[:-3], *out.shape[-3:])


def bicubic_downscale(hr: Tensor, factor: int = 4) -> Tensor:
    """MATLAB's imresize(x, 1 / factor) on 8-bit frames, to the bit (evaluated on values rounded to 8 bit).

    Args:
        hr: video in [0, 1], shape (..., 3, H, W).
        factor: whole number.

    Returns:
        Shape (..., 3, H / factor, W / factor), multiples of 1 / 255.

    Raises:
        UserError: H or W is no multiple of ``factor``.
    """
    height, width = hr.shape[-2:]
    if height % factor or width % factor:
        raise UserError(
            f"frames of {width}x{height}: must be multiples of {factor} to downscale; "
            f"crop to {width // factor * factor}x{height // factor * factor}"
        )
    pad = PAD // factor
    small = interpolated((hr.float() * 255).round(), 1 / factor, pad * factor)
    cropped = small[..., pad : pad + height // factor, pad : pad + width // factor]
    return (cropped.clamp(0, 255) + 0.5).floor() / 255


def bicubic_upscale(lr: Tensor, factor: int = 4) -> Tensor:
    """MATLAB's imresize(x, factor), in floating point.

    Args:
        lr: video in [0, 1], shape (..., 3, h, w).
        factor: whole number.

    Returns:
        Shape (..., 3, h * factor, w * factor), clamped to [0, 1].
    """
    pad = 4
    large = interpolated(lr, factor, pad)
    height, width = lr.shape[-2] * factor, lr.shape[-1] * factor
    return (
        large[..., pad * factor : pad * factor + height, pad * factor : pad * factor + width].clamp(0, 1).to(lr.dtype)
    )
