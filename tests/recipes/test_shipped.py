"""The shipped stack: what it scores, and that the commands use it by its name."""

from pathlib import Path

import pytest
import torch
import yaml

from tests.clips import cut, real_clips, write_folder
from vsr_adapter import assets
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.errors import UserError
from vsr_adapter.inference.config import read_model
from vsr_adapter.inference.sample import sample
from vsr_adapter.metrics import LPIPS, PSNR, SSIM
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale
from vsr_adapter.seeds import NoiseField
from vsr_adapter.video.read import read_frames

MINI = Path(assets.__file__).parent / "mini"
QUICK = ["--tile=16", "--model.sampling.tiles.overlap=4", "--data.predict.threads=1", "--data.predict.estimate=false"]


@torch.no_grad()
def test_the_shipped_weights_score_what_was_recorded():
    """On a crop of the sample, which nothing trained on; tolerances are for other kernels, not for other weights."""
    frames = torch.stack([torch.from_numpy(frame) for frame in cut(frames=4, top=64, left=64, height=128, width=128)])
    hr = frames.permute(0, 3, 1, 2)[None] / 255
    lr = bicubic_downscale(hr)
    ours = sample(read_model("default.yaml").load(), lr, [NoiseField((0,), range(4))])
    recorded = {"bicubic": (24.471, 0.6917, 0.3984), "ours": (25.210, 0.7349, 0.1779)}
    for name, video in [("bicubic", bicubic_upscale(lr)), ("ours", ours)]:
        scores = [metric.per_clip(video, hr).item() for metric in (PSNR(), SSIM(), LPIPS())]
        for score, expected, tolerance in zip(scores, recorded[name], (0.02, 0.001, 0.002), strict=True):
            assert score == pytest.approx(expected, abs=tolerance), (name, scores)


def test_the_weights_stay_below_their_limit():
    assert sum(path.stat().st_size for path in MINI.rglob("*")) < 30e6


def test_predict_without_a_config_upscales_by_the_shipped_stack_from_anywhere(tmp_path, capsys, monkeypatch):
    frames = cut(0, 2, height=12, width=16)
    write_folder(tmp_path / "in", frames)
    monkeypatch.chdir(tmp_path)
    more = [*QUICK, "--output_format", "png"]
    assert main(["predict", "--input", "in", "--output", "out", *more]) == 0
    assert "random" not in "".join(capsys.readouterr())
    (ours, *_) = read_frames(tmp_path / "out" / "in")
    assert ours.shape == (48, 64, 3)
    small = bicubic_downscale(torch.from_numpy(ours).permute(2, 0, 1) / 255)
    assert PSNR()(small[None, None], torch.from_numpy(frames[0]).permute(2, 0, 1)[None, None] / 255) > 30


def test_an_adapter_is_fitted_on_the_shipped_stack_and_predict_takes_it(tmp_path, capsys):
    real_clips(tmp_path / "clips", 2)
    data = [f"--data.{split}={tmp_path / 'clips'}" for split in ("train", "val")]
    quick = [
        "--data.size=64",
        "--trainer.max_steps=2",
        f"--trainer.default_root_dir={tmp_path}",
        "--trainer.logger=false",
    ]
    callbacks = yaml.safe_dump([{"class_path": "ModelCheckpoint", "init_args": {"dirpath": str(tmp_path)}}])
    quick += [f"--trainer.callbacks={callbacks}", "--model.optimizer.lr=0.1"]
    assert main(["fit", "--config", "mini.yaml", *data, *quick]) == 0
    assert "train/loss: 0.000" not in capsys.readouterr().out
    (checkpoint,) = tmp_path.glob("*.ckpt")
    assert main(["export", str(checkpoint), str(tmp_path / "a.safetensors")]) == 0
    write_folder(tmp_path / "in", cut(0, 1, height=16, width=16))
    results = []
    for more in ([], ["--adapter", str(tmp_path / "a.safetensors")]):
        output = tmp_path / f"out{len(more)}"
        same = ["--input", str(tmp_path / "in"), "--output", str(output), *QUICK, "--output_format", "png"]
        assert main(["predict", *same, *more]) == 0
        results.append(torch.from_numpy(next(iter(read_frames(output / "in")))))
    assert "random" not in capsys.readouterr().out
    assert not torch.equal(*results)


def test_another_transformer_is_refused_by_name():
    with pytest.raises(UserError, match=r"encoder.weights mini: a vit_tiny_patch16_224's, not a test_vit's; set enc"):
        FrozenViT("test_vit", "mini").load()
    with pytest.raises(UserError, match=r"encoder.weights nowhere: no such file; pass a file, 'mini', 'pretrained'"):
        FrozenViT("test_vit", "nowhere").load()
