"""What a test refuses to score, and what it writes."""

import json
from pathlib import Path

import numpy as np

from tests.clips import write_folder
from tests.guards.table import guards
from tests.guards.watch import bicubic, images, lows, score, tensor, write_set
from vsr_adapter.data.degradations import DUFBlurDown
from vsr_adapter.video.images import read_pixels


@guards("data.shifted_lr")
def test_twins_that_lie_elsewhere_are_scored_only_if_that_is_said(tmp_path, capsys):
    """DUF's lie 1.5 pixels off."""
    (frames,) = write_set(tmp_path / "hr", size=64).values()
    twin = images(DUFBlurDown()(tensor(frames), 4))
    write_folder(tmp_path / "lr" / "clip00", list(twin))
    run = ["--data.size=64", f"--data.test_lr={tmp_path / 'lr'}"]
    with lows() as seen:
        assert score(tmp_path / "hr", *run) == 1
        assert not seen
        assert "fits " in capsys.readouterr().err
        assert score(tmp_path / "hr", *run, "--data.shifted_lr=true") == 0
    assert np.array_equal(seen[0][0], twin)


@guards("data.partial")
def test_a_set_with_clips_missing_is_scored_only_if_that_is_said(tmp_path, capsys):
    (frames,) = write_set(tmp_path).values()
    write_folder(tmp_path / "Vid4" / "GT" / "city", frames)
    with lows() as seen:
        assert score(tmp_path / "Vid4") == 1
        assert not seen
        assert "calendar: is missing" in capsys.readouterr().err
        assert score(tmp_path / "Vid4", "--data.partial=true") == 0
    assert np.array_equal(seen[0][0], bicubic(frames))


@guards("report.folder")
def test_tables_and_pictures_go_into_the_folder_of_the_report_and_else_nowhere(tmp_path):
    (frames,) = write_set(tmp_path / "in").values()
    assert score(tmp_path / "in") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["in"] == [path.name for path in Path().iterdir()]
    folder = tmp_path / "report"
    assert score(tmp_path / "in", f"--report.folder={folder}") == 0
    assert {path.name for path in folder.iterdir()} == {"scores.md", "scores.csv", "scores.json", "pictures"}
    assert list(json.loads((folder / "scores.json").read_text())["means"]) == ["ours", "bicubic", "truth"]
    pictures = folder / "pictures" / "clip00" / "00000000"
    assert np.array_equal(read_pixels(pictures / "gt.png"), frames[4])
    assert np.array_equal(read_pixels(pictures / "lr.png"), bicubic(frames)[4])
