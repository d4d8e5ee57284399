"""Which training times one step of the optimizer looks at: recipes A, B and C.

Section 4.1.1 of the thesis speaks of "30 denoising steps" in each iteration, Eq. 3.4 of one random t; all
readings are here, and each is one class.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class TimeSteps(ABC):
    """Chooses the times of one clip."""

    @abstractmethod
    def draw(self, train_steps: int, grid: Tensor, generator: torch.Generator) -> Tensor:
        """Indices into the training times, shape (K,): the loss is averaged over them.

        Args:
            train_steps: number of training times, 1000.
            grid: indices that the sampler visits, shape (steps,).
            generator: of this clip.
        """


class UniformTimeSteps(TimeSteps):
    """Recipe A: one t, uniform over all training times, as in Eq. 3.4."""

    def draw(self, train_steps: int, grid: Tensor, generator: torch.Generator) -> Tensor:
        """Shape (1,)."""
        return torch.randint(train_steps, (1,), generator=generator)


class InferenceGridTimeSteps(TimeSteps):
    """Recipe B: one t, uniform over the times that the sampler visits."""

    def draw(self, train_steps: int, grid: Tensor, generator: torch.Generator) -> Tensor:
        """Shape (1,)."""
        return grid[torch.randint(len(grid), (1,), generator=generator)]


class WholeGridTimeSteps(TimeSteps):
    """Recipe C: all times that the sampler visits; costs as many forward passes a clip."""

    def draw(self, train_steps: int, grid: Tensor, generator: torch.Generator) -> Tensor:
        """Shape (steps,)."""
        return grid
