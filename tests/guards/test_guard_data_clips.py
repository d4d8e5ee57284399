"""Which clips a command shows to the networks, and which part of them."""

import numpy as np
import pytest

from tests.clips import cut, write_folder
from tests.guards.table import guards
from tests.guards.watch import bicubic, lows, place, score, train, truths, validate, write_set


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    """One clip of 20 frames."""
    folder = tmp_path_factory.mktemp("long")
    return folder, write_set(folder, frames=20)


@guards("data.train", "data.val", "data.test")
def test_each_command_looks_into_its_own_folder(tmp_path):
    sources = {}
    for number, name in enumerate(("train", "val", "test")):
        sources |= write_set(tmp_path / name, first=number)
    folders = [f"--data.{name}={tmp_path / name}" for name in ("train", "val", "test")]
    with truths() as seen:
        assert train(tmp_path / "train", *folders, "--trainer.limit_val_batches=1.0") == 0
    assert [place(clip, sources) for clip in seen] == [("clip00", 0), ("clip01", 0)]
    with truths() as seen:
        assert validate(tmp_path / "val", *folders) == 0
    assert [place(clip, sources) for clip in seen] == [("clip01", 0)]
    with lows() as seen:
        assert score(tmp_path / "test", *folders) == 0
    assert len(seen) == 1
    assert np.array_equal(seen[0][0], bicubic(sources["clip02"]))


def test_several_folders_of_training_and_of_test_are_all_looked_into(tmp_path):
    sources = write_set(tmp_path / "a") | write_set(tmp_path / "b", first=1)
    both = f"[{tmp_path / 'a'},{tmp_path / 'b'}]"
    with truths() as seen:
        assert train(both) == 0
    assert sorted(place(clip, sources) for clip in seen) == [("clip00", 0), ("clip01", 0)]
    with lows() as seen:
        assert score(both) == 0
    assert all(np.array_equal(a[0], bicubic(b)) for a, b in zip(seen, sources.values(), strict=True))


@guards("data.train_lr", "data.val_lr", "data.test_lr")
def test_twins_are_read_where_a_folder_of_them_is_named(tmp_path):
    """Near to what would be made, and not it: a test looks whether they lie where they should."""
    sources = write_set(tmp_path / "hr", size=64)
    made = bicubic(sources["clip00"])
    for run, name, bits in ((train, "train", 0xF0), (validate, "val", 0xF8), (score, "test", 0xFC)):
        write_folder(tmp_path / f"{name}_lr" / "clip00", list(made & bits))
        with lows() as seen:
            assert run(tmp_path / "hr", "--data.size=64", f"--data.{name}_lr={tmp_path / f'{name}_lr'}") == 0
        assert np.array_equal(seen[0][0], made & bits), name
        assert not np.array_equal(seen[0][0], made), name


@guards("data.frames")
def test_a_clip_has_as_many_frames_as_is_said(long):
    folder, sources = long
    for frames, starts in ((4, [0, 4, 8, 12, 16]), (6, [0, 6, 12])):
        with truths() as truth, lows() as low:
            assert train(folder, f"--data.frames={frames}", f"--model.adapter.frames={frames}") == 0
        assert {len(clip) for clip in truth} == {clip.shape[1] for clip in low} == {frames}
        assert sorted(place(clip, sources)[1] for clip in truth) == starts


@guards("data.size")
def test_the_crop_is_the_middle_on_the_low_resolution_grid(tmp_path):
    frames = np.stack(cut(0, 8, height=72, width=100))
    write_folder(tmp_path / "wide" / "clip", list(frames))
    with truths() as truth, lows() as low:
        assert validate(tmp_path / "wide", "--data.size=32") == 0
    crop = frames[:, 20:52, 32:64]  # 40 / 2 = 20; 68 / 2 = 34, which is not on the grid
    assert np.array_equal(truth[0], crop)
    assert np.array_equal(low[0][0], bicubic(crop))
    whole = np.stack(cut(0, 8, height=40, width=96))
    write_folder(tmp_path / "whole" / "clip", list(whole))
    with truths() as truth, lows() as low:
        assert validate(tmp_path / "whole", "--data.size=whole") == 0
        assert score(tmp_path / "whole", "--data.size=whole") == 0
    assert np.array_equal(truth[0], whole)
    small = bicubic(whole)
    assert np.array_equal(low[0][0], small)
    # a test samples whole frames in tiles of 16, here side by side: columns 0 to 16, and the last 16 of 24
    assert np.array_equal(low[1][0][:, :10], small[:, :, :16])
    assert np.array_equal(low[-1][0][:, :10], small[:, :, 8:])


@guards("data.scale")
def test_low_resolution_is_smaller_by_the_scale(long):
    folder, sources = long
    with truths() as truth, lows() as low:
        assert validate(folder, "--data.scale=2", "--model.scale=2") == 0
    assert truth[0].shape == (8, 32, 32, 3)
    assert low[0].shape == (1, 8, 16, 16, 3)
    assert np.array_equal(low[0][0], bicubic(sources["clip00"][:8], 2))


@guards("data.train_stride")
def test_training_clips_start_a_stride_apart(long):
    folder, sources = long
    with truths() as seen:
        assert train(folder, "--data.train_stride=3") == 0
    assert sorted(place(clip, sources)[1] for clip in seen) == [0, 3, 6, 9, 12]
    with truths() as seen:
        assert validate(folder, "--data.train_stride=3", "--data.eval_clips=null") == 0
    assert [place(clip, sources)[1] for clip in seen] == [0, 8], "of training alone"


@guards("data.train_clips")
def test_training_takes_so_many_clips_of_a_video_spread_evenly(long):
    folder, sources = long
    with truths() as seen:  # of 13: None, as above, takes all
        assert train(folder, "--data.train_stride=1", "--data.train_clips=2") == 0
    assert sorted(place(clip, sources)[1] for clip in seen) == [0, 6]


@guards("data.eval_clips")
def test_validation_and_test_take_so_many_clips_of_a_video_spread_evenly(tmp_path):
    sources = write_set(tmp_path, count=2, frames=24)
    for clips, starts in (("2", [0, 8]), ("null", [0, 8, 16])):
        with truths() as seen:
            assert validate(tmp_path, f"--data.eval_clips={clips}") == 0
        assert [place(clip, sources) for clip in seen] == [(name, start) for name in sources for start in starts]
    with lows() as seen:
        assert score(tmp_path, "--data.eval_clips=2") == 0
    expected = [bicubic(frames[start : start + 8]) for frames in sources.values() for start in (0, 8)]
    assert all(np.array_equal(a[0], b) for a, b in zip(seen, expected, strict=True))


@guards("data.batch_size")
def test_a_step_takes_a_batch(tmp_path):
    write_set(tmp_path, count=5)
    with lows() as seen:
        assert train(tmp_path, "--data.batch_size=2") == 0
    assert [len(batch) for batch in seen] == [2, 2, 1]
    with lows() as seen:
        assert validate(tmp_path, "--data.batch_size=3") == 0
    assert [len(batch) for batch in seen] == [3, 2]
