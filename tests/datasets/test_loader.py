import torch
from torch.utils.data import Dataset

from vsr_adapter.data.loader import ResumableLoader


class Numbers(Dataset):
    """Stands for clips: only the order matters here."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return i


def loader(world_size=1, rank=0, workers=0, batch_size=1):
    return ResumableLoader(Numbers(), 0, world_size, rank, batch_size=batch_size, num_workers=workers)


def order(of, epoch=0):
    of.sampler.set_epoch(epoch)
    return torch.cat(list(of)).tolist()


def test_the_order_is_a_function_of_seed_and_epoch():
    assert order(loader(), 3) == order(loader(), 3)
    assert order(loader(), 3) != order(loader(), 4)
    assert sorted(order(loader(), 3)) == list(range(10))


def test_workers_do_not_change_the_order():
    assert order(loader(workers=2)) == order(loader())


def test_processes_share_the_clips():
    shares = [order(loader(2, rank)) for rank in range(2)]
    assert sorted(shares[0] + shares[1]) == list(range(10))


def test_it_resumes_at_the_next_batch_also_when_workers_have_drawn_ahead():
    for workers in (0, 2):
        whole, stopped, resumed = (loader(workers=workers, batch_size=2) for _ in range(3))
        expected = order(whole, 5)
        stopped.sampler.set_epoch(5)
        batches = iter(stopped)
        seen = torch.cat([next(batches) for _ in range(2)]).tolist()
        resumed.load_state_dict(stopped.state_dict())
        assert seen + order(resumed, 5) == expected
        assert order(resumed, 6) == order(whole, 6), "the epoch after it is whole"


def test_after_the_last_batch_an_epoch_is_over():
    complete = loader()
    batches = iter(complete)
    for _ in range(10):
        next(batches)
    assert complete.state_dict() == {"epoch": 0, "batches": 0}
