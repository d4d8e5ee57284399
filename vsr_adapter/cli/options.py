"""The door of `vsr`: help, plain options and argument errors, without importing torch.

Importing the stack takes seconds; a typing error should not. What is understood here is translated into the
arguments of LightningCLI; whatever starts with --model, --data or --trainer goes there as it is.
"""

import argparse
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

from vsr_adapter.assets import find_config
from vsr_adapter.errors import CommandLineError
from vsr_adapter.renamed import check_config, check_moved

LIGHTNING_OPTIONS = ("--model", "--data", "--trainer", "--report", "--seed_everything", "--ckpt_path", "--print_config")
PARTS = ("--model.", "--data.", "--trainer.", "--report.")
DEFAULT_CONFIG = "default.yaml"


class Parser(argparse.ArgumentParser):
    """Reports errors as the rest of the program does: one line, exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raises instead of printing the usage."""
        raise CommandLineError(f"{message}; see {self.prog} --help")


def existing(name: str) -> Path:
    """An existing path, for argparse."""
    if not Path(name).exists():
        raise argparse.ArgumentTypeError(f"{name}: no such file or folder; check the path")
    return Path(name)


def positive(text: str) -> int:
    """A positive integer, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: must be a positive integer")
    return int(text)


def natural(text: str) -> int:
    """A whole number from 0 on, for argparse."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text}: must be a whole number, 0 or more")
    return int(text)


def tile(text: str) -> str:
    """``auto`` or a positive integer, for argparse."""
    return text if text == "auto" else str(positive(text))


def build_parser() -> Parser:
    """All commands with the options that users type."""
    parser = Parser("vsr", description="Upscale videos with a frozen diffusion model and a small trained adapter.")
    parser.add_argument("--version", action="version", version=f"vsr {version('vsr-adapter')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    about = {
        "fit": "train an adapter",
        "validate": "loss on the validation clips",
        "test": "sample the test clips and score them",
        "predict": "upscale videos",
    }
    for name, text in about.items():
        command = commands.add_parser(
            name,
            help=text,
            description=text,
            allow_abbrev=False,
            epilog="Every setting of the config is an option as well: --model.X, --data.X, --trainer.X. "
            f"`vsr {name} --config FILE --print_config` prints all of them, `--model.adapter.help CLASS` explains one.",
        )
        add_run_options(command, name)
    export = commands.add_parser("export", help="write the adapter of a checkpoint as safetensors", allow_abbrev=False)
    export.add_argument("checkpoint", type=existing, help="of `vsr fit`")
    export.add_argument("file", type=Path, help="to write; must not exist")
    info = commands.add_parser("info", help="parameters, memory and cost of a stack", allow_abbrev=False)
    info.add_argument("--config", required=True, metavar="FILE", help="a backbone piece or a whole config")
    info.add_argument("--size", type=positive, default=80, help="side of the low-resolution frames, in pixels")
    info.add_argument("--frames", type=positive, help="of a clip (default 8, or the next that the backbone takes)")
    info.add_argument("--steps", type=positive, default=30, help="denoising steps of a clip")
    # its options are those of a function: `vsr_adapter.evaluation.compare` reads them
    commands.add_parser("compare", help="one table for several methods", add_help=False)
    data = commands.add_parser("data", help="look at data sets", allow_abbrev=False)
    looks = data.add_subparsers(dest="look", required=True, metavar="COMMAND", parser_class=Parser)
    check = looks.add_parser("check", help="what a folder holds, what is missing, where LR lies", allow_abbrev=False)
    check.add_argument("folder", type=existing, help="a set as distributed, or any folder of clips")
    check.add_argument("--lr", type=existing, metavar="FOLDER", help="low-resolution twins of any folder")
    check.add_argument("--split", choices=["train", "val", "test"], default="test", help="of a set with several")
    convert = commands.add_parser("convert", help="write pickled weights as safetensors, once", allow_abbrev=False)
    convert.add_argument("source", type=existing, help="a .bin or .pt file, or the published folder")
    return parser


def add_run_options(command: argparse.ArgumentParser, name: str) -> None:
    """Options of fit, validate, test and predict."""
    command.add_argument(
        "--config",
        "-c",
        action="append",
        default=[],
        metavar="FILE",
        help="YAML file, or the name of a shipped one; repeatable",
    )
    command.add_argument("--seed", type=int, help="of all noise, and of the order of clips")
    command.add_argument("--adapter", type=existing, metavar="FILE", help="adapter exported by `vsr export`")
    command.add_argument(
        "--ckpt_path", metavar="FILE", help="checkpoint of `vsr fit`; fit resumes from it (last, best or a file)"
    )
    if name in ("test", "predict"):
        command.add_argument("--steps", type=positive, help="denoising steps")
        modes = ["on", "off", "shuffled"]
        command.add_argument("--condition", choices=modes, help="adapter's tokens, the null tokens, or shuffled ones")
    if name == "test":
        command.add_argument("--output", type=Path, metavar="DIR", help="folder for tables and pictures")
    if name == "predict":
        command.add_argument(
            "--input",
            nargs="+",
            required=True,
            type=existing,
            metavar="PATH",
            help="videos, folders of frames, or folders of either",
        )
        command.add_argument(
            "--output",
            required=True,
            type=Path,
            metavar="PATH",
            help="folder for the results, or a file for one video",
        )
        add_predict_options(command)


