"""What is said of memory and disk before a run, against what it then takes."""

import re
import subprocess
import sys

import pytest

from tests.clips import cut, write_video
from tests.predict import predict
from vsr_adapter.predict import estimate

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
    estimated = float(re.search(r"about ([\d.]+) GB of memory, at least \d+ MB of disk", said).group(1)) * 1e9
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
