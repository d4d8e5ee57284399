"""A training loader that resumes in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any, Self

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from vsr_adapter.types import Clip


class EpochIndex(int):
    """Number of a clip that knows the epoch it is drawn in: workers that live on cannot be told otherwise."""

    epoch: int

    def __new__(cls, number: int, epoch: int = 0) -> Self:
        """The number, and the epoch."""
        index = super().__new__(cls, number)
        index.epoch = epoch
        return index


class ResumableSampler(DistributedSampler[Clip]):
    """torch's DistributedSampler, whose order is a function of (seed, epoch), starting in the middle once."""

    skip = 0

    def __iter__(self) -> Iterator[Any]:
        # torch promises clips, and gives their numbers
        order = [EpochIndex(number, self.epoch) for number in super().__iter__()]  # type: ignore[arg-type]
        start, self.skip = self.skip, 0
        return iter(order[start:])


class ResumableLoader(DataLoader[Clip]):
    """Shuffled batches whose position goes into the checkpoint.

    Lightning saves no RNG state and restarts the batches of an interrupted epoch, unless the loader has
    ``state_dict`` and ``load_state_dict``. What counts is the batches handed out, not those that workers have
    drawn ahead.

    Args:
        dataset: of clips.
        seed: the order is a function of it and of the epoch.
        world_size: processes that share the clips.
        rank: of this one.
        settings: of DataLoader.
    """

    def __init__(self, dataset: Dataset[Clip], seed: int, world_size: int, rank: int, **settings: Any):
        # Lightning leaves a DistributedSampler alone, and tells it the epoch; only for `overfit_batches` does it
        # build the loader again, with a sampler of its own among the settings
        settings.setdefault("sampler", ResumableSampler(dataset, world_size, rank, shuffle=True, seed=seed))
        super().__init__(dataset, **settings)
        self.position = 0
        self.resume = {"epoch": 0, "batches": 0}

    @property
    def epoch(self) -> int:
        """What Lightning told the sampler."""
        return getattr(self.sampler, "epoch", 0)

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override] # torch promises a private class
        # a generator: Lightning asks for the iterator before it tells the sampler the epoch
        # the epoch must be the same: `limit_train_batches` ends epochs early, and the next one starts whole
        self.position = self.resume["batches"] if self.resume["epoch"] == self.epoch else 0
        self.resume = {"epoch": 0, "batches": 0}
        if isinstance(self.sampler, ResumableSampler):
            self.sampler.skip = self.position * (self.batch_size or 1)
        for batch in super().__iter__():
            self.position += 1
            yield batch
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        """The epoch, and the batches of it that were handed out; 0 when all were."""
        return {"epoch": self.epoch, "batches": self.position % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration, if of that epoch, begins after that many batches."""
        self.resume = state
