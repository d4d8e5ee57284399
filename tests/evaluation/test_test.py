"""`vsr test` from the user's door."""

import io
import json
import os
from contextlib import redirect_stdout
from unittest import mock

import numpy as np
import pytest
import torch

from tests.clips import real_clips
from tests.stacks import model
from vsr_adapter.adapters.files import describe, save_adapter
from vsr_adapter.cli import main
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.pictures import panel
from vsr_adapter.frozen import fingerprint
from vsr_adapter.metrics import PSNR
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale
from vsr_adapter.training.datamodule import ClipDataModule
from vsr_adapter.types import Clip
from vsr_adapter.video.images import read_pixels

TINY = ["--config", "tiny.yaml", "--trainer.logger=false", "--trainer.enable_progress_bar=false", "--steps", "1"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 3)


def scored(clips, folder, *more):
    assert main(["test", *TINY, f"--data.test={clips}", "--output", str(folder), *more]) == 0
    return json.loads((folder / "scores.json").read_text())


@pytest.fixture(scope="module")
def one(clips, tmp_path_factory):
    """A test by one process on one thread: its folder, its ``scores.json``, and what it prints."""
    folder, printed, threads = tmp_path_factory.mktemp("one"), io.StringIO(), torch.get_num_threads()
    torch.set_num_threads(1)
    with redirect_stdout(printed):
        content = scored(clips, folder)
    torch.set_num_threads(threads)
    return folder, content, printed.getvalue()


def test_a_test_writes_tables_and_pictures(one):
    folder, content, printed = one
    protocol = content["protocol"]
    assert protocol["LR"] == "BIx4 of the crop"
    assert protocol["crop"] == "the middle 64x64 of HR"
    assert protocol["data"].endswith("3 clips of 8 frames")
    assert "1 steps" in protocol["sampling"]
    assert "seed 0" in protocol["sampling"]
    assert protocol["condition"] == "on"
    assert protocol["scored"] == "all frames"
    assert protocol["post-processing"] == "none"
    weights = [fingerprint(part, 64)[:12] for part in (model().backbone, model().encoder)]
    assert protocol["model"] == f"ModelScopeUNet, KLVAE, test_vit; weights {', '.join(weights)}"
    assert "PSNR on RGB in 8 bit, SSIM on RGB in 8 bit" in protocol["metrics"]
    assert "E_warp[DIS] on RGB in floats" in protocol["metrics"]
    assert all(f"{name}: {value}\n" in printed for name, value in protocol.items())
    assert all(word in printed for word in ("E_warp[DIS] x1000", "s/frame", "bicubic"))
    assert {path.name for path in folder.iterdir()} == {"scores.md", "scores.csv", "scores.json", "pictures"}
    assert [row["method"] for row in content["clips"]] == ["ours", "bicubic", "truth"] * 3
    assert {row["clip"] for row in content["clips"]} == {f"clip0{i}/00000000" for i in range(3)}
    truth = content["means"]["truth"]
    assert truth["SSIM"]["value"] == pytest.approx(1)
    assert truth["E_warp[DIS] x1000"]["value"] > 0
    assert content["means"]["ours"]["s/frame"]["value"] > 0


def test_pictures_are_one_panel_and_a_folder_of_its_parts(clips, one):
    folder, clip = one[0] / "pictures" / "clip01", ClipDataset(clips, size=64)[1]
    assert read_pixels(folder / "00000000.png").shape == (128, 256, 3)
    parts = {path.stem: read_pixels(path) for path in (folder / "00000000").iterdir()}
    whole = ["lr", "bicubic", "output", "gt"]
    assert sorted(parts) == sorted([*whole, *(f"{name}_crop" for name in whole)])
    for name, video in [("lr", clip.lr), ("gt", clip.hr), ("bicubic", bicubic_upscale(clip.lr))]:
        assert np.array_equal(parts[name], (video[4] * 255).round().byte().permute(1, 2, 0).numpy())
    assert np.array_equal(parts["gt_crop"][::4, ::4], parts["gt"][24:40, 24:40])
    assert np.array_equal(parts["lr_crop"][::16, ::16], parts["lr"][6:10, 6:10])
    assert not np.array_equal(parts["output"], parts["bicubic"])


