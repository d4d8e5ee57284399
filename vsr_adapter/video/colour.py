"""Y'CbCr and RGB, in float, so that going there and back changes no code value.

libswscale is the library for this; there and back through its best settings (float RGB, accurate rounding, full chroma
interpolation) changed real 4:2:0 footage by up to 6 of 255, and a filter pair that undoes itself changes nothing.
"""

from typing import NamedTuple

import numpy as np

# luma coefficients (K_R, K_B) by AVColorSpace, ITU-T H.273 table 4
COEFFICIENTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020, non-constant luminance
}
UNSPECIFIED = 2


class Matrix(NamedTuple):
    """How codes stand for colours.

    Attributes:
        space: AVColorSpace, a key of `COEFFICIENTS`.
        full: whether codes use the full range.
        depth: bits of a code.
    """

    space: int
    full: bool
    depth: int


def usual_space(space: int, height: int) -> int:
    """The matrix that players assume where a stream names none that we know: BT.709 from 720 lines on."""
    return space if space in COEFFICIENTS else 1 if height > 576 else 6


def steps(matrix: Matrix) -> tuple[float, float, float, float]:
    """Black and range of luma, zero and range of chroma, in codes (H.273, equations 20 to 31)."""
    unit = 1 << (matrix.depth - 8)
    if matrix.full:
        return 0, (256 * unit) - 1, 128 * unit, (256 * unit) - 1
    return 16 * unit, 219 * unit, 128 * unit, 224 * unit


def to_rgb(y: np.ndarray, cb: np.ndarray, cr: np.ndarray, matrix: Matrix) -> np.ndarray:
    """RGB of codes, all of one size; nominally in [0, 1], outside where codes are outside of their nominal range.

    Args:
        y: luma codes, shape (H, W).
        cb: chroma codes, same shape.
        cr: likewise.
        matrix: what the codes mean.

    Returns:
        Shape (H, W, 3), float32.
    """
    black, luma, zero, chroma = steps(matrix)
    k_r, k_b = COEFFICIENTS[matrix.space]
    y = (y.astype(np.float32) - black) / luma
    red = y + 2 * (1 - k_r) / chroma * (cr - np.float32(zero))
    blue = y + 2 * (1 - k_b) / chroma * (cb - np.float32(zero))
    green = (y - k_r * red - k_b * blue) / (1 - k_r - k_b)
    return np.stack([red, green, blue], axis=-1).astype(np.float32, copy=False)


def from_rgb(rgb: np.ndarray, matrix: Matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes of RGB, as floats that are not yet rounded; the inverse of `to_rgb`."""
    black, luma, zero, chroma = steps(matrix)
    k_r, k_b = COEFFICIENTS[matrix.space]
    red, green, blue = (rgb[..., i].astype(np.float32, copy=False) for i in range(3))
    y = k_r * red + (1 - k_r - k_b) * green + k_b * blue
    cb = (blue - y) / (2 * (1 - k_b)) * chroma + zero
    cr = (red - y) / (2 * (1 - k_r)) * chroma + zero
    return y * luma + black, cb, cr


def rounded(codes: np.ndarray, depth: int) -> np.ndarray:
    """Integer codes of ``depth`` bits: uint8, or uint16 above 8."""
    return np.clip(np.rint(codes), 0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)


def double(samples: np.ndarray, length: int, axis: int, cosited: bool) -> np.ndarray:
    """Chroma samples along an axis at twice the rate.

    Args:
        samples: at half the rate.
        length: of the result: twice the samples, or one less.
        axis: of the samples.
        cosited: whether samples stand on even pixels (the interpolation of the 5/3 wavelet of Le Gall and Tabatabai
            1988: linear), or between pixels (that of the 1.3 wavelet of Cohen, Daubechies and Feauveau 1992).
    """
    a = np.moveaxis(samples, axis, -1).astype(np.float32, copy=False)
    following = np.concatenate([a[..., 1:], a[..., -1:]], axis=-1)
    if cosited:
        even, odd = a, (a + following) / 2
    else:
        slope = (following - np.concatenate([a[..., :1], a[..., :-1]], axis=-1)) / 8
        if length % 2:
            slope[..., -1] = 0  # the last sample stands for one pixel
        even, odd = a - slope, a + slope
    both = np.stack([even, odd], axis=-1).reshape(*a.shape[:-1], -1)[..., :length]
    return np.moveaxis(both, -1, axis)


def halve(samples: np.ndarray, axis: int, cosited: bool) -> np.ndarray:
    """Chroma samples along an axis at half the rate: the analysis filters of `double`'s wavelets, which undo it."""
    x = np.moveaxis(samples, axis, -1)
    even, odd = x[..., 0::2], x[..., 1::2]
    if odd.shape[-1] < even.shape[-1]:
        odd = np.concatenate([odd, even[..., -1:]], axis=-1)
    if not cosited:
        return np.moveaxis((even + odd) / 2, -1, axis)
    following = np.concatenate([even[..., 1:], even[..., -1:]], axis=-1)
    detail = odd - (even + following) / 2
    before = np.concatenate([detail[..., :1], detail[..., :-1]], axis=-1)
    return np.moveaxis(even + (before + detail) / 4, -1, axis)
