"""The bicubic skip of small autoencoders: their latents hold the detail alone."""

from torch import Tensor

from vsr_adapter.resize import bicubic_downscale, bicubic_upscale

DETAIL = 0.125  # about the standard deviation of what bicubic upscaling lacks, of pixels in [-1, 1]


def upscaled(low_res: Tensor, factor: int) -> Tensor:
    """Bicubic upscale of a clip (B, 3, T, h, w) in [-1, 1], shape (B, 3, T, factor h, factor w)."""
    return bicubic_upscale((low_res.transpose(1, 2) + 1) / 2, factor).transpose(1, 2) * 2 - 1


def detail(x: Tensor, factor: int) -> Tensor:
    """What the bicubic downscale of pixels in [-1, 1] does not hold, in units of `DETAIL`.

    Args:
        x: shape (B, 3, T, H, W), multiples of ``factor``.
        factor: of the downscale.

    Returns:
        Shape of ``x``.
    """
    low_res = bicubic_downscale((x.transpose(1, 2) + 1) / 2, factor).transpose(1, 2) * 2 - 1
    return (x - upscaled(low_res.to(x.dtype), factor)) / DETAIL
