"""Noise removal after decoding. None of these uses the style."""

from typing import Any

import cv2
import numpy as np
import pywt
import torch
from kornia.filters import bilateral_blur, gaussian_blur2d
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.frames import to_8_bit, to_video
from vsr_adapter.postprocess.base import FramePostprocess, Postprocess


def check_window(name: str, size: int) -> None:
    """Windows have a middle.

    Raises:
        UserError: an even size, or none.
    """
    if size < 1 or size % 2 == 0:
        raise UserError(f"{name} {size}: must be odd and positive; pass {max(size, 0) // 2 * 2 + 1}")


def check_positive(**values: float) -> None:
    """Strengths are positive.

    Raises:
        UserError: one that is not.
    """
    for name, value in values.items():
        if value <= 0:
            raise UserError(f"{name} {value}: must be positive; leave the step out to do nothing")


class Gaussian(FramePostprocess):
    """Gaussian blur.

    Args:
        sigma: in pixels; the window reaches 3 sigma.
    """

    def __init__(self, sigma: float = 0.7):
        check_positive(sigma=sigma)
        self.sigma = sigma

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """kornia's; borders are replicated, so that any size will do."""
        size = 2 * int(np.ceil(3 * self.sigma)) + 1
        return gaussian_blur2d(frames, size, (self.sigma, self.sigma), border_type="replicate")


class Bilateral(FramePostprocess):
    """Bilateral filter (Tomasi and Manduchi 1998): a blur that stops at edges.

    Args:
        size: side of the window, odd, in pixels.
        sigma_colour: difference that counts as an edge, L1 over the channels, in [0, 1].
        sigma_space: in pixels.
    """

    def __init__(self, size: int = 5, sigma_colour: float = 0.1, sigma_space: float = 1.5):
        check_window("size", size)
        check_positive(sigma_colour=sigma_colour, sigma_space=sigma_space)
        self.size, self.sigma_colour, self.sigma_space = size, sigma_colour, sigma_space

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """kornia's, frame by frame, since it may unfold size^2 copies of what it is given."""
        space = (self.sigma_space, self.sigma_space)
        blurred = [
            bilateral_blur(f[None], self.size, self.sigma_colour, space, border_type="replicate") for f in frames
        ]
        return torch.cat(blurred)


class NonLocalMeans(Postprocess):
    """Non-local means (Buades et al. 2005), OpenCV's in Lab, on frames rounded to 8 bit.

    Args:
        luminance: strength for lightness, in levels of 255.
        colour: strength for the colour planes.
        template: side of the patches that are compared, odd, in pixels.
        search: side of the window that is searched, odd; the time grows with its square.
        frames: neighbouring frames that are searched as well, odd; 1 searches the frame alone. At the ends of the
            clip its first and last frames are repeated.
    """

    def __init__(self, luminance: float = 3, colour: float = 3, template: int = 7, search: int = 21, frames: int = 1):
        check_positive(luminance=luminance, colour=colour)
        for name, size in [("template", template), ("search", search), ("frames", frames)]:
            check_window(name, size)
        self.settings: dict[str, Any] = {
            "h": luminance,
            "hColor": colour,
            "templateWindowSize": template,
            "searchWindowSize": search,
        }
        self.frames = frames

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        """Clip by clip."""
        return torch.stack([self.process_clip(clip) for clip in video])

    def process_clip(self, clip: Tensor) -> Tensor:
        """A clip (T, 3, H, W) in [0, 1]."""
        # BGR, or OpenCV's Lab would be another
        images = list(to_8_bit(clip.flip(1)))
        reach = self.frames // 2
        padded = [images[0]] * reach + images + [images[-1]] * reach
        denoised = [self.denoised(padded[i : i + self.frames]) for i in range(len(images))]
        return to_video(denoised).to(clip).flip(1)

    def denoised(self, images: list[np.ndarray]) -> np.ndarray:
        """The middle one of ``frames`` images, 8-bit BGR."""
        if self.frames == 1:
            return cv2.fastNlMeansDenoisingColored(images[0], None, **self.settings)
        middle = self.frames // 2
        return cv2.fastNlMeansDenoisingColoredMulti(images, middle, self.frames, None, **self.settings)


class WaveletShrinkage(FramePostprocess):
    """Soft thresholds on the coefficients of a stationary wavelet transform (Donoho and Johnstone 1994).

    The threshold is ``strength`` x sigma x sqrt(2 ln(H W)); sigma, of each plane, is the median of the finest diagonal
    coefficients' sizes / 0.6745.

    Args:
        strength: 1 is the universal threshold, which removes all Gaussian noise and much texture.
        wavelet: of pywt.
        levels: of the transform.
    """

    def __init__(self, strength: float = 0.5, wavelet: str = "sym4", levels: int = 3):
        check_positive(strength=strength, levels=levels)
        if wavelet not in pywt.wavelist(kind="discrete"):
            raise UserError(f"wavelet {wavelet}: pywt has none of that name; pass one of pywt.wavelist(), such as sym4")
        self.strength, self.wavelet, self.levels = strength, wavelet, levels

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """Plane by plane, on the CPU."""
        height, width = frames.shape[-2:]
        multiple = 2**self.levels  # swt2 takes no other sizes
        pad = [(0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple)]
        planes = np.pad(frames.cpu().numpy(), pad, mode="symmetric")
        coefficients = pywt.swt2(planes, self.wavelet, self.levels, axes=(2, 3))
        finest_diagonal = coefficients[-1][1][2]
        sigma = np.median(np.abs(finest_diagonal), axis=(2, 3), keepdims=True) / 0.6745
        # pywt divides by the coefficients: with a threshold of 0, a flat plane would be 0 / 0
        threshold = self.strength * sigma * np.sqrt(2 * np.log(height * width)) + np.finfo(np.float32).tiny
        shrunk = [
            (low, tuple(pywt.threshold(detail, threshold, mode="soft") for detail in details))
            for low, details in coefficients
        ]
        smooth = pywt.iswt2(shrunk, self.wavelet, axes=(2, 3))[..., :height, :width]
        return torch.from_numpy(np.ascontiguousarray(smooth)).to(frames)
