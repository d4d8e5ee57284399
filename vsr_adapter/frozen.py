"""Parts whose weights never train."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, Self

import torch
from torch import nn

from vsr_adapter.errors import UserError

Precision = Literal["float32", "bfloat16", "float16"]


class FrozenPart(nn.Module, ABC):
    """A network that is described when constructed, and read from disk by `load`.

    Construction is cheap: dimensions and capabilities can be asked for before gigabytes are read, and
    Lightning calls `load` from ``configure_model``, once in each process.

    Attributes:
        loaded: whether `load` was called.
        random: whether the weights are random ones, for lack of a file.
    """

    def __init__(self, random: bool = False) -> None:
        super().__init__()
        self.random = random
        self.loaded = False

    def load(self) -> Self:
        """Builds the network with its weights, frozen, in eval mode; does nothing the second time."""
        if not self.loaded:
            self.build()
            self.requires_grad_(False)
            self.eval()
            self.loaded = True
        return self

    @abstractmethod
    def build(self) -> None:
        """Creates the submodules and reads their weights."""

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` says: frozen dropout must not act (pytorch-lightning#18930)."""
        return super().train(False)


@contextmanager
def random_weights(seed: int) -> Iterator[None]:
    """Networks built inside have weights that are a function of ``seed``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def kernels() -> Iterator[None]:
    """Says in one line that a device cannot compute at a precision: old CPUs and old torch lack float16 kernels.

    Raises:
        UserError: torch has no kernel.
    """
    try:
        yield
    except RuntimeError as error:
        if "not implemented for '" not in str(error):
            raise
        raise UserError(
            f"{str(error).splitlines()[0]}: this device has no kernel for that precision; set precision: bfloat16 or "
            "float32 for the part, or run on a GPU"
        ) from error
