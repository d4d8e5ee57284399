"""Predicting through the user's door."""

from fractions import Fraction

import numpy as np
import pytest

from tests.clips import cut, write_folder, write_video
from tests.predict import predict
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError
from vsr_adapter.jobs.targets import videos_of
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames


def test_videos_and_folders_come_out_x4_with_their_frames_and_rate(tmp_path, capsys):
    write_video(tmp_path / "in" / "a b.mp4", cut(0, 11, height=14, width=22), Fraction(24000, 1001))
    write_folder(tmp_path / "in" / "deep" / "frames", cut(0, 3, height=8, width=8))
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    info = probe(tmp_path / "out" / "a b.mp4")
    assert (info.frames, info.width, info.height, info.rate) == (11, 88, 56, Fraction(24000, 1001))
    assert probe(tmp_path / "out" / "deep" / "frames.mp4")[1:4] == (3, 32, 32)
    out, err = capsys.readouterr()
    assert "2 done, 0 failed" in out
    assert "a b.mp4: 11 frames" in out
    assert "vsr: note: random weights in UNet, VAE, ViT, adapter" in out
    assert "14/14" in err, "one progress bar, in frames"
    assert "a b.mp4: 22x14 -> 88x56, 11 frames, 2 windows, 1 segment" in out


def test_png_frames_are_what_the_stack_gives(tmp_path):
    from vsr_adapter import Restorer

    frames = cut(0, 10, height=8, width=12)
    write_folder(tmp_path / "in", frames)
    more = ["--output_format", "png", "--condition", "off", "--seed", "3"]
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out", *more) == 0
    written = sorted((tmp_path / "out" / "in").iterdir())
    assert [path.name for path in written] == [f"{i:08d}.png" for i in range(10)]
    restorer = Restorer.from_config(
        "tiny.yaml", sampling__sampler__steps=1, sampling__condition="off", sampling__seed=3
    )
    for ours, expected in zip(read_frames(tmp_path / "out" / "in"), restorer.restore(frames), strict=True):
        assert np.array_equal(ours, expected)


def test_one_bad_video_does_not_stop_the_others(tmp_path, capsys):
    write_video(tmp_path / "in" / "good.mp4", cut(0, 2, height=8, width=8))
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    (tmp_path / "in" / "empty.mp4").touch()
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 1
    out, err = capsys.readouterr()
    assert "1 done, 2 failed" in out
    assert "vsr: error: " in err
    assert "bad.mp4: cannot be read as a video" in err
    assert "empty.mp4: is empty (0 bytes)" in err
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == ["good.mp4"]


def test_nothing_is_overwritten_unless_asked(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.mp4").write_text("somebody's work")
    assert predict("--input", tmp_path / "a.mp4", "--output", tmp_path / "out") == 1
    assert "exists; pass --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.mp4").read_text() == "somebody's work"
    assert predict("--input", tmp_path / "a.mp4", "--output", tmp_path / "out", "--overwrite") == 0
    assert probe(tmp_path / "out" / "a.mp4").frames == 2


def test_an_output_inside_the_input_is_not_predicted_again(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    write_video(tmp_path / "out" / "b.mp4", cut(0, 2, height=8, width=8))
    assert [video.source.name for video in videos_of([tmp_path], tmp_path / "out")] == ["a.mp4"]


def test_names_that_clash_keep_their_ending(tmp_path):
    for name in ("a.mkv", "a.mp4"):
        write_video(tmp_path / "in" / name, cut(0, 1, height=8, width=8))
    targets = [video.target.name for video in videos_of([tmp_path / "in"], tmp_path / "out")]
    assert targets == ["a", "a.mp4"], "a suffix is added to both"
    write_video(tmp_path / "other" / "a.mkv", cut(0, 1, height=8, width=8))
    write_video(tmp_path / "third" / "a.mkv", cut(0, 1, height=8, width=8))
    with pytest.raises(UserError, match=r"its output .* is that of .*; use two output folders"):
        videos_of([tmp_path / "in", tmp_path / "other", tmp_path / "third"], tmp_path / "out")


def test_an_unwritable_output_fails_in_one_line(tmp_path, capsys):
    write_video(tmp_path / "a.mp4", cut(0, 1, height=8, width=8))
    (tmp_path / "file").touch()
    assert predict("--input", tmp_path / "a.mp4", "--output", tmp_path / "file") == 1
    assert f"vsr: error: --output {tmp_path / 'file'}: is a file; name a folder" in capsys.readouterr().err


def test_bf16_runs(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    more = ["--trainer.precision", "bf16-mixed"]
    assert predict("--input", tmp_path / "a.mp4", "--output", tmp_path / "out", *more) == 0
    assert probe(tmp_path / "out" / "a.mp4").frames == 2


def test_the_same_command_gives_the_same_frames(tmp_path):
    write_folder(tmp_path / "in", cut(0, 9, height=8, width=8))
    for name in ("one", "two"):
        assert predict("--input", tmp_path / "in", "--output", tmp_path / name, "--output_format", "png") == 0
    both = [list(read_frames(tmp_path / name / "in")) for name in ("one", "two")]
    assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


def test_without_a_config_the_shipped_default_runs(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 1, height=8, width=8))
    assert main(["predict", "--input", str(tmp_path / "a.mp4"), "--output", str(tmp_path / "out"), "--steps=1"]) == 0
    assert probe(tmp_path / "out" / "a.mp4").frames == 1
