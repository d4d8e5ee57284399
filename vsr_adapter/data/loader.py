"""A training loader that resumes in the middle of an epoch."""

from collections.abc import Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from vsr_adapter.types import Clip


class ResumableSampler(DistributedSampler[Clip]):
    """torch's DistributedSampler, whose order is a function of (seed, epoch), starting in the middle once."""

    skip = 0

    def __iter__(self) -> Iterator[Any]:
        order = list(super().__iter__())
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
        # Lightning leaves a DistributedSampler alone, and tells it the epoch
        sampler = ResumableSampler(dataset, world_size, rank, shuffle=True, seed=seed)
        super().__init__(dataset, sampler=sampler, **settings)
        self.position = 0
        self.resume = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override] # torch promises a private class
        # a generator: Lightning asks for the iterator before it tells the sampler the epoch
        self.position, self.resume = self.resume, 0
        self.sampler.skip = self.position * (self.batch_size or 1)  # type: ignore[attr-defined] # ours
        for batch in super().__iter__():
            self.position += 1
            yield batch
        self.position = 0

    def state_dict(self) -> dict[str, int]:
        """Batches handed out in this epoch; 0 when all were."""
        return {"batches": self.position % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """The next iteration begins after that many batches."""
        self.resume = state["batches"]
