"""The random numbers of one clip."""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor

from vsr_adapter.seeds import generator

Option = TypeVar("Option")


class Draws:
    """Random numbers that are a function of a key.

    Args:
        key: names them, for example (seed, clip, epoch, "blur").
    """

    def __init__(self, *key: object):
        self.generator = generator(*key)

    def uniform(self, low: float, high: float) -> float:
        """One number between the two."""
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def chance(self, probability: float) -> bool:
        """True that often."""
        return torch.rand((), generator=self.generator).item() < probability

    def choice(self, options: Sequence[Option], weights: Sequence[float] | None = None) -> Option:
        """One of them; equally often without weights."""
        odds = torch.ones(len(options)) if weights is None else torch.tensor(weights, dtype=torch.float32)
        return options[int(torch.multinomial(odds, 1, generator=self.generator))]

    def walk(self, low: float, high: float, step: float, frames: int) -> Tensor:
        """A number per frame: one draw for the clip, then steps of at most ``step``, kept in the range; shape (T,)."""
        value = self.uniform(low, high)
        values = [value]
        for _ in range(frames - 1):
            value = min(max(value + self.uniform(-step, step), low), high)
            values.append(value)
        return torch.tensor(values)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal noise, on the CPU."""
        return torch.randn(shape, generator=self.generator)

    def poisson(self, rate: Tensor) -> Tensor:
        """Counts of that mean, on the CPU."""
        return torch.poisson(rate.cpu(), generator=self.generator)
