"""Interruptions, settings that change, memory that runs out: the same bits, and nothing lost."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.clips import cut, write_video
from tests.predict import LOSSLESS, predict
from vsr_adapter.backbones import ModelScopeUNet
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT

SMALL_SEGMENTS = ["--data.predict.segment=2", *LOSSLESS]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """26 frames: 4 windows, 2 segments."""
    return write_video(tmp_path_factory.mktemp("resume") / "a.mp4", cut(0, 26, height=8, width=12))


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def uninterrupted(source, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    assert predict("--input", source, "--output", output, *SMALL_SEGMENTS) == 0
    return decoded(output / "a.mkv")


def same(path: Path, frames: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(decoded(path), frames, strict=True))


def vsr(*arguments, output: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vsr_adapter", "predict", "--config", "tiny.yaml", "--steps", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *SMALL_SEGMENTS, *map(str, arguments), "--output", str(output)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for(found, process: subprocess.Popen, seconds: float = 120) -> bool:
    """Polls until ``found()``, or the process has ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if found():
            return True
        time.sleep(0.01)
    return found()


def committed(output: Path) -> set[str]:
    return {path.name for path in output.glob(".vsr/*/[0-9]*.json")}


def kill_and_go_on(source: Path, output: Path, uninterrupted, chance: random.Random) -> None:
    """SIGKILL at a random moment after the work began; then the same command again."""
    process = vsr("--input", source, output=output)
    wait_for(lambda: any(output.glob(".vsr/*/job.json")), process)
    time.sleep(chance.random() * 1.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stderr.close()
    before = committed(output)
    stamps = {path: path.stat().st_mtime_ns for path in output.glob(".vsr/*/[0-9]*.json")}
    assert predict("--input", source, "--output", output, *SMALL_SEGMENTS) == 0
    assert same(output / "a.mkv", uninterrupted)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()), "a segment was done again"
    assert before <= committed(output)
    assert not list(output.glob(".vsr/*/*.part*")) or before, "parts of a killed run may lie about until the join"


@pytest.mark.parametrize("attempt", range(3))
def test_a_killed_run_goes_on_to_the_same_bits(attempt, source, uninterrupted, tmp_path):
    kill_and_go_on(source, tmp_path, uninterrupted, random.Random(attempt))


@pytest.mark.bench
@pytest.mark.parametrize("attempt", range(20))
def test_twenty_killed_runs_go_on_to_the_same_bits(attempt, source, uninterrupted, tmp_path):
    kill_and_go_on(source, tmp_path, uninterrupted, random.Random(100 + attempt))


class Faulty(ModelScopeUNet):
    """A UNet to which something happens."""

    calls = 0
    fault = staticmethod(lambda calls, z_t: None)

    def denoise(self, z_t, t, condition):
        Faulty.calls += 1
        Faulty.fault(Faulty.calls, z_t)
        return super().denoise(z_t, t, condition)


def faulty(fault, *arguments) -> int:
    """Runs where ``fault`` is called before each step."""
    Faulty.calls, Faulty.fault = 0, staticmethod(fault)
    try:
        return predict(f"--model.backbone.unet.class_path={__name__}.Faulty", *SMALL_SEGMENTS, *arguments)
    finally:
        Faulty.fault = staticmethod(lambda calls, z_t: None)


def never(calls, z_t):
    """All is well."""


def interrupt(calls, z_t):
    """Ctrl-C in the second of two segments, which has three windows."""
    if calls == 4:
        raise KeyboardInterrupt


def test_an_interrupt_says_how_to_go_on(source, uninterrupted, tmp_path, capsys):
    assert faulty(interrupt, "--input", source, "--output", tmp_path) == 130
    assert "interrupted: 1 of 2 segments are kept; run the same command again to go on" in capsys.readouterr().err
    assert not list(tmp_path.glob(".vsr/*/*.part*"))
    assert faulty(never, "--input", source, "--output", tmp_path) == 0
    assert Faulty.calls == 3, "the first segment is done again"
    assert "2 segments, 1 segments are there" in capsys.readouterr().out
    assert same(tmp_path / "a.mkv", uninterrupted)


def test_a_finished_result_is_skipped_and_one_of_other_settings_is_not_replaced(source, tmp_path, capsys):
    run = ["--input", source, "--output", tmp_path, "--frames", "3"]
    assert predict(*run) == 0
    stamp = (tmp_path / "a.mp4").stat().st_mtime_ns
    capsys.readouterr()
    assert predict(*run) == 0
    assert "a.mp4: is done already" in capsys.readouterr().out
    assert predict(*run, "--seed", "9") == 1
    said = "a.mp4: exists (made with other settings, input or version); pass --overwrite to replace it"
    assert said in capsys.readouterr().err
    assert (tmp_path / "a.mp4").stat().st_mtime_ns == stamp
    assert predict(*run, "--seed", "9", "--overwrite") == 0
    assert (tmp_path / "a.mp4").stat().st_mtime_ns != stamp
    # the first settings' journal no longer speaks of this file
    assert predict(*run) == 1


