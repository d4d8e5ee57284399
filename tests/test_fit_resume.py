"""A training run that was stopped and goes on."""

import pytest
import torch

from tests.fitting import checkpoint, fit, scalars
from tests.stacks import backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.training.module import AdapterModule


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
