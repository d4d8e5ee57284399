"""Entry point `vsr`: LightningCLI for fit, validate, test and predict; plain functions for the rest."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vsr_adapter.errors import UserError
from vsr_adapter.front import ArgumentError, parse

if TYPE_CHECKING:
    from vsr_adapter.module import AdapterModule


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `vsr`.

    Args:
        argv: arguments after the program's name; those of the process where None.

    Returns:
        Exit code: 0, 1 for a mistake in data or settings or a video that failed, 2 for a wrong command line.
    """
    try:
        options, arguments = parse(sys.argv[1:] if argv is None else argv)
        if options.command == "export":
            from vsr_adapter.commands import export

            export(options.checkpoint, options.file)
            return 0
        return run_lightning(arguments)
    except UserError as error:
        print(f"vsr: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def run_lightning(arguments: Sequence[str]) -> int:
    """Runs one of the trainer's commands; returns the exit code."""
    # Lightning re-runs sys.argv in each further process of a machine; it says nothing of use about the rest
    os.environ.setdefault("PYTHONWARNINGS", "ignore:.*pkg_resources.*")
    from lightning.pytorch.cli import LightningCLI, SaveConfigCallback

    from vsr_adapter.checkpoint import read_checkpoint
    from vsr_adapter.data.datamodule import ClipDataModule
    from vsr_adapter.module import AdapterModule
    from vsr_adapter.predict.report import summarise

    class VSRCLI(LightningCLI):
        """Stock, but for checkpoints: ours hold no hyperparameters, so none can override the command line."""

        def _parse_ckpt_path(self) -> None:
            path = self.config[self.config.subcommand].get("ckpt_path")
            if path not in (None, "last", "best", "hpc", "registry"):
                read_checkpoint(path)

    class SaveConfig(SaveConfigCallback):
        """Keeps the config beside a training run's logs; the other commands have nothing to reproduce from it."""

        def setup(self, trainer: Any, pl_module: "AdapterModule", stage: str) -> None:
            if stage == "fit":
                super().setup(trainer, pl_module, stage)

    cli = VSRCLI(
        AdapterModule,
        ClipDataModule,
        save_config_callback=SaveConfig,
        save_config_kwargs={"overwrite": True},
        seed_everything_default=0,
        auto_configure_optimizers=False,
        args=list(arguments),
    )
    if cli.subcommand != "predict" or not cli.trainer.is_global_zero:
        return 0
    return summarise(cli.datamodule.units)