def test_changed_settings_begin_a_new_folder_and_only_clean_deletes_the_old(source, uninterrupted, tmp_path, capsys):
    run = ["--input", source, "--output", tmp_path]
    assert faulty(interrupt, *run) == 130
    (old,) = (tmp_path / ".vsr").glob("a.mkv-*")
    assert faulty(never, *run, "--seed", "1") == 0
    assert f"settings, input or version changed; what was done before is in {old}" in capsys.readouterr().out
    assert (old / "00000.json").exists()
    # the old settings go on where they were
    assert faulty(never, *run, "--overwrite") == 0
    assert same(tmp_path / "a.mkv", uninterrupted)
    assert faulty(never, *run, "--clean") == 0
    assert [path.name for path in (tmp_path / ".vsr").glob("a.mkv-*")] == [old.name]


def test_other_weights_under_the_same_name_are_other_settings(tmp_path, capsys):
    source = write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    weights = tmp_path / "vit.safetensors"
    run = ["--model.encoder.init_args.weights", weights, "--input", source, "--output", tmp_path / "out"]
    save_file(FrozenViT("test_vit", seed=1).load().network.state_dict(), weights)
    assert predict(*run) == 0
    assert predict(*run) == 0
    assert "is done already" in capsys.readouterr().out
    save_file(FrozenViT("test_vit", seed=2).load().network.state_dict(), weights)
    assert predict(*run) == 1
    assert "--overwrite" in capsys.readouterr().err


def test_a_committed_segment_that_was_damaged_is_said_and_not_joined(source, tmp_path, capsys):
    run = ["--input", source, "--output", tmp_path]
    assert faulty(interrupt, *run) == 130
    (segment,) = tmp_path.glob(".vsr/*/00000.mkv")
    segment.write_bytes(segment.read_bytes()[: segment.stat().st_size // 2])
    assert faulty(never, *run) == 1
    assert re.search(r"00000\.mkv: \d+ frames, must be \d+; delete it, run again", capsys.readouterr().err)
    assert not (tmp_path / "a.mkv").exists()
    segment.unlink()
    segment.with_suffix(".json").unlink()
    assert faulty(never, *run) == 0


def little_memory(calls, z_t):
    """Large tiles do not fit, once the first segment is done."""
    if z_t.shape[-1] > 16 and calls > 5:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


def test_out_of_memory_goes_on_with_half_the_tile(tmp_path, capsys):
    source = write_video(tmp_path / "a.mp4", cut(0, 26, height=8, width=40))
    assert faulty(little_memory, "--input", source, "--output", tmp_path / "out", "--tile", "32") == 0
    assert "a.mkv: 26 frames; out of memory: done with tiles of 16" in capsys.readouterr().out
    folders = list((tmp_path / "out" / ".vsr").glob("a.mkv-*"))
    assert len(folders) == 2
    assert sum((folder / "00000.mkv").exists() for folder in folders) == 1, "the finished segment is set aside"
    run = ["--input", source, "--output", tmp_path / "out", "--tile", "32"]
    assert faulty(never, *run, "--clean") == 0
    assert "a.mkv: is done already; out of memory: done with tiles of 16" in capsys.readouterr().out
    assert Faulty.calls == 0
    assert sorted((tmp_path / "out" / ".vsr").glob("a.mkv-*")) == sorted(folders), "both are this job's own"
    assert faulty(never, "--input", source, "--output", tmp_path / "small", "--tile", "16") == 0
    assert same(tmp_path / "out" / "a.mkv", decoded(tmp_path / "small" / "a.mkv"))


def test_memory_that_suffices_for_no_tile_fails_the_video_in_one_line(source, tmp_path, capsys):
    def none(calls, z_t):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    assert faulty(none, "--input", source, "--output", tmp_path) == 1
    assert "tile of 16: out of memory, and none smaller makes sense" in capsys.readouterr().err


def test_the_command_line_of_a_preview_and_of_a_height(source, tmp_path):
    preview = ["--start", "5", "--frames", "9", "--height", "20", "--output", str(tmp_path / "x.mkv")]
    assert main(["predict", "--config", "tiny.yaml", "--steps", "1", "--input", str(source), *preview, "--quiet"]) == 0
    with av.open(str(tmp_path / "x.mkv")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (30, 20)
        times = [frame.time for frame in container.decode(stream)]
    np.testing.assert_allclose(times, np.arange(9) / 10, atol=1e-3)


def test_the_summary_as_json(source, tmp_path, capsys):
    (tmp_path / "empty.mp4").touch()
    inputs = ["--input", source, tmp_path / "empty.mp4"]
    assert predict(*inputs, "--output", tmp_path / "out", "--frames", "2", "--json") == 1
    summary = json.loads(capsys.readouterr().out)
    assert (summary["done"], summary["failed"]) == (1, 1)
    assert {video["status"] for video in summary["videos"]} == {"done", "failed"}
    assert "is empty (0 bytes)" in next(video["error"] for video in summary["videos"] if video["status"] == "failed")
