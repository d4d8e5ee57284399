"""A run of `vsr predict` among its processes: planned by one, done by all, summed up by the first."""

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from vsr_adapter.errors import UserError
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.jobs.plan import Plan, made_with, plan, prepare
from vsr_adapter.jobs.report import alive, outline, say_what_is_random, summarise, unfinished, wait_for_others
from vsr_adapter.jobs.run import run_unit
from vsr_adapter.jobs.targets import is_file
from vsr_adapter.model import VSRModel
from vsr_adapter.training.datamodule import Work


class Prediction(Callback):
    """Plans a run, hands out its work, and says what became of it; each process has one.

    Args:
        trainer: of this process.
        model: of its module; the weights are not read yet.
        inputs: videos, folders of frames, or folders of either.
        output: folder for the results, or the file of one.
        options: of the run.
        networks: what the config says of them, as plain values: part of what decides the bits.

    Raises:
        UserError: no input or no output.
    """

    def __init__(
        self,
        trainer: Trainer,
        model: VSRModel,
        inputs: Sequence[Path],
        output: Path | None,
        options: PredictOptions,
        networks: Any,
    ):
        if not inputs or output is None:
            raise UserError("data.input or data.output is not set: nothing to predict; pass --input PATH --output DIR")
        self.trainer, self.model, self.networks = trainer, model, networks
        self.inputs, self.output, self.options = inputs, output, options
        self.plan = Plan([], [], [])
        self.bar: tqdm | None = None
        self.alive: FileLock | None = None

    def say_what_is_random(self, trained: bool) -> None:
        """One line where the output cannot be good; ``trained``: whether a checkpoint brings the adapter's weights."""
        if self.trainer.is_global_zero and not self.options.quiet:
            say_what_is_random(self.model, trained)

    @property
    def lock_folder(self) -> Path:
        """Where processes say that they live."""
        return (self.output.parent if is_file(self.output) else self.output) / ".vsr"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """A lock that the first process can see, for as long as another one lives; all wait here for each other."""
        if trainer.global_rank:
            self.lock_folder.mkdir(parents=True, exist_ok=True)
            self.alive = alive(self.lock_folder, trainer.global_rank)
            self.alive.acquire()

    def work(self) -> list[Work]:
        """Segments of all videos, the same list in each process, which has its threads set for them.

        To be called where the processes know each other and the weights are read.

        Raises:
            UserError: there can be no plan.
        """
        # one process plans: what depends on its cores or on free memory must not differ between them
        made = self.trainer.strategy.broadcast(self.planned() if self.trainer.is_global_zero else None)
        if isinstance(made, UserError):
            raise made
        self.options, self.plan = made
        # after Lightning's launcher, which sets one thread for each process: threads decide bits
        torch.set_num_threads(self.options.threads or 1)
        units = self.plan.units
        own = units[self.trainer.global_rank :: self.trainer.world_size]
        self.bar = tqdm(
            total=sum(unit.frames for unit in own), unit="frame", position=self.trainer.local_rank, mininterval=1,
            disable=self.options.quiet,
        )  # fmt: skip
        return [partial(run_unit, unit=unit, tick=self.bar.update) for unit in units]

    def planned(self) -> tuple[PredictOptions, Plan] | UserError:
        """The plan, which is said, and the options as they are done; or why there is none."""
        # the number of cores, whatever the launcher has set: bits must not depend on the number of processes
        options = replace(self.options, threads=self.options.threads or os.cpu_count())
        device, precision = self.trainer.strategy.root_device.type, str(self.trainer.precision)
        try:
            with self.trainer.precision_plugin.forward_context():  # memory is counted at the run's precision
                settings = made_with(self.model, self.networks, device, precision)
                found = plan(self.model, self.inputs, self.output, options, settings)
        except UserError as error:
            return error
        for line in [*prepare(found.jobs), *map(outline, found.jobs)]:
            if not options.quiet:
                print(line)
        return options, found

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """No barrier: what the others did is in the journal, and a dead one would never come to it."""
        if self.bar is not None:
            self.bar.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Says how to go on after Ctrl-C."""
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            print(unfinished(self.plan), file=sys.stderr)

    def summarised(self, as_json: bool) -> int:
        """Waits for the others and says what became of each video; returns the exit code, 0 in those others."""
        if not self.trainer.is_global_zero:
            return 0
        wait_for_others(self.lock_folder, self.trainer.world_size, self.plan)
        return summarise(self.plan, as_json)
