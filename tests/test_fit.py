"""Training through the user's door."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.clips import real_clips
from tests.stacks import backbone
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.module import AdapterModule


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """``train/``, six videos, and ``val/``, the first two of them: every epoch is validated."""
    folder = tmp_path_factory.mktemp("clips")
    real_clips(folder / "train", 6)
    real_clips(folder / "val", 2)
    return folder


def fit(clips: Path, root: Path, *more: str) -> int:
    settings = {"data.train": clips / "train", "data.val": clips / "val", "trainer.default_root_dir": root}
    quiet = "--trainer.enable_progress_bar=false"
    return main(["fit", "--config=tiny.yaml", quiet, *(f"--{key}={value}" for key, value in settings.items()), *more])


def scalars(root: Path, tag: str) -> list[float]:
    """A logged curve, over all runs in a folder."""
    found = []
    for version in sorted((root / "lightning_logs").iterdir()):
        events = EventAccumulator(str(version))
        events.Reload()
        found += [event.value for event in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []
    return found


@pytest.fixture(scope="module")
def trained(clips, tmp_path_factory):
    """Ten epochs on six real clips, at a rate that learns."""
    root = tmp_path_factory.mktemp("trained")
    more = ["--trainer.max_epochs=10", "--trainer.check_val_every_n_epoch=5", "--model.optimizer.lr=0.01"]
    assert fit(clips, root, *more) == 0
    return root


def checkpoint(root: Path, name: str = "last.ckpt") -> Path:
    return next(root.rglob(name))


def validation_loss(capsys, clips, *more: str) -> float:
    capsys.readouterr()
    assert (
        main(["validate", "--config", "tiny.yaml", f"--data.val={clips / 'train'}", "--trainer.logger=false", *more])
        == 0
    )
    return float(re.search(r"val/loss\s*│?\s*([\d.]+)", capsys.readouterr().out).group(1))


def test_the_loss_falls_against_the_frozen_start(clips, trained, capsys):
    """Measured: 1.089 before, 0.995 after; without a gradient both are equal."""
    before = validation_loss(capsys, clips)
    after = validation_loss(capsys, clips, f"--ckpt_path={checkpoint(trained)}")
    assert after < 0.95 * before
    losses = scalars(trained, "train/loss")
    assert sum(losses[-20:]) < 0.97 * sum(losses[:20])


def test_what_tensorboard_shows(trained):
    events = EventAccumulator(str(next((trained / "lightning_logs").iterdir())))
    events.Reload()
    assert {"train/loss", "val/loss", "train/grad_norm", "lr-Adam"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"] == ["val/clip00/00000000"]
    strip = events.Images("val/clip00/00000000")[0]
    assert (strip.height, strip.width) == (64, 4 * 64)
    assert min(scalars(trained, "train/grad_norm")) > 0


def test_the_rate_warms_up_and_follows_a_cosine(trained):
    rates = scalars(trained, "lr-Adam")
    assert rates[0] == pytest.approx(0.01 / 3)
    assert max(rates) == pytest.approx(0.01)
    peak = rates.index(max(rates))
    assert all(a > b for a, b in pairwise(rates[peak:]))
    assert rates[-1] < 0.0005


def test_a_checkpoint_holds_the_adapter_and_the_optimizer_alone(trained):
    content = torch.load(checkpoint(trained), weights_only=True)
    assert set(content["state_dict"]) == {
        f"{layer}.{kind}" for layer in ("fusion", "mapping.0", "mapping.2") for kind in ("weight", "bias")
    }
    parameters = sum(p.numel() for p in content["state_dict"].values())
    assert checkpoint(trained).stat().st_size < 3 * 4 * parameters + 50_000  # weights, two moments
    assert "hyper_parameters" not in content


def test_an_exported_adapter_does_what_the_checkpoint_did(clips, trained, tmp_path, capsys):
    file = tmp_path / "adapter.safetensors"
    assert main(["export", str(checkpoint(trained)), str(file)]) == 0
    with safe_open(file, "pt") as opened:
        assert '"step": 60' in opened.metadata()["made_by"]
        assert '"ModelScopeUNet"' in opened.metadata()["made_by"]
    from_file = validation_loss(capsys, clips, f"--adapter={file}")
    assert from_file == validation_loss(capsys, clips, f"--ckpt_path={checkpoint(trained)}")
    assert main(["export", str(checkpoint(trained)), str(file)]) == 1
    assert "exists; export never overwrites" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("stop", "more"),
    [
        (4, []),
        (8, ["--data.num_workers=2"]),
        (1, ["--trainer.accumulate_grad_batches=2", "--data.batch_size=2"]),
        (6, ["--trainer.val_check_interval=3"]),
    ],
    ids=["mid-epoch", "second epoch, workers", "accumulation", "epoch border, validation within"],
)
def test_resuming_is_bit_for_bit_never_having_stopped(clips, tmp_path, stop, more):
    every = "--trainer.callbacks+=lightning.pytorch.callbacks.ModelCheckpoint"
    save = [every, "--trainer.callbacks.every_n_train_steps=1", "--trainer.callbacks.save_top_k=-1"]
    save += ["--trainer.callbacks.filename=step{step}", "--trainer.callbacks.auto_insert_metric_name=false"]
    assert fit(clips, tmp_path / "whole", *more, *save) == 0
    # the checkpoint of that step is what a kill right after it leaves
    start = checkpoint(tmp_path / "whole", f"step{stop}.ckpt")
    assert fit(clips, tmp_path / "resumed", *more, f"--ckpt_path={start}") == 0
    whole, resumed = (scalars(tmp_path / name, "train/loss") for name in ("whole", "resumed"))
    assert resumed == whole[stop:]
    assert 0 < len(resumed) == len(whole) - stop
    last = [torch.load(checkpoint(tmp_path / name, "last.ckpt"), weights_only=True) for name in ("whole", "resumed")]
    assert all(torch.equal(last[0]["state_dict"][key], last[1]["state_dict"][key]) for key in last[0]["state_dict"])
    assert scalars(tmp_path / "whole", "val/loss")[-1] == scalars(tmp_path / "resumed", "val/loss")[-1]


def test_the_frozen_parts_have_dropout_that_never_acts():
    """What the exactness of resuming rests on: the tiny UNet has dropout, as the published one has."""
    module = AdapterModule(backbone=backbone(), encoder=FrozenViT("test_vit"))
    module.configure_model()
    module.train()
    assert module.model.adapter.training
    dropouts = [m for m in module.model.backbone.modules() if isinstance(m, torch.nn.Dropout) and m.p > 0]
    assert dropouts
    assert not any(m.training for m in dropouts)
