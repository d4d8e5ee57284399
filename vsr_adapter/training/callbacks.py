"""Lightning callbacks."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import default_collate

from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.pictures import strip, write_pictures
from vsr_adapter.evaluation.protocol import protocol
from vsr_adapter.evaluation.table import Score, Table
from vsr_adapter.types import Clip


class SampleStrips(Callback):
    """Samples fixed validation clips after each validation of a fit, and logs LR | bicubic | output | HR.

    Args:
        clips: number of clips, the first ones of the validation set.
        every_n_epochs: sampling takes ``steps`` passes a clip; raise this where that is slow.
    """

    def __init__(self, clips: int = 2, every_n_epochs: int = 1):
        if clips < 1 or every_n_epochs < 1:
            raise UserError(f"SampleStrips clips {clips}, every_n_epochs {every_n_epochs}: both must be at least 1")
        self.clips = clips
        self.every_n_epochs = every_n_epochs

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rank 0 alone: sampling communicates nothing."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        if trainer.current_epoch % self.every_n_epochs or not hasattr(trainer.logger, "experiment"):
            return
        dataset = trainer.val_dataloaders.dataset
        for i in range(min(self.clips, len(dataset))):
            clip = pl_module.transfer_batch_to_device(default_collate([dataset[i]]), pl_module.device, 0)
            with trainer.precision_plugin.val_step_context():
                output = pl_module.sample(clip)
            image = strip(clip, output, pl_module.model.scale)
            trainer.logger.experiment.add_image(f"val/{clip.name[0]}", image, trainer.global_step)


class TestReport(Callback):
    """Prints the means of a test over its protocol; writes them, every clip's numbers, and pictures, into a folder.

    Args:
        folder: gets ``scores.md``, ``scores.csv``, ``scores.json`` and ``pictures``, or, of several sets, a folder with
            these for each; None only prints.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self.scores: list[list[Score]] = []  # by set

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self.scores = [[] for _ in trainer.test_dataloaders]

    def place(self, trainer: Trainer, number: int) -> Path | None:
        """The folder of a set."""
        loaders = trainer.test_dataloaders
        return self.folder if self.folder is None or len(loaders) == 1 else self.folder / loaders[number].dataset.name

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Clip,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the numbers, writes the pictures."""
        self.scores[dataloader_idx] += outputs.scores
        folder = self.place(trainer, dataloader_idx)
        if folder is None:
            return
        for i, name in enumerate(batch.name):
            one = Clip(batch.lr[i : i + 1], batch.hr[i : i + 1], [name])
            write_pictures(folder / "pictures" / name, one, outputs.output[i : i + 1], pl_module.model.scale)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the processes' clips together: each has every one of its own once."""
        parts = [self.scores] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(parts, self.scores)
        where = f"{pl_module.device.type}, {trainer.precision}"
        several = len(self.scores) > 1
        for number, loader in enumerate(trainer.test_dataloaders):
            data, tiled = loader.dataset.describe(), loader.dataset.size == "whole"
            lines = protocol(pl_module.model, pl_module.measures(), data, where, tiled)
            table = Table(lines, [score for part in parts for score in part[number]])
            for method in table.methods:
                for column in table.columns:
                    name = f"test/{loader.dataset.name}/{column}" if several else f"test/{column}"
                    pl_module.log(f"{name}/{method}", table.mean(method, column).value)
            if trainer.is_global_zero:
                print(table.text() + "\n" * several)
                folder = self.place(trainer, number)
                if folder is not None:
                    table.write(folder)
