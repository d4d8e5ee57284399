"""Two processes on the CPU."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.clips import cut, real_clips, write_folder, write_video
from tests.predict import LOSSLESS
from vsr_adapter.cli import main
from vsr_adapter.video.read import read_frames

TWO = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]


def vsr(*arguments, cwd):
    """A process of its own: Lightning starts the second one by running the command again."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "vsr_adapter", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(("config", "frames"), [("tiny.yaml", 8), ("tiny_wan.yaml", 9)])
def test_two_processes_train_what_one_does_with_twice_the_batch(config, frames, tmp_path):
    clips = real_clips(tmp_path / "clips", 6, frames)
    data = [f"--data.train={clips}", f"--data.val={clips}", "--trainer.max_epochs=1"]
    more = ["fit", f"--config={config}", *data]
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


def test_the_means_of_unequal_shares_are_those_of_one_process(tmp_path, capsys):
    """Three clips on two processes: Lightning's own `sync_dist` gives 1.5 times the mean."""
    clips = real_clips(tmp_path / "clips", 3)
    more = ["validate", "--config=tiny.yaml", f"--data.val={clips}", "--trainer.logger=false"]
    assert main(more) == 0
    said = [capsys.readouterr().out, vsr(*more, *TWO, cwd=tmp_path).stdout]
    one, two = (float(re.search(r"val/loss\D+([\d.]+)", text).group(1)) for text in said)
    assert two == pytest.approx(one, rel=1e-5)


def test_two_processes_share_one_long_video_and_report_every_failure(tmp_path):
    """Segments of one video, bit for bit what one process makes of them."""
    write_video(tmp_path / "in" / "a.mp4", cut(0, 32, height=8, width=8))
    write_folder(tmp_path / "in" / "frames", cut(0, 3, height=8, width=8))
    (tmp_path / "in" / "bad.mp4").write_text("no video")
    more = ["predict", "--config=tiny.yaml", "--steps=1", "--data.predict.segment=2", *LOSSLESS]
    more += ["--input", tmp_path / "in"]
    done = vsr(*more, "--output", tmp_path / "two", *TWO, cwd=tmp_path)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "2 done, 1 failed" in done.stdout
    assert "bad.mp4: cannot be read as a video" in done.stderr
    assert main([str(argument) for argument in [*more, "--output", tmp_path / "one"]]) == 1
    for name, frames in [("a.mkv", 32), ("frames.mkv", 3)]:
        both = [list(read_frames(tmp_path / output / name)) for output in ("one", "two")]
        assert len(both[0]) == frames
        assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


def test_two_processes_share_the_windows_of_latent_frames_that_stand_for_several(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 24, height=8, width=8))
    more = ["predict", "--config=tiny_wan.yaml", "--steps=1", "--data.predict.segment=1", *LOSSLESS]
    more += ["--input", tmp_path / "a.mp4"]
    done = vsr(*more, "--output", tmp_path / "two", *TWO, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("window 9 in place of 8") == 1, "said once"
    assert main([str(argument) for argument in [*more, "--output", tmp_path / "one"]]) == 0
    both = [list(read_frames(tmp_path / output / "a.mkv")) for output in ("one", "two")]
    assert len(both[0]) == 24
    assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


DYING = """
import os, signal, sys
from vsr_adapter.cli import main
from vsr_adapter.jobs import run

whole = run.complete

def complete(model, job, stretch, tick):
    if os.environ.get("LOCAL_RANK") == "1" and stretch.number >= 3:
        os.kill(os.getpid(), signal.SIGKILL)
    whole(model, job, stretch, tick)

run.complete = complete
sys.exit(main(sys.argv[1:]))
"""


def test_a_process_that_dies_hangs_nobody_and_the_next_run_goes_on(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 32, height=8, width=8))
    (tmp_path / "dying.py").write_text(DYING)
    more = ["predict", "--config=tiny.yaml", "--steps=1", "--data.predict.segment=1", *LOSSLESS]
    more += ["--input", tmp_path / "a.mp4", "--output", tmp_path / "out"]
    command = [sys.executable, tmp_path / "dying.py", *more, *TWO]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    died = subprocess.run(
        list(map(str, command)), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200
    )
    assert died.returncode != 0
    assert not (tmp_path / "out" / "a.mkv").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/.vsr/*/[0-9]*.json")}
    assert kept, "what was committed before is kept"
    assert main([str(argument) for argument in more]) == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
    assert main([str(argument) for argument in [*more[:-1], tmp_path / "whole"]]) == 0
    both = [list(read_frames(tmp_path / output / "a.mkv")) for output in ("out", "whole")]
    assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))


@pytest.mark.bench
def test_two_nodes_of_torchrun_give_what_one_process_does(tmp_path):
    """Two launchers, as on two machines that see the same folder."""
    write_video(tmp_path / "in" / "a.mp4", cut(0, 32, height=8, width=8))
    write_folder(tmp_path / "in" / "frames", cut(0, 5, height=8, width=8))
    more = ["predict", "--config=tiny.yaml", "--steps=1", "--data.predict.segment=1", f"--input={tmp_path / 'in'}"]
    share = ["--trainer.strategy=ddp", "--trainer.accelerator=cpu", "--trainer.devices=1", "--trainer.num_nodes=2"]
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc_per_node=1", "--master_port=29517"]
    launch += ["--master_addr=127.0.0.1"]
    nodes = [
        subprocess.Popen(
            [*launch, f"--node_rank={rank}", "-m", "vsr_adapter", *more, f"--output={tmp_path / 'two'}", *share],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for rank in range(2)
    ]  # fmt: skip
    assert [node.wait(timeout=600) for node in nodes] == [0, 0]
    assert main([*more, f"--output={tmp_path / 'one'}"]) == 0
    for name, frames in [("a.mp4", 32), ("frames.mp4", 5)]:
        both = [list(read_frames(tmp_path / output / name)) for output in ("one", "two")]
        assert len(both[0]) == frames
        assert all(np.array_equal(a, b) for a, b in zip(*both, strict=True))