def test_bicubics_row_is_bicubic(clips, one):
    content = one[1]
    expected = [PSNR()(bicubic_upscale(clip.lr)[None], clip.hr[None]).item() for clip in ClipDataset(clips, size=64)]
    found = [row["values"]["PSNR"] for row in content["clips"] if row["method"] == "bicubic"]
    assert found == pytest.approx(expected)
    assert content["means"]["bicubic"]["PSNR"]["value"] == pytest.approx(np.mean(expected))


def test_two_processes_score_what_one_does(clips, one, tmp_path):
    """To the last bit: each clip's noise is its own. Forked, since a new process would take seconds to import."""
    ddp = ["--trainer.devices=2", "--trainer.strategy=ddp_fork", "--trainer.accelerator=cpu"]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked process must not wait for threads that stayed behind, OpenCV's neither
    with mock.patch.dict(os.environ):  # Lightning leaves a port there
        two = scored(clips, tmp_path, "--model.metrics=[{class_path: vsr_adapter.metrics.PSNR}]", *ddp)
    torch.set_num_threads(threads)
    numbers = [
        [(row["clip"], row["method"], row["values"]["PSNR"]) for row in content["clips"]] for content in (one[1], two)
    ]
    assert numbers[1] == numbers[0]
    assert len(numbers[0]) == 9
    for method, means in two["means"].items():
        assert means["PSNR"] == one[1]["means"][method]["PSNR"]
    assert two["protocol"]["adapter"] == one[1]["protocol"]["adapter"]
    assert len(list((tmp_path / "pictures").glob("*/*.png"))) == 3


def test_several_sets_of_whole_frames_have_a_table_each_by_metrics_that_are_chosen(clips, one, tmp_path, capsys):
    others = real_clips(tmp_path / "others", 1, size=72)  # the backbone takes multiples of 8
    metrics = "[{class_path: PSNR}, {class_path: PSNR, init_args: {channels: y, border: 2}}]"
    metrics = metrics.replace("PSNR", "vsr_adapter.metrics.PSNR")
    data = [f"--data.test=[{clips},{others}]", "--data.size=whole", "--output", str(tmp_path / "out")]
    assert main(["test", *TINY, *data, f"--model.metrics={metrics}"]) == 0
    printed = capsys.readouterr().out
    for root, count in [(clips, 3), (others, 1)]:
        content = json.loads((tmp_path / "out" / root.name / "scores.json").read_text())
        protocol = content["protocol"]
        assert protocol["data"] == f"{root}, {count} clips of 8 frames"
        assert (protocol["crop"], protocol["tiles"]) == ("none, whole frames", "16, overlap 4, blend")
        assert protocol["metrics"].endswith("PSNR on RGB in 8 bit, PSNR-Y on Y in 8 bit without 2 px of border")
        assert list(content["means"]["ours"]) == ["PSNR", "PSNR-Y", "s/frame"]
        assert len(content["clips"]) == 3 * count
        assert f"data: {root}, {count} clips" in printed
        assert len(list((tmp_path / "out" / root.name / "pictures").glob("*/*.png"))) == count
        if root == clips:  # of one tile: as crops of that size
            means = [found["means"]["ours"]["PSNR"]["value"] for found in (content, one[1])]
            assert means[0] == pytest.approx(means[1], abs=1e-3)
    with pytest.raises(UserError, match=r"data.test x, x: tables go by these names; rename a folder"):
        ClipDataModule(test=[tmp_path / "a" / "x", tmp_path / "b" / "x"])


def test_a_model_that_gives_nan_is_refused_by_the_clips_name(clips, tmp_path, capsys):
    adapter = model().adapter
    spoilt = {name: tensor.detach() * torch.nan for name, tensor in adapter.state_dict().items()}
    save_adapter(tmp_path / "nan.safetensors", spoilt, describe(adapter), {})
    assert main(["test", *TINY, f"--data.test={clips}", f"--adapter={tmp_path / 'nan.safetensors'}"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert "ours, clip00/00000000 holds NaN or infinity: metrics take finite video in [0, 1]; mend what" in error


def test_shuffled_tokens_are_as_large_and_others():
    on, shuffled = model(), model(condition="shuffled")
    lr = torch.rand(1, 8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ours, theirs = on.told(lr).tokens, shuffled.told(lr).tokens
        again = shuffled.told(lr).tokens
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
