"""Lightning callbacks."""

from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule, Trainer

from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.pictures import strip, write_pictures
from vsr_adapter.evaluation.protocol import protocol
from vsr_adapter.evaluation.stack import OURS, sample_crop
from vsr_adapter.evaluation.table import Score, Table
from vsr_adapter.types import Clip, Source, Trial


class SampleStrips(Callback):
    """Samples fixed validation clips after each validation of a fit, and logs LR | bicubic | output | HR.

    Args:
        clips: number of clips, the first ones of the validation set (of several processes: of the first one's share).
        every_n_epochs: sampling takes ``steps`` passes a clip; raise this where that is slow.
    """

    def __init__(self, clips: int = 2, every_n_epochs: int = 1):
        if clips < 1 or every_n_epochs < 1:
            raise UserError(f"SampleStrips clips {clips}, every_n_epochs {every_n_epochs}: both must be at least 1")
        self.clips = clips
        self.every_n_epochs = every_n_epochs
        self.kept: list[Clip] = []

    def wanted(self, trainer: Trainer) -> bool:
        """Whether strips of this validation are logged; rank 0 alone: sampling communicates nothing."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return False
        return trainer.current_epoch % self.every_n_epochs == 0 and hasattr(trainer.logger, "experiment")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier validation."""
        self.kept = []

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Clip, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keeps the first clips."""
        if self.wanted(trainer):
            more = range(min(self.clips - len(self.kept), batch.batch_size))
            self.kept += [Clip(batch.lr[i : i + 1], batch.hr[i : i + 1], [batch.name[i]]) for i in more]

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Samples them."""
        for clip in self.kept:
            with trainer.precision_plugin.val_step_context():
                output = sample_crop(pl_module.model, clip.lr[0], clip.name[0])
            image = strip(clip, output[None], pl_module.model.scale)
            trainer.logger.experiment.add_image(f"val/{clip.name[0]}", image, trainer.global_step)
        self.kept = []


class TestReport(Callback):
    """Prints the means of a test over its protocol; writes them, every clip's numbers, and pictures, into a folder.

    Args:
        folder: gets ``scores.md``, ``scores.csv``, ``scores.json`` and ``pictures``, or, of several sets, a folder with
            these for each; None only prints.
    """

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        self.sources: dict[int, Source] = {}  # by number of the set
        self.scores: dict[int, list[Score]] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forgets an earlier test."""
        self.sources, self.scores = {}, {}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Trial,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the numbers, writes the pictures."""
        self.sources[dataloader_idx] = batch.source
        self.scores.setdefault(dataloader_idx, []).extend(outputs.scores)
        if self.folder is not None:
            ask, output = batch.ask, outputs.outputs[OURS]
            clip = Clip(ask.lr[None], batch.truth[None], [ask.name])
            folder = self.folder / batch.source.name / "pictures"
            write_pictures(folder / ask.name, clip, output[None], ask.scale)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Puts the processes' clips together: each has some of every set, and every clip of its own once."""
        parts = [self.scores] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(parts, self.scores)
        for number, source in self.sources.items():
            lines = protocol(source.lines, pl_module.measures(), pl_module.stack().describe(source.whole))
            table = Table(lines, [score for part in parts for score in part[number]])
            for method in table.methods:
                for column in table.columns:
                    name = "/".join(["test", source.name, column, method] if source.name else ["test", column, method])
                    pl_module.log(name, table.mean(method, column).value)
            if trainer.is_global_zero:
                print(table.text() + "\n" * bool(source.name))
                if self.folder is not None:
                    table.write(self.folder / source.name)
