"""Which frames predict reads, shows to the networks and writes, and at which size."""

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.clips import cut, write_folder, write_video
from tests.guards.table import guards
from tests.guards.watch import lows
from tests.predict import predict
from vsr_adapter.video.images import read_pixels
from vsr_adapter.video.read import read_frames


def pictures(folder: Path) -> np.ndarray:
    return np.stack([read_pixels(path) for path in sorted(folder.iterdir())])


def upscaled(source: Path, folder: Path, *more: str) -> tuple[list[np.ndarray], np.ndarray]:
    """The windows that the ViT looked at, cropped to the source, and the frames that came out."""
    height, width = next(iter(read_frames(source, 0, 1))).shape[:2]
    with lows() as seen:
        assert predict("--input", source, "--output", folder, "--quiet", "--output_format=png", *more) == 0
    return [window[0][:, :height, :width] for window in seen], pictures(folder / source.stem)


@pytest.fixture(scope="module")
def frames():
    """26: windows of 8 begin at 0, 6, 12, 18."""
    return np.stack(cut(0, 26, height=8, width=8))


@pytest.fixture(scope="module")
def source(frames, tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("frames") / "in", list(frames))


@pytest.fixture(scope="module")
def whole(source, tmp_path_factory):
    return upscaled(source, tmp_path_factory.mktemp("whole"))


def test_all_frames_come_in_and_out(frames, whole):
    windows, result = whole
    assert all(np.array_equal(w, frames[b : b + 8]) for w, b in zip(windows, (0, 6, 12, 18), strict=True))
    assert result.shape == (26, 32, 32, 3)


@guards("data.predict.start", "data.predict.frames")
def test_a_preview_is_of_the_frames_that_are_named(frames, source, whole, tmp_path):
    """And the same as those of the whole, where no window is blended in that a preview has not."""
    first, count = "--data.predict.start=6", "--data.predict.frames=8"
    for name, more, (begin, end), (same, until) in (
        ("start", ["--data.predict.start=18"], (18, 26), (20, 26)),
        ("frames", [count], (0, 8), (0, 6)),
        ("both", [first, count], (6, 14), (8, 12)),
    ):
        windows, result = upscaled(source, tmp_path / name, *more)
        assert len(windows) == 1, name
        assert np.array_equal(windows[0], frames[begin:end]), name
        assert len(result) == end - begin, name
        assert np.array_equal(result[same - begin : until - begin], whole[1][same:until]), name


@guards("data.predict.height")
def test_the_height_is_reached_by_shrinking_with_antialiasing(tmp_path):
    """Pillow's antialiased bicubic of what comes out at full size."""
    source = write_folder(tmp_path / "in", cut(0, 2, height=16, width=24))
    runs = {}
    for name, more in (("full", []), ("small", ["--data.predict.height=20"])):
        more = ["--quiet", "--output_format=png16", *more]
        assert predict("--input", source, "--output", tmp_path / name, *more) == 0
        runs[name] = (pictures(tmp_path / name / "in") / 65535).astype(np.float32)
    assert runs["full"].shape == (2, 64, 96, 3)
    assert runs["small"].shape == (2, 20, 30, 3)
    for full, small in zip(runs["full"], runs["small"], strict=True):
        planes = [Image.fromarray(full[..., i]).resize((30, 20), Image.Resampling.BICUBIC) for i in range(3)]
        np.testing.assert_allclose(small, np.stack([np.asarray(p) for p in planes], -1).clip(0, 1), atol=1e-3)


@guards("data.predict.segment")
def test_each_segment_more_costs_one_window_and_changes_nothing(source, whole, tmp_path):
    """A segment holds so many windows, of 4 here, and computes the last one of its neighbour again."""
    assert len(whole[0]) == 4, "of 12 by default: one segment"
    for segment, segments in ((1, 4), (3, 2)):
        windows, result = upscaled(source, tmp_path / str(segment), f"--data.predict.segment={segment}")
        assert len(windows) == 4 + segments - 1, segment
        assert np.array_equal(result, whole[1])
        assert len(list((tmp_path / str(segment)).glob(".vsr/*/[0-9]*.json"))) == segments


@guards("data.predict.cuts")
def test_no_window_holds_frames_of_two_scenes_unless_cuts_are_off(tmp_path, monkeypatch, capsys):
    scenes = [np.stack(cut(0, 12, height=8, width=8)), 255 - np.stack(cut(20, 10, 96, 160, 8, 8))]
    source = write_folder(tmp_path / "in", [*scenes[0], *scenes[1]])
    held = [{frame.tobytes() for frame in scene} for scene in scenes]

    def mixed(name: str, cuts: str) -> list[bool]:
        """Of each window, whether it holds frames of both."""
        windows, result = upscaled(source, tmp_path / name, f"--data.predict.cuts={cuts}")
        assert len(result) == 22
        return [all(any(f.tobytes() in scene for f in window) for scene in held) for window in windows]

    assert mixed("on", "on") == [False] * 4, "0 to 8, 4 to 12; 12 to 20, 14 to 22"
    assert mixed("off", "off") == [False, True, False, False], "6 to 14 is of both"
    assert mixed("auto", "auto") == [False] * 4
    monkeypatch.setitem(sys.modules, "scenedetect", None)  # as if it were not installed
    assert mixed("without", "auto") == [False, True, False, False]
    assert predict("--input", source, "--output", tmp_path / "no", "--data.predict.cuts=on") == 1
    assert "PySceneDetect is not installed" in capsys.readouterr().err


def damaged(path: Path) -> Path:
    """Packets 14 and 15 are zeros."""
    write_video(path, cut(0, 24, height=16, width=16), bframes=0)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size][14:16]
        for packet in packets:
            content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    return path


@guards("data.predict.damaged")
def test_a_damaged_frame_fails_is_its_neighbour_or_is_left_out(tmp_path, capsys):
    source = damaged(tmp_path / "in.mp4")
    run = ["--start=12", "--frames=8"]
    assert predict("--input", source, "--output", tmp_path / "fail", *run) == 1
    assert "frame 14" in capsys.readouterr().err
    (window,), result = upscaled(source, tmp_path / "repeat", *run, "--data.predict.damaged=repeat")
    assert np.array_equal(window[2], window[1])
    assert np.array_equal(window[3], window[1])
    assert not np.array_equal(window[4], window[1])
    assert len(result) == 8
    _, left = upscaled(source, tmp_path / "skip", *run, "--data.predict.damaged=skip")
    assert np.array_equal(left, result[[0, 1, 4, 5, 6, 7]])
