"""Other methods, asked for the same clips."""

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.types import VideoInfo


class Ask(NamedTuple):
    """What a method is asked to upscale.

    Attributes:
        lr: clip in [0, 1], shape (T, 3, h, w).
        video: name of the video that it is from.
        hr: that video, whole.
        start: its first frame there.
        top: row of the crop in HR.
        left: column of the crop in HR.
        scale: HR pixels per LR pixel.
    """

    lr: Tensor
    video: str
    hr: VideoInfo
    start: int
    top: int
    left: int
    scale: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the answer."""
        return self.lr.shape[-2] * self.scale, self.lr.shape[-1] * self.scale


class Peer(ABC):
    """A method.

    Attributes:
        name: its row in a table.
        about: what its numbers depend on, for the lines over a table.
    """

    name: str
    about: str

    @abstractmethod
    def __call__(self, ask: Ask) -> Tensor:
        """The upscaled clip.

        Returns:
            In [0, 1], shape (T, 3, h * scale, w * scale).

        Raises:
            UserError: it cannot.
        """


class Bicubic(Peer):
    """MATLAB's imresize."""

    name = "bicubic"
    about = "MATLAB's imresize, in floats"

    def __call__(self, ask: Ask) -> Tensor:
        """In floats."""
        return bicubic_upscale(ask.lr, ask.scale)
