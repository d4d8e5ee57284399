from itertools import pairwise

import pytest
import torch

from vsr_adapter.errors import UserError
from vsr_adapter.windows import Window, blend, plan_windows, stream_windows

PLANS = [(8, 2), (8, 0), (8, 7), (1, 0), (5, 3), (3, 1)]


@pytest.mark.parametrize(("window", "overlap"), PLANS)
@pytest.mark.parametrize("size", range(1, 41))
def test_identity_comes_back_bit_for_bit(size, window, overlap):
    signal = torch.rand(size, 2, generator=torch.Generator().manual_seed(size))
    windows = plan_windows(size, window, overlap)
    parts = ((w, signal[w.start : w.stop]) for w in windows)
    assert torch.equal(torch.cat(list(blend(parts))), signal)


@pytest.mark.parametrize("dim", [-1, -2, 1])
def test_any_axis_is_blended(dim):
    image = torch.rand(3, 7, 23)
    windows = plan_windows(image.shape[dim], 5, 2)
    parts = ((w, image.narrow(dim, w.start, w.stop - w.start)) for w in windows)
    assert torch.equal(torch.cat(list(blend(parts, dim)), dim), image)


@pytest.mark.parametrize(("window", "overlap"), PLANS)
@pytest.mark.parametrize("size", range(1, 41))
def test_windows_cover_the_axis_and_have_one_length(size, window, overlap):
    windows = plan_windows(size, window, overlap)
    assert windows[0].start == 0
    assert windows[-1].stop == size
    assert {w.stop - w.start for w in windows} == {min(size, window)}
    for one, other in pairwise(windows):
        assert one.start < other.start
        assert one.stop - other.start >= overlap


def test_the_plan_in_numbers():
    assert plan_windows(20, 8, 2) == [Window(0, 8), Window(6, 14), Window(12, 20)]
    assert plan_windows(15, 8, 2) == [Window(0, 8), Window(6, 14), Window(7, 15)]
    assert plan_windows(3, 8, 2) == [Window(0, 3)]


def test_a_stream_gives_the_windows_and_their_items():
    for window, items in stream_windows(iter(range(15)), 8, 2):
        assert items == list(range(*window))
    assert list(stream_windows([], 8, 2)) == []


def test_the_later_window_fades_in():
    parts = [(Window(0, 4), torch.zeros(4)), (Window(2, 6), torch.ones(4))]
    blended = torch.cat(list(blend(parts)))
    torch.testing.assert_close(blended, torch.tensor([0, 0, 1 / 3, 2 / 3, 1, 1]))


def test_one_window_is_held_and_frames_come_as_soon_as_they_are_final():
    consumed = 0

    def frames():
        nonlocal consumed
        for i in range(100):
            consumed += 1
            yield float(i)

    parts = ((w, torch.tensor(block)) for w, block in stream_windows(frames(), 8, 2))
    produced = 0
    for stretch in blend(parts):
        produced += len(stretch)
        # the window that waits for its successor, and that successor's fresh frames
        assert consumed - produced <= 8
    assert produced == 100


@pytest.mark.parametrize(("size", "window", "overlap"), [(0, 8, 2), (5, 8, 8), (5, 0, 0), (5, 8, -1)])
def test_impossible_plans_are_refused(size, window, overlap):
    with pytest.raises(UserError, match=r"(size|window) \d+"):
        plan_windows(size, window, overlap)
