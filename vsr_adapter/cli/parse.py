"""The door of `vsr`: help, short options and argument errors, without importing torch.

Importing the stack takes seconds; a typing error should not. Short options become settings of the config; whatever
starts with --model, --data or --trainer is one, and goes to LightningCLI as it is.
"""

import argparse
import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, NoReturn

from vsr_adapter.assets import find_config
from vsr_adapter.cli.options import COMMANDS, GROUPS, Command
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


def build_parser() -> Parser:
    """All commands with the options that users type."""
    parser = Parser("vsr", description="Upscale videos with a frozen diffusion model and a small trained adapter.")
    parser.add_argument("--version", action="version", version=f"vsr {version('vsr-adapter')}")
    words = {"": parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)}
    for name, command in COMMANDS.items():
        group, _, last = name.rpartition(" ")
        if group not in words:
            word = words[""].add_parser(group, help=GROUPS[group], allow_abbrev=False)
            words[group] = word.add_subparsers(dest="word", required=True, metavar="COMMAND", parser_class=Parser)
        add_command(words[group], last, name, command)
    return parser


def add_command(words: Any, word: str, name: str, command: Command) -> None:
    """A command, under the word that names it."""
    more: dict[str, Any] = {}
    if command.configured:
        more = {
            "description": command.about,
            "epilog": "Every setting of the config is an option as well: --model.X, --data.X, --trainer.X. "
            f"`vsr {name} --config FILE --print_config` prints all of them, `--model.adapter.help CLASS` explains one.",
        }
    parser = words.add_parser(word, help=command.about, allow_abbrev=False, add_help=not command.forwards, **more)
    parser.set_defaults(command=name)
    for one in command.options:
        parser.add_argument(*one.flags, **one.kind)


def check_rest(rest: Sequence[str], prog: str) -> None:
    """Refuses what LightningCLI would refuse after seconds of imports.

    Raises:
        CommandLineError: an option that is none of the config's, or a value without an option.
    """
    after_option = False
    for word in rest:
        if word.startswith("--"):
            name = word.split("=")[0]
            if name.startswith("--model."):
                check_moved([name.removeprefix("--model.").rstrip("+")], prog, "--model.{}")
            if name not in LIGHTNING_OPTIONS and not name.startswith(PARTS):
                raise CommandLineError(
                    f"{name}: no such option; see {prog} --help, or set --model.X, --data.X, --trainer.X"
                )
            after_option = "=" not in word and name != "--print_config"
        elif not after_option:
            raise CommandLineError(f"{word}: a value without an option; see {prog} --help")
        else:
            after_option = False


def as_setting(value: Any) -> str:
    """A value as LightningCLI reads it."""
    if isinstance(value, list):
        return json.dumps([str(one) for one in value])
    return "true" if value is True else str(value)


def lightning_arguments(options: argparse.Namespace, rest: Sequence[str]) -> list[str]:
    """The same command line in LightningCLI's words."""
    settings: dict[str, str] = {}
    configs = options.config
    if not configs and options.command == "predict":
        configs = [DEFAULT_CONFIG]
        if options.adapter or options.ckpt_path:
            settings["model.sampling.condition"] = "on"  # of the default stack alone, which goes without an adapter
    arguments = [options.command]
    for name in configs:
        path = find_config(name)
        check_config(path)
        arguments += ["--config", str(path)]
    for one in COMMANDS[options.command].options:
        value = getattr(options, one.name)
        if value is not None and value is not False:
            settings |= dict.fromkeys(one.sets, as_setting(value))
    return [*arguments, *(f"--{name}={value}" for name, value in settings.items()), *rest]


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """What was typed: ``command``, its options, and ``arguments`` for whoever reads the rest.

    Raises:
        CommandLineError: the command line is wrong.
        SystemExit: help or version was asked for.
    """
    options, rest = build_parser().parse_known_args(argv)
    command = COMMANDS[options.command]
    if command.configured:
        check_rest(rest, f"vsr {options.command}")
        rest = lightning_arguments(options, rest)
    elif rest and not command.forwards:
        raise CommandLineError(f"{rest[0]}: no such option; see vsr {options.command} --help")
    options.arguments = rest
    return options
