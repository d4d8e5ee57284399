"""The steps of a real-world degradation, each with RealBasicVSR's first-order settings as defaults.

A step takes a clip in [0, 1], shape (T, 3, H, W), and the draws of that step; it may leave [0, 1], and codecs clamp.
"""

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from kornia.color import rgb_to_grayscale
from kornia.filters import filter2d, gaussian_blur2d
from torch import Tensor

from vsr_adapter.data.degradations.draws import Draws
from vsr_adapter.data.degradations.kernels import SIZES, random_kernels, random_sinc
from vsr_adapter.frames import rounded, to_8_bit, to_video
from vsr_adapter.video.recompress import recompress

FILTERS: tuple[Literal["bilinear", "area", "bicubic"], ...] = ("bilinear", "area", "bicubic")


class Step(Protocol):
    """One of the steps."""

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """The clip after it."""


def interpolated(clip: Tensor, height: int, width: int, mode: str) -> Tensor:
    """Without antialiasing, as OpenCV."""
    if clip.shape[-2:] == (height, width):
        return clip
    corners = None if mode == "area" else False
    return F.interpolate(clip, (height, width), mode=mode, align_corners=corners)


@dataclass(frozen=True)
class UnsharpMask:
    """Sharpens the truth first (Real-ESRGAN), where it differs from its blur by more than a threshold.

    Attributes:
        size: of the Gaussian window, whose sigma is OpenCV's for it.
        weight: of what the blur took away.
        threshold: in levels of 255.
    """

    size: int = 51
    weight: float = 0.5
    threshold: float = 10

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """Draws nothing."""
        sigma = 0.3 * ((self.size - 1) / 2 - 1) + 0.8
        detail = clip - self.blur(clip, sigma)
        soft = self.blur((detail.abs() * 255 > self.threshold).to(clip), sigma)
        return soft * (clip + self.weight * detail).clamp(0, 1) + (1 - soft) * clip

    def blur(self, clip: Tensor, sigma: float) -> Tensor:
        """Gaussian blur."""
        return gaussian_blur2d(clip, self.size, (sigma, sigma), border_type="replicate")


@dataclass(frozen=True)
class Blur:
    """A random kernel.

    Attributes:
        sigma: range, in pixels.
        probability: of doing anything.
    """

    sigma: tuple[float, float] = (0.2, 3)
    probability: float = 1

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """One kernel per frame."""
        if not draws.chance(self.probability):
            return clip
        return filter2d(clip, random_kernels(draws, len(clip), self.sigma).to(clip), border_type="replicate")


@dataclass(frozen=True)
class SincBlur:
    """Ringing, as sharpening and compression leave it.

    Attributes:
        probability: of doing anything.
    """

    probability: float = 0.8

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """One kernel per frame."""
        if not draws.chance(self.probability):
            return clip
        kernels = random_sinc(draws, len(clip), math.pi / 3, draws.choice(SIZES))
        return filter2d(clip, kernels.to(clip), border_type="replicate")


@dataclass(frozen=True)
class Resize:
    """To a random size, even in both directions.

    Attributes:
        weights: of up, down, keep.
        scale: lowest and highest.
        step: of the scale from frame to frame. Frames of other sizes are brought to that of the first, as encoders do.
    """

    weights: tuple[float, float, float] = (0.2, 0.7, 0.1)
    scale: tuple[float, float] = (0.15, 1.5)
    step: float = 0.015

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """One filter for all frames."""
        lowest, highest = self.scale
        low, high = draws.choice([(1, highest), (lowest, 1), (1, 1)], self.weights)
        mode, scales = draws.choice(FILTERS), draws.walk(low, high, self.step, len(clip)).tolist()
        height, width = clip.shape[-2:]
        sizes = [(max(int(height * s / 2), 1) * 2, max(int(width * s / 2), 1) * 2) for s in scales]
        frames = [interpolated(frame[None], *size, mode) for frame, size in zip(clip, sizes, strict=True)]
        return torch.cat([interpolated(frame, *sizes[0], "bicubic") for frame in frames])


@dataclass(frozen=True)
class ResizeTo:
    """To a given size.

    Attributes:
        height: in pixels.
        width: in pixels.
    """

    height: int
    width: int

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """By a random filter."""
        return interpolated(clip, self.height, self.width, draws.choice(FILTERS))


@dataclass(frozen=True)
class Noise:
    """Gaussian or Poisson noise, equally often.

    Attributes:
        sigma: range of the Gaussian's deviation, in levels of 255.
        scale: range of the Poisson noise's strength.
        grey: probability of the same noise in all channels.
    """

    sigma: tuple[float, float] = (1, 30)
    scale: tuple[float, float] = (0.05, 3)
    grey: float = 0.4

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """New noise in each frame."""
        gaussian, grey = draws.chance(0.5), draws.chance(self.grey)
        if gaussian:
            noise = draws.normal(len(clip), 1 if grey else 3, *clip.shape[2:]) / 255
            strength = draws.walk(*self.sigma, 0.1, len(clip))
        else:
            noise = shot_noise(rgb_to_grayscale(clip) if grey else clip, draws)
            strength = draws.walk(*self.scale, 0.005, len(clip))
        return clip + (noise * strength[:, None, None, None]).to(clip)


def shot_noise(clip: Tensor, draws: Draws) -> Tensor:
    """Poisson(v x) / v - x, where v is the number of levels that a frame has, up to a power of two (Real-ESRGAN)."""
    levels = rounded(clip).cpu()
    counts = [2 ** math.ceil(math.log2(frame.unique().numel())) for frame in levels]
    photons = torch.tensor(counts)[:, None, None, None]
    return draws.poisson(levels * photons) / photons - levels


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """A BGR image (H, W, 3) through JPEG."""
    _, file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(file, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


@dataclass(frozen=True)
class JPEG:
    """JPEG, OpenCV's encoder: kornia's differentiable stand-in rounds softly, and leaves other artefacts.

    Attributes:
        quality: range.
        step: of the quality from frame to frame.
    """

    quality: tuple[float, float] = (30, 95)
    step: float = 3

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """On 8-bit frames, on the CPU."""
        qualities = draws.walk(*self.quality, self.step, len(clip)).round().int().tolist()
        images = to_8_bit(clip.flip(1))  # BGR, or chroma would be subsampled in another space
        decoded = [compressed(image, quality) for image, quality in zip(images, qualities, strict=True)]
        return to_video(decoded).to(clip).flip(1)


@dataclass(frozen=True)
class VideoCodec:
    """H.264 or MPEG-4 part 2 over the whole clip, H.264 twice as often.

    Attributes:
        bit_rate: range, in bits per frame.
    """

    bit_rate: tuple[float, float] = (1e4, 1e5)

    def __call__(self, clip: Tensor, draws: Draws) -> Tensor:
        """On 8-bit frames, on the CPU."""
        codec: Literal["libx264", "mpeg4"] = draws.choice(("libx264", "mpeg4"), (2, 1))
        return to_video(list(recompress(to_8_bit(clip), codec, int(draws.uniform(*self.bit_rate))))).to(clip)
