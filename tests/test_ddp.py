"""Two processes on the CPU."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.clips import cut, real_clips, write_folder
from vsr_adapter.cli import main
from vsr_adapter.video.read import read_frames

TWO = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]


def vsr(*arguments, cwd):
    """A process of its own: Lightning starts the second one by running the command again."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vsr_adapter", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


def test_two_processes_train_what_one_does_with_twice_the_batch(tmp_path):
    clips = real_clips(tmp_path / "clips", 6)
    data = [f"--data.train={clips}", f"--data.val={clips}", "--trainer.max_epochs=1"]
    more = ["fit", "--config=tiny.yaml", *data]
    done = vsr(*more, *TWO, "--trainer.default_root_dir=two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert main([*more, "--data.batch_size=2", f"--trainer.default_root_dir={tmp_path / 'one'}"]) == 0
    weights = [
        torch.load(next((tmp_path / name).rglob("last.ckpt")), weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    start = torch.load(next((tmp_path / "one").rglob("last.ckpt")), weights_only=True)
    assert start["global_step"] == 3
    for key, one in weights[0].items():
        torch.testing.assert_close(weights[1][key], one, atol=2e-4, rtol=1e-3)


def test_the_means_of_unequal_shares_are_those_of_one_process(tmp_path):
    """Three clips on two processes: Lightning's own `sync_dist` gives 1.5 times the mean."""
    clips = real_clips(tmp_path / "clips", 3)
    more = ["validate", "--config=tiny.yaml", f"--data.val={clips}", "--trainer.logger=false"]
    found = [re.search(r"val/loss\D+([\d.]+)", vsr(*more, *to, cwd=tmp_path).stdout) for to in ([], TWO)]
    one, two = (float(match.group(1)) for match in found)
    assert two == pytest.approx(one, rel=1e-5)


def test_two_processes_predict_what_one_does_and_report_every_failure(tmp_path):
    for i in range(3):
        write_folder(tmp_path / "in" / f"v{i}", cut(i, 3, height=8, width=8))
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    more = ["predict", "--config=tiny.yaml", "--steps=1", "--output_format=png", "--input", tmp_path / "in"]
    done = vsr(*more, "--output", tmp_path / "two", *TWO, cwd=tmp_path)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "3 done, 1 failed" in done.stdout
    assert "bad.mp4: cannot be read as a video" in done.stderr
    assert main([str(argument) for argument in [*more, "--output", tmp_path / "one"]]) == 1
    for i in range(3):
        both = [list(read_frames(tmp_path / name / f"v{i}")) for name in ("one", "two")]
        assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))
