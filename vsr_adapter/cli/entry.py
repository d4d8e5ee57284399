"""Entry point `vsr`: one table from command to function.

Each function imports what it needs when it is called: `vsr --help` and typing errors take no seconds.
"""

import io
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence

from vsr_adapter.assets import find_config
from vsr_adapter.cli.parse import parse
from vsr_adapter.errors import CommandLineError, UserError, unwrapped


def configured(options: Namespace) -> int:
    """Fit, validate, test and predict, by LightningCLI."""
    from vsr_adapter.cli.lightning import run

    return run(options.arguments, as_json=getattr(options, "json", False))


def export(options: Namespace) -> int:
    """An adapter as safetensors."""
    from vsr_adapter.cli.commands import export

    export(options.checkpoint, options.file)
    return 0


def info(options: Namespace) -> int:
    """What a stack is made of and costs."""
    from vsr_adapter.inference.info import info

    print(info(find_config(options.config), options.size, options.frames, options.steps))
    return 0


def compare(options: Namespace) -> int:
    """One table for several methods."""
    from vsr_adapter.evaluation.compare import main

    main(options.arguments)
    return 0


def data_check(options: Namespace) -> int:
    """What a data set holds; 1 where something is wrong with it."""
    from vsr_adapter.data.check import check

    report = check(options.folder, options.lr, options.split)
    print("\n".join(report.lines))
    return int(report.problems > 0)


def convert(options: Namespace) -> int:
    """Pickled weights as safetensors."""
    from vsr_adapter.cli.commands import convert

    convert(options.source)
    return 0


RUN: dict[str, Callable[[Namespace], int]] = {
    "fit": configured,
    "validate": configured,
    "test": configured,
    "predict": configured,
    "export": export,
    "info": info,
    "compare": compare,
    "data check": data_check,
    "convert": convert,
}


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
        options = parse(sys.argv[1:] if argv is None else argv)
        with unwrapped():
            return RUN[options.command](options)
    except UserError as error:
        print(f"vsr: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2 if isinstance(error, CommandLineError) else 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
