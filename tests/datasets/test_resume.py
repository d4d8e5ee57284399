"""The order of training clips over a stop and a resume, through Lightning."""

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from tests.clips import real_clips
from vsr_adapter.training.datamodule import ClipDataModule


class Recorder(LightningModule):
    """Remembers the clips it is trained on."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, clip, batch_idx):
        self.seen.append((self.current_epoch, tuple(clip.name)))
        return self.weight * clip.lr.mean()

    def validation_step(self, clip, batch_idx):
        self.log("val/loss", clip.lr.mean())

    def configure_optimizers(self):
        assert self.trainer.estimated_stepping_batches > 0  # as ours: it makes Lightning ask for the loader early
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 7)


def order(clips, folder, callback, start=None, data=None, **settings):
    """The clips that a fit of three epochs trains on."""
    module = Recorder()
    trainer = Trainer(
        **{"max_epochs": 3, "accelerator": "cpu", "limit_val_batches": 0, **settings},
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback(dirpath=folder, save_top_k=-1, filename="{step}")],
    )
    loading = {"size": 64, "num_workers": 0, **(data or {})}
    trainer.fit(module, ClipDataModule(train=clips, val=clips, **loading), ckpt_path=start)
    return module.seen


def every_step(**settings):
    return ModelCheckpoint(every_n_train_steps=1, **settings)


def at_validation(**settings):
    return ModelCheckpoint(monitor="val/loss", **settings)


def at_epoch_end(**settings):
    return ModelCheckpoint(save_on_train_epoch_end=True, **settings)


@pytest.mark.parametrize(
    ("callback", "settings", "data"),
    [
        (every_step, {}, {"num_workers": 2}),
        (every_step, {"accumulate_grad_batches": 2}, {"batch_size": 2}),
        (every_step, {"limit_train_batches": 4}, {}),
        (at_epoch_end, {"limit_train_batches": 4}, {}),
        (at_validation, {"limit_val_batches": 1, "val_check_interval": 3}, {}),
        (every_step, {"reload_dataloaders_every_n_epochs": 1}, {}),
    ],
    ids=["workers", "accumulation", "epochs cut short", "saved after a short epoch", "at validation", "reloaded"],
)
def test_resuming_goes_on_with_the_next_clip(clips, tmp_path, callback, settings, data):
    whole = order(clips, tmp_path / "whole", callback, data=data, **settings)
    assert len({names for epoch, names in whole if epoch == 0}) == sum(epoch == 0 for epoch, _ in whole)
    saved = sorted((tmp_path / "whole").glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    for start in saved[:-1:5]:
        progress = torch.load(start, weights_only=True)["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        resumed = order(clips, tmp_path / "resumed", callback, start, data, **settings)
        assert resumed == whole[progress["total"]["ready"] :], start.name


def test_overfitting_on_some_batches_works(clips, tmp_path):
    seen = order(clips, tmp_path, every_step, overfit_batches=2)
    assert [epoch for epoch, _ in seen] == [0, 0, 1, 1, 2, 2]
    assert seen[0][1] == seen[2][1] == seen[4][1]
