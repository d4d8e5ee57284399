"""Several sets in one epoch, by weights."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import torch
from torch.utils.data import Dataset

from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.loader import EpochIndex
from vsr_adapter.errors import UserError
from vsr_adapter.seeds import generator
from vsr_adapter.types import Clip


class Mixture(Dataset[Clip]):
    """As many clips an epoch as all sets have together, shared out by weights.

    A set with fewer clips than its share repeats them, one with more shows others in the next epoch: no clip comes
    again before all of its set have come.

    Args:
        sets: at least one.
        weights: of each; None weighs a clip like any other.
        seed: of the order in which a set's clips come.

    Raises:
        UserError: another number of weights, or one that is not positive.
    """

    def __init__(self, sets: Sequence[ClipDataset], weights: Sequence[float] | None = None, seed: int = 0):
        lengths = [len(clips) for clips in sets]
        weights = lengths if weights is None else weights
        if len(weights) != len(sets) or min(weights) <= 0:
            raise UserError(
                f"train_weights {list(weights)} of {len(sets)} sets: must be as many, and positive; pass one a set"
            )
        self.sets, self.seed = sets, seed
        total = sum(lengths)
        self.shares = [max(round(weight / sum(weights) * total), 1) for weight in weights]
        self.ends = list(accumulate(self.shares))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, number: int) -> Clip:
        """The clip at that place of the epoch (0 for a plain number)."""
        epoch = number.epoch if isinstance(number, EpochIndex) else 0
        which = bisect_right(self.ends, number)
        share, clips = self.shares[which], self.sets[which]
        before = epoch * share + int(number) - (self.ends[which] - share)
        tour, place = divmod(before, len(clips))
        order = torch.randperm(len(clips), generator=generator(self.seed, "mixture", which, tour))
        return clips[EpochIndex(int(order[place]), epoch)]
