"""`vsr test` from the user's door."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tests.clips import real_clips
from tests.stacks import model
from vsr_adapter.cli import main
from vsr_adapter.frozen import fingerprint
from vsr_adapter.metrics import PSNR
from vsr_adapter.report.pictures import panel
from vsr_adapter.types import Clip
from vsr_adapter.video.images import read_pixels
from vsr_adapter.video.resize import bicubic_downscale, bicubic_upscale

TINY = ["--config", "tiny.yaml", "--trainer.logger=false", "--trainer.enable_progress_bar=false", "--steps", "1"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 3)


def scored(clips, folder, *more):
    assert main(["test", *TINY, f"--data.test={clips}", "--output", str(folder), *more]) == 0
    return json.loads((folder / "scores.json").read_text())


def test_a_test_writes_tables_and_pictures(clips, tmp_path, capsys):
    content = scored(clips, tmp_path / "out")
    printed = capsys.readouterr().out
    protocol = content["protocol"]
    assert protocol["LR"] == "BIx4 of the crop"
    assert protocol["crop"] == "the middle 64x64 of HR"
    assert protocol["data"].endswith("3 clips of 8 frames")
    assert "1 steps" in protocol["sampling"]
    assert "seed 0" in protocol["sampling"]
    assert protocol["condition"] == "on"
    assert "PSNR on 8 bit, SSIM on 8 bit, LPIPS-alex on 8 bit, E_warp[DIS] on floats" in protocol["metrics"]
    assert all(line in printed for line in (protocol["adapter"], "E_warp[DIS] x1000", "s/frame", "bicubic"))
    assert [row["method"] for row in content["clips"]] == ["ours", "bicubic", "truth"] * 3
    assert {row["clip"] for row in content["clips"]} == {f"clip0{i}/00000000" for i in range(3)}
    truth = content["means"]["truth"]
    assert truth["SSIM"]["value"] == pytest.approx(1)
    assert truth["E_warp[DIS] x1000"]["value"] > 0
    assert content["means"]["ours"]["s/frame"]["value"] > 0
    assert read_pixels(tmp_path / "out" / "pictures" / "clip01" / "00000000.png").shape == (128, 256, 3)


def test_bicubics_row_is_bicubic(clips, tmp_path):
    from vsr_adapter.data.clips import ClipDataset

    content = scored(clips, tmp_path / "out")
    expected = [PSNR()(bicubic_upscale(clip.lr)[None], clip.hr[None]).item() for clip in ClipDataset(clips, size=64)]
    found = [row["values"]["PSNR"] for row in content["clips"] if row["method"] == "bicubic"]
    assert found == pytest.approx(expected)
    assert content["means"]["bicubic"]["PSNR"]["value"] == pytest.approx(np.mean(expected))


def test_metrics_are_chosen_by_class_path(clips, tmp_path):
    metrics = "[{class_path: vsr_adapter.metrics.PSNR, init_args: {channels: y, border: 2}}]"
    content = scored(clips, tmp_path / "out", f"--model.metrics={metrics}")
    assert list(content["means"]["ours"]) == ["PSNR-Y", "s/frame"]
    assert content["protocol"]["metrics"].endswith("PSNR-Y on 8 bit without 2 px of border")


def test_two_processes_score_what_one_does(clips, tmp_path):
    metrics = "--model.metrics=[{class_path: vsr_adapter.metrics.PSNR}]"
    one = scored(clips, tmp_path / "one", metrics)
    ddp = ["--trainer.devices=2", "--trainer.strategy=ddp", "--trainer.accelerator=cpu", metrics]
    command = [sys.executable, "-m", "vsr_adapter", "test", *TINY, f"--data.test={clips}", "--output=two", *ddp]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    two = json.loads((tmp_path / "two" / "scores.json").read_text())
    for a, b in zip(one["clips"], two["clips"], strict=True):
        assert (a["clip"], a["method"]) == (b["clip"], b["method"])
        if a["method"] != "truth":
            assert b["values"]["PSNR"] == pytest.approx(a["values"]["PSNR"], abs=1e-3)
    assert len(list((tmp_path / "two" / "pictures").rglob("*.png"))) == 3


def test_shuffled_tokens_are_as_large_and_others():
    on, shuffled = model(), model(condition="shuffled")
    lr = torch.rand(1, 8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = on.condition(lr).tokens, shuffled.condition(lr).tokens
        again = shuffled.condition(lr).tokens
    assert not torch.equal(ours, theirs)
    assert torch.equal(again, theirs)
    torch.testing.assert_close(ours.flatten().sort().values, theirs.flatten().sort().values)
    # attention does not see the order of tokens: each token must be another
    assert not torch.isclose(theirs.norm(dim=-1).sort().values, ours.norm(dim=-1).sort().values).all()


def test_the_fingerprint_is_that_of_the_weights():
    one, two = model().adapter, model().adapter
    assert fingerprint(one) == fingerprint(two)
    with torch.no_grad():
        next(two.parameters()).view(-1)[0] += 1e-6
    assert fingerprint(one) != fingerprint(two)


def test_a_picture_shows_what_it_says():
    hr = torch.rand(1, 3, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    clip = Clip(bicubic_downscale(hr), hr, ["x"])
    image = panel(clip, torch.zeros_like(hr), 4)
    assert image.shape == (3, 64, 256)
    assert torch.equal(image[:, :32, :64][:, ::4, ::4], clip.lr[0, 1])
    assert torch.equal(image[:, :32, 64:128], bicubic_upscale(clip.lr)[0, 1])
    assert (image[:, :, 128:192] == 0).all()
    assert torch.equal(image[:, :32, 192:], hr[0, 1])
    assert torch.equal(image[:, 32:, 192:][:, ::4, ::4], hr[0, 1, :, 12:20, 24:40])
