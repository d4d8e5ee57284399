from itertools import pairwise

import pytest
import torch

from vsr_adapter.errors import UserError
from vsr_adapter.windows import TimeGrid, Window, blend, check_window, plan_windows, stream_windows

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


WAN, COG, LTX = TimeGrid(4, 4), TimeGrid(4, 8), TimeGrid(8, 8)
ALONG_A_GRID = [(9, 5, WAN), (9, 1, WAN), (5, 1, WAN), (17, 1, WAN), (17, 13, COG), (9, 1, COG), (17, 9, LTX)]


@pytest.mark.parametrize(("window", "overlap", "grid"), ALONG_A_GRID)
@pytest.mark.parametrize("size", range(1, 41))
def test_windows_keep_to_the_grid_and_the_last_one_lacks_less_than_a_latent_frame(size, window, overlap, grid):
    windows = plan_windows(size, window, overlap, grid)
    assert windows[0].start == 0
    assert windows[-1].stop == size
    assert all(one.start % grid.factor == 0 for one in windows)
    assert all(one.stop - one.start == window for one in windows[:-1])
    lacking = window - (size - windows[-1].start)
    assert 0 <= lacking < grid.factor or len(windows) == 1
    for one, other in pairwise(windows):
        assert one.start < other.start
        assert one.stop - other.start >= overlap
    signal = torch.rand(size, 2, generator=torch.Generator().manual_seed(size))
    assert torch.equal(torch.cat(list(blend((w, signal[w.start : w.stop]) for w in windows))), signal)
    for one, items in stream_windows(iter(range(size)), window, overlap, grid):
        assert items == list(range(*one))


def test_the_plan_along_a_grid_in_numbers():
    assert plan_windows(14, 9, 5, WAN) == [Window(0, 9), Window(4, 13), Window(8, 14)]
    assert plan_windows(30, 9, 5, WAN)[-2:] == [Window(20, 29), Window(24, 30)]
    # moved back as far as the grid allows, so that 3 frames are repeated and not 67
    assert plan_windows(90, 81, 5, WAN) == [Window(0, 81), Window(12, 90)]


@pytest.mark.parametrize(
    ("grid", "given", "found"),
    [
        (TimeGrid(), (None, None), (8, 2)),
        (WAN, (None, None), (9, 5)),
        (WAN, (5, None), (5, 1)),
        (WAN, (None, 1), (9, 1)),
        (WAN, (13, 9), (13, 9)),
        (COG, (None, None), (9, 5)),
        (LTX, (None, None), (9, 1)),
        (LTX, (17, None), (17, 9)),
    ],
)
def test_what_is_left_open_is_the_next_that_fits(grid, given, found):
    assert grid.window(*given, (8, 2)) == found


def test_a_window_of_one_frame_goes_up_where_it_would_reach_no_second_one():
    assert WAN.window(None, None, (1, 2)) == (5, 1)
    assert TimeGrid().window(None, None, (1, 2)) == (1, 0)


@pytest.mark.parametrize(
    ("grid", "window", "overlap", "said"),
    [
        (WAN, 8, 2, r"window 8: .* 1 \+ k \* 4 frames; pass 5 or 9"),
        (WAN, 1, 0, r"window 1: .* pass 5 or 9"),
        (COG, 13, 1, r"window 13: .* 1 \+ k \* 8 frames; pass 9 or 17"),
        (WAN, 9, 2, r"overlap 2: windows of 9 frames must begin at multiples of 4; pass 1 or 5"),
        (WAN, 9, 0, r"overlap 0: .* pass 1$"),
        (WAN, 9, 8, r"overlap 8: .* pass 5$"),
        (LTX, 17, 2, r"overlap 2: .* multiples of 8; pass 1 or 9"),
        (WAN, 9, 9, r"window 9, overlap 9: 0 <= overlap < window"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_nearest_two(grid, window, overlap, said):
    with pytest.raises(UserError, match=said):
        check_window(window, overlap, grid)
    with pytest.raises(UserError, match=said):
        grid.window(window, overlap, (8, 2))


def test_lengths_of_clips():
    for length in (1, 5, 9, 13):
        WAN.check("frames", length)
        assert WAN.up(length) == length
    assert [WAN.latent(length) for length in (1, 5, 9)] == [1, 2, 3]
    for length, near in [(0, "1 or 5"), (2, "1 or 5"), (8, "5 or 9"), (10, "9 or 13")]:
        with pytest.raises(UserError, match=rf"frames {length}: this backbone .* pass {near}"):
            WAN.check("frames", length)
