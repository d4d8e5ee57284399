"""What is said of memory and disk before a run, against what it then takes."""

import re
import subprocess
import sys

import numpy as np
import pytest

from tests.clips import cut, write_video
from tests.predict import predict
from tests.video.rich import rich_video
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
    estimated = float(re.search(r"about ([\d.]+) GB of memory, between ", said).group(1)) * 1e9
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
            r"needs [\d.]+ kB of disk at least, 0.0 kB are free; pass another --output", capsys.readouterr().err
        )
    assert not list(tmp_path.rglob("*.part*"))
    assert predict(*run) == 0


def said_and_taken(source, capsys, *arguments) -> tuple[list[float], int]:
    """Bytes said before a run, and those of segments and result as they lie there together before the segments go."""
    output = source.parent / "out"
    run = ["predict", "--data.predict.estimate=true", "--input", source, "--output", output, *arguments]
    assert main(list(map(str, run))) == 0
    said = re.search(r"between ([\d.]+) (.)B and ([\d.]+) (.)B of disk", capsys.readouterr().out).groups()
    unit = {"k": 1e3, "M": 1e6}
    images = list((output / "a").glob("*.png"))
    files = images or [path for path in output.iterdir() if path.is_file()]
    taken = sum(file.stat().st_size for file in files) * (1 if images else 2)  # PNG are linked, not copied
    return [float(said[0]) * unit[said[1]], float(said[2]) * unit[said[3]]], taken


@pytest.mark.parametrize("how", [["--codec=x264"], ["--codec=ffv1"], ["--output_format=png"]], ids="".join)
@pytest.mark.parametrize("kind", ["flat", "noise"])
def test_what_a_result_takes_of_disk_lies_between_what_is_said(tmp_path, capsys, without_memory, kind, how):
    shape = (10, 16, 16, 3)
    frames = np.full(shape, 99) if kind == "flat" else np.random.default_rng(0).integers(0, 256, shape)
    source = write_video(tmp_path / "a.mp4", list(frames.astype(np.uint8)))
    more = ["--config=tiny.yaml", "--steps=1", "--data.predict.segment=1", *how]
    (least, most), taken = said_and_taken(source, capsys, *more)
    assert 0 < least <= taken <= most


def test_the_shipped_stack_on_real_footage_takes_what_lies_between(tmp_path, capsys, without_memory):
    source = write_video(tmp_path / "a.mp4", cut(0, 9, height=40, width=48))
    more = ["--tile=40", "--trainer.accelerator=cpu", "--data.predict.threads=1"]
    (least, most), taken = said_and_taken(source, capsys, *more)
    assert least <= taken <= most


def test_sound_counts_for_the_upper_bound(tmp_path, capsys, without_memory):
    """It is copied: beside one small frame it is most of the result."""
    source = rich_video(tmp_path / "a.mkv", "tta", frames=1, seconds=12)
    (_, most), taken = said_and_taken(source, capsys, "--config=tiny.yaml", "--steps=1", "--height=12")
    assert 30e3 < taken / 2 < most < 90e3, "sound is in the result alone"
