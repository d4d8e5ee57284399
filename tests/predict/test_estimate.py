"""What is said of memory and disk before a run, against what it then takes."""

import re
import subprocess
import sys

import pytest

from tests.clips import cut, write_video
from tests.predict import predict
from vsr_adapter.cli import main
from vsr_adapter.jobs import estimate


@pytest.fixture
def without_memory(monkeypatch):
    """The estimate of memory takes time, and has a test of its own."""
    monkeypatch.setattr(estimate, "memory", lambda model, job: (0, 0))


RUN = """
import resource, sys
from vsr_adapter.cli import main
code = main(["predict", "--config", "tiny.yaml", "--steps", "1", "--data.predict.estimate=true", *sys.argv[1:]])
print("PEAK", code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_is_estimated_within_a_quarter(tmp_path):
    source = write_video(tmp_path / "a.mp4", cut(0, 8, height=64, width=64))
    command = [sys.executable, "-c", RUN, "--tile", "64", "--input", str(source), "--output", str(tmp_path / "out")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code, peak = map(int, said.split("PEAK ")[1].split())
    assert code == 0
    estimated = float(re.search(r"about ([\d.]+) GB of memory, at least [\d.]+ MB of disk", said).group(1)) * 1e9
    assert estimated == pytest.approx(peak, rel=0.25)


def test_what_cannot_fit_is_refused_before_it_starts(tmp_path, capsys, monkeypatch):
    source = write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    run = ["--data.predict.estimate=true", "--input", source, "--output", tmp_path / "out"]
    with monkeypatch.context() as machine:
        machine.setattr(estimate, "free", lambda device: -estimate.held())
        assert predict(*run) == 1
        assert re.search(
            r"needs about [\d.]+ GB of memory, 0.0 GB are free; pass a smaller --tile", capsys.readouterr().err
        )
    with monkeypatch.context() as machine:
        usage = type("Usage", (), {"free": 10})
        machine.setattr(estimate.shutil, "disk_usage", lambda path: usage)
        assert predict(*run) == 1
        assert re.search(
            r"needs about [\d.]+ GB of disk, 0.0 GB are free; pass another --output", capsys.readouterr().err
        )
    assert not list(tmp_path.rglob("*.part*"))
    assert predict(*run) == 0


def estimated_and_taken(tmp_path, capsys, frames, *arguments) -> tuple[float, int]:
    """Bytes said before a run, and those of segments and result as they lie there together before the segments go."""
    source = write_video(tmp_path / "a.mp4", frames)
    run = ["--data.predict.estimate=true", "--input", source, "--output", tmp_path / "out", *arguments]
    assert main(["predict", *map(str, run)]) == 0
    estimated = float(re.search(r"about ([\d.]+) MB of disk", capsys.readouterr().out).group(1)) * 1e6
    images = list((tmp_path / "out" / "a").glob("*.png"))
    files = images or [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    return estimated, sum(file.stat().st_size for file in files) * (1 if images else 2)  # PNG are linked, not copied


def test_disk_is_estimated_within_a_quarter(tmp_path, capsys, monkeypatch, without_memory):
    """Random weights give noise, whose windows do not agree: video of that cannot be estimated, frames can."""
    monkeypatch.setattr(estimate, "WORTH", 1)  # as for a longer video
    more = ["--config=tiny.yaml", "--steps=1", "--tile=32", "--height=64", "--output_format=png"]
    estimated, taken = estimated_and_taken(tmp_path, capsys, cut(0, 26, height=32, width=32), *more)
    assert estimated == pytest.approx(taken, rel=0.25)


def test_disk_of_a_video_is_estimated_within_a_quarter(tmp_path, capsys, monkeypatch, without_memory):
    """The shipped stack on real footage."""
    monkeypatch.setattr(estimate, "WORTH", 1)
    more = ["--tile=40", "--trainer.accelerator=cpu", "--data.predict.threads=1"]
    estimated, taken = estimated_and_taken(tmp_path, capsys, cut(0, 14, height=40, width=48), *more)
    assert estimated == pytest.approx(taken, rel=0.25)


def test_a_short_video_is_not_upscaled_twice_for_its_size(tmp_path, capsys, without_memory):
    source = write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    assert predict("--data.predict.estimate=true", "--input", source, "--output", tmp_path / "out") == 0
    assert re.search(r"at least [\d.]+ MB of disk", capsys.readouterr().out)