def add_predict_options(command: argparse.ArgumentParser) -> None:
    """How videos are read and written; each is a setting of ``--data.predict`` or of ``--model.sampling`` as well."""
    formats, codecs = ["auto", "mp4", "mkv", "mov", "png", "png16"], ["x264", "x265", "ffv1", "prores"]
    command.add_argument("--output_format", choices=formats, help="container, or PNG of 8 or 16 bits (default mp4)")
    command.add_argument("--codec", choices=codecs, help="of videos (default x264)")
    command.add_argument("--crf", type=float, help="quality of x264 and x265, lower is better (default 16)")
    command.add_argument("--height", type=positive, help="of the results, in pixels: x4, then antialiased")
    command.add_argument("--start", type=natural, help="first frame, for a preview")
    command.add_argument("--frames", type=positive, help="number of frames, for a preview")
    command.add_argument("--tile", type=tile, help="side of a tile in low-resolution pixels, or auto (default 80)")
    command.add_argument(
        "--damaged", choices=["fail", "repeat", "skip"], help="what a frame does that cannot be decoded"
    )
    command.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    command.add_argument("--clean", action="store_true", help="delete what interrupted runs of other settings left")
    command.add_argument("--quiet", action="store_true", help="print no plan and no progress")
    command.add_argument("--json", action="store_true", help="print the summary as JSON, and nothing else")


def check_rest(rest: Sequence[str], prog: str) -> None:
    """Refuses what LightningCLI would refuse after seconds of imports.

    Raises:
        CommandLineError: an option that is none of the config's, or a value without an option.
    """
    after_option = False
    for word in rest:
        if word.startswith("--"):
            option = word.split("=")[0]
            if option.startswith("--model."):
                check_moved([option.removeprefix("--model.").rstrip("+")], prog, "--model.{}")
            if option not in LIGHTNING_OPTIONS and not option.startswith(PARTS):
                raise CommandLineError(
                    f"{option}: no such option; see {prog} --help, or set --model.X, --data.X, --trainer.X"
                )
            after_option = "=" not in word and option != "--print_config"
        elif not after_option:
            raise CommandLineError(f"{word}: a value without an option; see {prog} --help")
        else:
            after_option = False


def lightning_arguments(options: argparse.Namespace, rest: Sequence[str]) -> list[str]:
    """The same command line in LightningCLI's words."""
    configs = options.config
    settings: dict[str, object] = {}
    if not configs and options.command == "predict":
        configs = [DEFAULT_CONFIG]
        if options.adapter or options.ckpt_path:
            settings["model.sampling.condition"] = "on"  # of the default stack alone, which goes without an adapter
    arguments = [options.command]
    for name in configs:
        path = find_config(name)
        check_config(path)
        arguments += ["--config", str(path)]
    if options.seed is not None:
        settings |= dict.fromkeys(("seed_everything", "model.sampling.seed", "data.seed"), options.seed)
    settings["model.adapter_file"] = options.adapter
    settings["ckpt_path"] = options.ckpt_path
    settings["model.sampling.sampler.steps"] = getattr(options, "steps", None)
    if getattr(options, "condition", None):
        settings["model.sampling.condition"] = options.condition
    if options.command == "test":
        settings["report.folder"] = options.output
    if options.command == "predict":
        settings["data.input"] = json.dumps([str(path) for path in options.input])
        settings["data.output"] = options.output
        settings |= {f"data.predict.encoding.{name}": getattr(options, name) for name in ("codec", "crf")}
        settings["data.predict.encoding.format"] = options.output_format
        settings |= {
            f"data.predict.{name}": getattr(options, name) for name in ("height", "start", "frames", "damaged")
        }
        settings["model.sampling.tiles.size"] = options.tile
        flags = {"overwrite": options.overwrite, "clean": options.clean, "quiet": options.quiet or options.json}
        settings |= {f"data.predict.{name}": "true" for name, given in flags.items() if given}
    arguments += [f"--{name}={value}" for name, value in settings.items() if value is not None]
    return [*arguments, *rest]


def parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    """The options, and the arguments for LightningCLI (empty for the other commands).

    Raises:
        CommandLineError: the command line is wrong.
        SystemExit: help or version was asked for.
    """
    parser = build_parser()
    options, rest = parser.parse_known_args(argv)
    if options.command == "compare":
        return options, rest
    if options.command not in ("fit", "validate", "test", "predict"):
        if rest:
            raise CommandLineError(f"{rest[0]}: no such option; see vsr {options.command} --help")
        return options, []
    check_rest(rest, f"vsr {options.command}")
    return options, lightning_arguments(options, rest)
