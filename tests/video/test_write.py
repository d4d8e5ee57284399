from fractions import Fraction

import av
import numpy as np
import pytest

from tests.clips import cut, write_folder
from vsr_adapter.errors import UserError
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames
from vsr_adapter.video.write import FrameWriter, VideoWriter, open_writer


@pytest.mark.parametrize("rate", [Fraction(10), Fraction(24000, 1001), Fraction(60)])
def test_a_video_comes_back_with_its_frames_and_rate(tmp_path, rate):
    frames = cut(0, 10)
    with open_writer(tmp_path / "a.mp4", "mp4", 64, 64, rate) as writer:
        for frame in frames:
            writer.write(frame)
    info = probe(tmp_path / "a.mp4")
    assert (info.frames, info.rate) == (10, rate)
    for ours, written in zip(read_frames(tmp_path / "a.mp4"), frames, strict=True):
        assert np.abs(ours.astype(int) - written).mean() < 5


def test_a_video_says_its_colours_and_keeps_them(tmp_path):
    red = np.full((64, 64, 3), (200, 40, 60), np.uint8)
    with open_writer(tmp_path / "a.mp4", "mp4", 64, 64, Fraction(10)) as writer:
        writer.write(red)
    with av.open(str(tmp_path / "a.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
    assert np.abs(next(read_frames(tmp_path / "a.mp4")).astype(int) - red).max() <= 3


def test_frames_come_back_bit_for_bit(tmp_path):
    frames = cut(0, 3)
    write_folder(tmp_path / "a", frames)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [f"{i:08d}.png" for i in range(3)]
    assert all(np.array_equal(a, b) for a, b in zip(read_frames(tmp_path / "a"), frames, strict=True))


@pytest.mark.parametrize("output_format", ["mp4", "png"])
def test_a_crash_leaves_nothing_and_touches_nothing(tmp_path, output_format):
    target = tmp_path / "out"

    def crash(overwrite):
        def run():
            with open_writer(target, output_format, 64, 64, Fraction(10), overwrite) as writer:
                writer.write(cut(0, 1)[0])
                raise RuntimeError("boom")

        with pytest.raises(RuntimeError, match="boom"):
            run()

    crash(overwrite=False)
    assert list(tmp_path.iterdir()) == []
    with open_writer(target, output_format, 64, 64, Fraction(10)) as writer:
        writer.write(cut(0, 1)[0])
    before = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))]
    crash(overwrite=True)
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*"))] == before


@pytest.mark.parametrize("output_format", ["mp4", "png"])
def test_existing_targets_are_replaced_only_when_asked(tmp_path, output_format):
    target = tmp_path / "out"
    for count in (1, 2):
        with open_writer(target, output_format, 64, 64, Fraction(10), overwrite=count == 2) as writer:
            for frame in cut(0, count):
                writer.write(frame)
        assert probe(target).frames == count
    with pytest.raises(UserError, match="out: exists; pass --overwrite"):
        open_writer(target, output_format, 64, 64, Fraction(10))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_with_other_things_in_it_is_never_replaced(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(UserError, match=r"holds thesis.doc, which we did not write"):
        FrameWriter(tmp_path, overwrite=True)
    assert (tmp_path / "thesis.doc").exists()


def test_a_folder_in_the_way_of_a_video_is_refused_before_the_work(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(UserError, match=r"a.mp4: is a folder"):
        VideoWriter(tmp_path / "a.mp4", 64, 64, Fraction(10), overwrite=True)


def test_what_a_killed_run_of_the_same_process_number_left_is_no_obstacle(tmp_path):
    killed = FrameWriter(tmp_path / "a")
    killed.write(cut(0, 1)[0])
    killed.write(cut(0, 1)[0])
    write_folder(tmp_path / "a", cut(0, 1))
    assert [path.name for path in tmp_path.rglob("*.png")] == ["00000000.png"]


def test_odd_sides_are_refused_for_video(tmp_path):
    with pytest.raises(UserError, match=r"63x64, .* even sides; pass --output_format png"):
        VideoWriter(tmp_path / "a.mp4", 63, 64, Fraction(10))
