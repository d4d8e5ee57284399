"""Entry point `vsr`: LightningCLI for fit, validate, test and predict; plain functions for the rest."""

import io
import json
import logging
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vsr_adapter.assets import find_config
from vsr_adapter.cli.options import parse
from vsr_adapter.errors import CommandLineError, UserError, unwrapped

if TYPE_CHECKING:
    from vsr_adapter.training.module import AdapterModule

INTERRUPTED = 130  # what a shell reports of SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `vsr`.

    Args:
        argv: arguments after the program's name; those of the process where None.

    Returns:
        Exit code: 0, 1 for a mistake in data or settings or a video that failed, 2 for a wrong command line.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names need not be text
    try:
        options, arguments = parse(sys.argv[1:] if argv is None else argv)
        if options.command == "export":
            from vsr_adapter.cli.commands import export

            export(options.checkpoint, options.file)
            return 0
        if options.command == "info":
            from vsr_adapter.inference.info import info

            print(info(find_config(options.config), options.size, options.frames, options.steps))
            return 0
        if options.command == "compare":
            from vsr_adapter.evaluation.compare import main as compare

            with unwrapped():
                compare(arguments)
            return 0
        if options.command == "data":
            from vsr_adapter.data.check import check

            report = check(options.folder, options.lr, options.split)
            print("\n".join(report.lines))
            return int(report.problems > 0)
        if options.command == "convert":
            from vsr_adapter.cli.commands import convert

            convert(options.source)
            return 0
        with unwrapped():
            return run_lightning(arguments, as_json=getattr(options, "json", False))
    except UserError as error:
        print(f"vsr: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, CommandLineError) else 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


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


def run_lightning(arguments: Sequence[str], as_json: bool = False) -> int:
    """Runs one of the trainer's commands; returns the exit code."""
    from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI, SaveConfigCallback

    from vsr_adapter.jobs.report import say_what_is_random, summarise, unfinished, wait_for_others
    from vsr_adapter.model import NETWORKS
    from vsr_adapter.training.callbacks import TestReport
    from vsr_adapter.training.checkpoints import read_checkpoint
    from vsr_adapter.training.datamodule import ClipDataModule
    from vsr_adapter.training.module import AdapterModule

    quieten(arguments[0])

    class VSRCLI(LightningCLI):
        """Stock, but for checkpoints: ours hold no hyperparameters, so none can override the command line."""

        def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
            parser.add_lightning_class_args(TestReport, "report")

        def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
            try:
                self.config = parser.parse_args(args)
            except ArgumentError as error:
                raise CommandLineError(f"{error}; see vsr {arguments[0]} --help, or --print_config") from error

        def _parse_ckpt_path(self) -> None:
            path = self.config[self.config.subcommand].get("ckpt_path")
            if path not in (None, "last", "best", "hpc", "registry"):
                read_checkpoint(path)

        def before_instantiate_classes(self) -> None:
            if self.subcommand == "test":
                self.config.test.verbose = False  # the report has the means, with intervals
            if self.subcommand == "predict":
                # each unit has a bar of its own, in frames
                self.config.predict.trainer.enable_progress_bar = False
                self.config.predict.trainer.logger = False
                self.config.predict.return_predictions = False

        def after_instantiate_classes(self) -> None:
            opened.append(self)
            if self.subcommand == "predict":
                networks = {name: self.config.predict.model[name] for name in NETWORKS}
                self.datamodule.settings = {"networks": json.loads(json.dumps(networks, default=str))}
                if self.trainer.is_global_zero and not self.datamodule.predict.quiet and not as_json:
                    say_what_is_random(self.model.model, bool(self.config.predict.ckpt_path))
            else:
                self.datamodule.fit_frames(self.model.model.time)

    class SaveConfig(SaveConfigCallback):
        """Keeps the config beside a training run's logs; the other commands have nothing to reproduce from it."""

        def setup(self, trainer: Any, pl_module: "AdapterModule", stage: str) -> None:
            if stage == "fit" and trainer.logger is not None:
                super().setup(trainer, pl_module, stage)

    opened: list[VSRCLI] = []  # also where the run is interrupted before VSRCLI returns
    try:
        cli = VSRCLI(
            AdapterModule,
            ClipDataModule,
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={"exit_on_error": False, arguments[0]: {"exit_on_error": False}},
            args=list(arguments),
        )
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt) and opened and opened[0].subcommand == "predict":
            print(unfinished(opened[0].datamodule.plan), file=sys.stderr)
            return INTERRUPTED
        raise
    if cli.subcommand != "predict" or not cli.trainer.is_global_zero:
        return 0
    data = cli.datamodule
    wait_for_others(data.lock_folder, cli.trainer.world_size, data.plan)
    return summarise(data.plan, data.skipped, as_json)
