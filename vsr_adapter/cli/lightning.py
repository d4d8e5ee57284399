"""LightningCLI for fit, validate, test and predict."""

import json
import logging
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any

from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

from vsr_adapter.cli.prediction import Prediction
from vsr_adapter.errors import CommandLineError
from vsr_adapter.model import NETWORKS
from vsr_adapter.training.callbacks import TestReport
from vsr_adapter.training.checkpoints import read_checkpoint
from vsr_adapter.training.datamodule import ClipDataModule
from vsr_adapter.training.module import AdapterModule

INTERRUPTED = 130  # what a shell reports of SIGINT


class VSRCLI(LightningCLI):
    """Stock, but for checkpoints: ours hold no hyperparameters, so none can override the command line."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The report of a test."""
        parser.add_lightning_class_args(TestReport, "report")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Reports what is wrong in one line."""
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            assert isinstance(args, list)
            raise CommandLineError(f"{error}; see vsr {args[0]} --help, or --print_config") from error

    def _parse_ckpt_path(self) -> None:
        path = self.config[self.config.subcommand].get("ckpt_path")
        if path not in (None, "last", "best", "hpc", "registry"):
            read_checkpoint(path)

    def before_instantiate_classes(self) -> None:
        """Settings of Lightning's own that go with a command."""
        if self.subcommand == "test":
            self.config.test.verbose = False  # the report has the means, with intervals
        if self.subcommand == "predict":
            # each process has a bar of its own, in frames
            self.config.predict.trainer.enable_progress_bar = False
            self.config.predict.trainer.logger = False
            self.config.predict.return_predictions = False

    def after_instantiate_classes(self) -> None:
        """Tells the data module what it needs of the stack."""
        if self.subcommand != "predict":
            self.datamodule.fit_frames(self.model.model.time)

    def before_predict(self) -> None:
        """Gives the data module what plans the run, once there are processes and weights."""
        config = self.config.predict
        networks = {name: config.model[name] for name in NETWORKS}
        self.prediction = Prediction(
            self.trainer,
            self.model.model,
            self.datamodule.input,
            self.datamodule.output,
            self.datamodule.predict,
            json.loads(json.dumps(networks, default=str)),
        )
        self.prediction.say_what_is_random(bool(config.ckpt_path))
        self.trainer.callbacks.append(self.prediction)
        self.datamodule.work = self.prediction.work


class SaveConfig(SaveConfigCallback):
    """Keeps the config beside a training run's logs; the other commands have nothing to reproduce from it."""

    def setup(self, trainer: Any, pl_module: AdapterModule, stage: str) -> None:
        """As Lightning's, in fit alone."""
        if stage == "fit" and trainer.logger is not None:
            super().setup(trainer, pl_module, stage)


def quieten(command: str) -> None:
    """Leaves out what is said to developers of Lightning modules, and all but warnings in predict."""
    for message in (
        ".*treespec, LeafSpec.*",
        "Found .* module.s. in eval mode at the start of training.*",  # the frozen parts: as it should be
        "predict returned None.*",  # it writes instead
    ):
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.fabric.utilities.seed").setLevel(logging.ERROR)
    # "Tip: ... try installing", "GPU available: False" ...
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR if command == "predict" else logging.INFO)


def run(arguments: Sequence[str], as_json: bool = False) -> int:
    """Runs one of the trainer's commands.

    Args:
        arguments: in LightningCLI's words, of `vsr_adapter.cli.parse`.
        as_json: whether predict's summary is JSON.

    Returns:
        Exit code.
    """
    command = arguments[0]
    quieten(command)

    class Typed(VSRCLI):
        """With a parser of the command that was typed alone: those of the others take a second, and none asks them."""

        @staticmethod
        def subcommands() -> dict[str, set[str]]:
            return {command: LightningCLI.subcommands()[command]}

    try:
        cli = Typed(
            AdapterModule,
            ClipDataModule,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={"exit_on_error": False, command: {"exit_on_error": False}},
            args=list(arguments),
        )
    except SystemExit as stop:
        if command == "predict" and isinstance(stop.__context__, KeyboardInterrupt):
            return INTERRUPTED
        raise
    return cli.prediction.summarised(as_json) if command == "predict" else 0
