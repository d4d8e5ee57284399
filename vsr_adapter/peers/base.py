"""Other methods, asked for the same clips."""

from abc import ABC, abstractmethod

from torch import Tensor

from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.types import Ask


class Peer(ABC):
    """A method.

    Attributes:
        name: its row in a table.
        about: what its numbers depend on, for the line over a table.
        timed: whether the time that it takes is the method's.
    """

    name: str
    about: str = ""
    timed: bool = True

    def describe(self, whole: bool) -> dict[str, str]:
        """What its numbers depend on, by name; the empty name is the row itself.

        Args:
            whole: whether clips are whole frames.
        """
        return {"": self.about}

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
