"""Values that travel between the rooms of the package.

Video is float RGB in [0, 1], shaped (B, T, 3, H, W); only backbones know [-1, 1] and (B, C, T, h, w).
NamedTuples, since Lightning moves them between devices and torch collates them.
"""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from torch import Tensor


class Clip(NamedTuple):
    """A pair of low- and high-resolution clips.

    Attributes:
        lr: low-resolution video in [0, 1], shape (B, T, 3, h, w), or (T, 3, h, w) before collation.
        hr: high-resolution video in [0, 1], shape (B, T, 3, 4h, 4w), or (T, 3, 4h, 4w).
        name: identity of each clip, for example ``000/00000040``: names the keys of its noise.
    """

    lr: Tensor
    hr: Tensor
    name: list[str]

    @property
    def batch_size(self) -> int:
        """Number of clips."""
        return self.lr.shape[0]


class Condition(NamedTuple):
    """What the denoiser is told about clips; it travels with every call, so that nothing of a clip is kept.

    Attributes:
        tokens: text or pseudo-text, shape (B, L, text_dim).
        low_res: the low-resolution clip as the denoiser wants it (`UNetPart.noise_low_res`), shape (B, T, 3, h, w);
            None where it takes none.
        noise_level: training time of the noise in ``low_res``, shape (B,), or None.
    """

    tokens: Tensor
    low_res: Tensor | None = None
    noise_level: Tensor | None = None


class VideoInfo(NamedTuple):
    """What is known of a video before any frame is decoded.

    Attributes:
        path: a video file or a folder of frames.
        frames: exact number of frames.
        width: pixels.
        height: pixels.
        rate: frames per second.
    """

    path: Path
    frames: int
    width: int
    height: int
    rate: Fraction
