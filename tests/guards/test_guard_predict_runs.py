"""What predict takes, where it writes, what it says, replaces and deletes, and on how many threads it computes."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.clips import cut, write_folder, write_video
from tests.guards.table import guards
from tests.guards.watch import lows, watched
from tests.predict import LOSSLESS, predict
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.video.read import read_frames


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """14 frames: 2 windows."""
    return write_folder(tmp_path_factory.mktemp("runs") / "in", cut(0, 14, height=8, width=8))


@guards("data.input", "data.output")
def test_inputs_are_files_and_folders_and_the_output_a_folder_or_a_file(source, tmp_path):
    write_video(tmp_path / "deep" / "er" / "a.mp4", cut(0, 2, height=8, width=12))
    decoded = list(read_frames(tmp_path / "deep" / "er" / "a.mp4"))
    given = ["--input", source.parent.parent, "--output", tmp_path / "unused"]  # the settings win
    inputs = f"--data.input=[{source},{tmp_path / 'deep'}]"
    with lows() as seen:
        assert predict(*given, inputs, f"--data.output={tmp_path / 'out'}") == 0
    expected = [cut(0, 8, height=8, width=8), cut(6, 8, height=8, width=8), decoded]
    for window, frames in zip(seen, expected, strict=True):
        height, width = frames[0].shape[:2]
        shown = window[0][: len(frames), :height, :width]
        assert np.abs(shown.astype(int) - frames).max() <= 1  # videos are read in floats
    results = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.mp4")}
    assert results == {"in.mp4", "er/a.mp4"}
    assert not (tmp_path / "unused").exists()
    one = [f"--data.input=[{tmp_path / 'deep' / 'er' / 'a.mp4'}]", f"--data.output={tmp_path / 'named.mkv'}"]
    assert predict(*given, *one) == 0
    assert (tmp_path / "named.mkv").is_file()


@guards("data.predict.threads")
def test_torch_computes_on_as_many_threads_as_is_said_or_as_there_are_cores(source, tmp_path):
    before, seen = torch.get_num_threads(), []

    def note(video: torch.Tensor) -> None:
        """Enough is seen."""
        seen.append(torch.get_num_threads())
        raise KeyboardInterrupt

    try:
        for threads in ("2", "3", "null"):
            with watched(FrozenViT, note):
                run = ["--input", source, "--output", tmp_path, "--frames=1", "--quiet"]
                assert predict(*run, f"--data.predict.threads={threads}") == 130
    finally:
        torch.set_num_threads(before)
    assert seen == [2, 3, os.cpu_count()]


@guards("data.predict.estimate")
def test_a_run_is_estimated_and_refused_where_it_cannot_fit_if_that_is_wanted(source, tmp_path, capsys, monkeypatch):
    run = ["--input", source, "--frames=1", "--output"]
    assert predict(*run, tmp_path / "a", "--data.predict.estimate=true") == 0
    said = capsys.readouterr().out
    assert "of memory" in said
    assert "of disk" in said
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9 - 10, 10))
    with lows() as seen:
        assert predict(*run, tmp_path / "b", "--data.predict.estimate=true") == 1
        assert "of disk at least, 0.0 kB are free" in capsys.readouterr().err
        assert not seen
    assert predict(*run, tmp_path / "b", "--data.predict.estimate=false") == 0
    assert "of memory" not in capsys.readouterr().out


@guards("data.predict.overwrite")
def test_what_exists_is_replaced_only_if_that_is_said(source, tmp_path, capsys):
    (tmp_path / "in.mkv").write_text("somebody's work")
    run = ["--input", source, "--output", tmp_path, "--frames=1", *LOSSLESS]
    assert predict(*run, "--data.predict.overwrite=false") == 1
    assert "in.mkv: exists" in capsys.readouterr().err
    assert (tmp_path / "in.mkv").read_text() == "somebody's work"
    assert predict(*run, "--data.predict.overwrite=true") == 0
    assert len(list(read_frames(tmp_path / "in.mkv"))) == 1


@guards("data.predict.quiet")
def test_quiet_prints_no_plan_and_no_progress(source, tmp_path, capsys):
    for quiet in ("false", "true"):
        run = ["--input", source, "--output", tmp_path / quiet, "--frames=1"]
        assert predict(*run, f"--data.predict.quiet={quiet}") == 0
        out, err = capsys.readouterr()
        assert ("8x8 -> 32x32" in out) == ("random weights" in out) == (quiet == "false")
        assert ("frame/s" in err) == (quiet == "false")
        assert "1 done" in out


def left(folder: Path) -> set[str]:
    """Segments, whole ones, that lie under a folder."""
    return {path.as_posix() for path in folder.rglob("*.mkv") if ".vsr" in path.parts}


@guards("data.predict.clean")
def test_segments_of_other_settings_are_deleted_only_if_that_is_said(source, tmp_path):
    run = ["--input", source, "--output", tmp_path, "--data.predict.segment=1", "--quiet", *LOSSLESS]
    seen: list[int] = []

    def interrupt(video: torch.Tensor) -> int:
        """In the second of two segments."""
        if seen:
            raise KeyboardInterrupt
        return 1

    with watched(FrozenViT, interrupt) as calls:
        seen = calls
        assert predict(*run) == 130
    interrupted = left(tmp_path)
    assert len(interrupted) == 1
    assert predict(*run, "--seed=1") == 0
    assert left(tmp_path) == interrupted
    assert predict(*run, "--seed=1", "--data.predict.clean=true") == 0
    assert not left(tmp_path)
    assert (tmp_path / "in.mkv").is_file()
