"""Colours of the low-resolution clip for the upscaled one: diffusion models and their VAEs shift them."""

import torch
import torch.nn.functional as F
from kornia.color import lab_to_rgb, rgb_to_lab
from kornia.contrib import histogram_matching
from kornia.enhance import equalize_clahe
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.postprocess.base import FramePostprocess


def blur_a_trous(frames: Tensor, dilation: int) -> Tensor:
    """[1, 2, 1] x [1, 2, 1] / 16 with holes, replicate padding; frames (N, C, H, W)."""
    taps = frames.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(taps, taps).expand(frames.shape[1], 1, 3, 3)
    padded = F.pad(frames, [dilation] * 4, mode="replicate")
    return F.conv2d(padded, kernel, dilation=dilation, groups=frames.shape[1])


class WaveletColour(FramePostprocess):
    """Wavelet colour fix (StableSR, Wang et al. 2023): high frequencies of the video, low ones of the style.

    L is a blur a trous at dilations 1, 2, 4 ...; content - L(content) + L(style), which is content +
    L(style - content) as L is linear: a constant cast goes exactly. No discrete wavelet transform, despite the name.

    Args:
        levels: of the blur; five reach 31 pixels.
    """

    def __init__(self, levels: int = 5):
        if levels < 1:
            raise UserError(f"levels {levels}: of the blur; pass 1 or more (the field's is 5)")
        self.levels = levels

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """Content plus the blurred difference."""
        low = style - frames
        for level in range(self.levels):
            low = blur_a_trous(low, 2**level)
        return frames + low


def with_statistics_of(style: Tensor, content: Tensor) -> Tensor:
    """Content moved and scaled to the style's mean and deviation, per frame and channel; shapes (N, C, H, W)."""
    deviations = [(planes.var(dim=(2, 3), keepdim=True) + 1e-5).sqrt() for planes in (content, style)]
    means = [planes.mean(dim=(2, 3), keepdim=True) for planes in (content, style)]
    return (content - means[0]) / deviations[0] * deviations[1] + means[1]


class AdaIN(FramePostprocess):
    """Adaptive instance normalisation (Huang and Belongie 2017) on RGB, as StableSR uses it.

    Per frame and channel (x - mean) / deviation, with the style's put in; unbiased variance + 1e-5.
    """

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """Statistics of the style, in RGB."""
        return with_statistics_of(style, frames)


class LabStatistics(FramePostprocess):
    """Colour transfer by mean and deviation (Reinhard et al. 2001), in CIELAB in place of their l-alpha-beta."""

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """Statistics of the style, in Lab."""
        return lab_to_rgb(with_statistics_of(rgb_to_lab(style), rgb_to_lab(frames)))


class HistogramMatching(FramePostprocess):
    """Each channel of each frame gets the histogram of the style's."""

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """Kornia's matching, plane by plane: given more, it pools them."""
        planes = zip(frames.flatten(0, 1), style.flatten(0, 1), strict=True)
        return torch.stack([histogram_matching(plane, like) for plane, like in planes]).reshape(frames.shape)


class CLAHE(FramePostprocess):
    """Contrast-limited adaptive histogram equalisation of the lightness; the style is not used.

    Args:
        clip_limit: of a bin, in means of the histogram: 1 changes little, 40 all.
        grid: tiles along each side.
    """

    def __init__(self, clip_limit: float = 2.0, grid: int = 8):
        if clip_limit <= 0 or grid < 1:
            raise UserError(f"clip_limit {clip_limit}, grid {grid}: must be positive; pass the usual 2.0 and 8")
        self.clip_limit, self.grid = clip_limit, grid

    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """kornia's, on L / 100."""
        height, width = frames.shape[-2:]
        if min(height, width) <= self.grid:
            raise UserError(f"frames of {width}x{height}: CLAHE needs more than {self.grid}; pass a smaller grid")
        lab = rgb_to_lab(frames)
        lightness = equalize_clahe((lab[:, :1] / 100).clamp(0, 1), float(self.clip_limit), (self.grid, self.grid))
        return lab_to_rgb(torch.cat([lightness * 100, lab[:, 1:]], dim=1))
