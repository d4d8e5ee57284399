"""Values that travel between the rooms of the package.

Video is float RGB in [0, 1], shaped (B, T, 3, H, W); only backbones know [-1, 1] and (B, C, T, h, w).
NamedTuples, since Lightning moves them between devices and torch collates them.
"""

from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, Self

import torch
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
        own: tokens that the attached adapter's own keys and values are made of, shape (B, L, dim); None for nothing.
    """

    tokens: Tensor
    low_res: Tensor | None = None
    noise_level: Tensor | None = None
    own: Tensor | None = None


class Told(NamedTuple):
    """What an adapter tells the denoiser of clips; a part that it has nothing to say in is None.

    Each part but the first is a field of `Condition` of the same name: another kind of adapter adds one to both.

    Attributes:
        tokens: in the place of the null tokens, shape (B, L, text_dim).
        own: see `Condition`.
    """

    tokens: Tensor | None = None
    own: Tensor | None = None

    def condition(self, text: Tensor, low_res: Tensor | None = None, noise_level: Tensor | None = None) -> Condition:
        """All that the denoiser is told: this, and what no adapter makes.

        Args:
            text: stands where the adapter gives no tokens, shape (B, L, text_dim).
            low_res: see `Condition`.
            noise_level: likewise.
        """
        parts = self._asdict() | {"tokens": text if self.tokens is None else self.tokens}
        return Condition(low_res=low_res, noise_level=noise_level, **parts)


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


class Ask(NamedTuple):
    """What a method is asked to upscale.

    Attributes:
        lr: clip in [0, 1], shape (T, 3, h, w), on the device of the test.
        video: name of the video that it is from.
        hr: that video, whole.
        start: its first frame there.
        top: row of the crop in HR.
        left: column of the crop in HR.
        scale: HR pixels per LR pixel.
        name: of the clip, for example ``000/00000040``: names the keys of its noise.
        whole: whether these are whole frames, and no crop.
    """

    lr: Tensor
    video: str
    hr: VideoInfo
    start: int
    top: int
    left: int
    scale: int
    name: str
    whole: bool

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the answer."""
        return self.lr.shape[-2] * self.scale, self.lr.shape[-1] * self.scale


class Source(NamedTuple):
    """The test set that a clip is of.

    Attributes:
        name: of the set where there are several, for folders and logs; empty for one alone.
        lines: what numbers on its clips depend on, by name.
        whole: whether its clips are whole frames.
        placed: whether LR lies where HR does, so that what a method gives must too.
    """

    name: str
    lines: dict[str, str]
    whole: bool
    placed: bool


class Trial(NamedTuple):
    """A clip of a test with all that scoring it takes: plain values, which travel from a loader's processes.

    Attributes:
        ask: what methods see.
        truth: high-resolution clip in [0, 1], shape (T, 3, H, W).
        scored: frames that metrics of single frames see; those of neighbouring frames see all.
        source: its test set.
    """

    ask: Ask
    truth: Tensor
    scored: slice
    source: Source

    def to(self, device: str | torch.device) -> Self:
        """The same there."""
        return self._replace(ask=self.ask._replace(lr=self.ask.lr.to(device)), truth=self.truth.to(device))
