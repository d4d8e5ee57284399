"""Commands and their short options, each declared once: parser and translation both follow from it (`cli.parse`)."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple


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


class Option(NamedTuple):
    """A short option.

    Attributes:
        flags: as typed; without dashes it is a value that stands alone.
        kind: argparse's words for it: ``type``, ``choices``, ``help`` ...
        sets: the settings of the config that it stands for.
    """

    flags: tuple[str, ...]
    kind: Mapping[str, Any]
    sets: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Of its value."""
        return self.flags[0].lstrip("-")


def option(*flags: str, sets: str | tuple[str, ...] = (), **kind: Any) -> Option:
    """An `Option`, with ``kind`` in argparse's words."""
    return Option(flags, kind, (sets,) if isinstance(sets, str) else sets)


def switch(flag: str, sets: str, about: str) -> Option:
    """An option without a value, which sets ``true``."""
    return option(flag, sets=sets, action="store_true", help=about)


class Command(NamedTuple):
    """A command.

    Attributes:
        about: what it does.
        options: its own.
        configured: whether LightningCLI runs it, with every setting of the config as an option.
        forwards: whether what else is typed is another parser's to read, help included.
    """

    about: str
    options: tuple[Option, ...] = ()
    configured: bool = False
    forwards: bool = False


# fmt: off
RUN = (
    option("--config", "-c", action="append", default=[], metavar="FILE",
           help="YAML file, or the name of a shipped one; repeatable"),
    option("--seed", sets=("seed_everything", "model.sampling.seed", "data.seed"), type=int,
           help="of all noise, and of the order of clips"),
    option("--adapter", sets="model.adapter_file", type=existing, metavar="FILE",
           help="adapter exported by `vsr export`"),
    option("--ckpt_path", sets="ckpt_path", metavar="FILE",
           help="checkpoint of `vsr fit`; fit resumes from it (last, best or a file)"),
)
SAMPLE = (
    option("--steps", sets="model.sampling.sampler.steps", type=positive, help="denoising steps"),
    option("--condition", sets="model.sampling.condition", choices=["on", "off", "shuffled"],
           help="adapter's tokens, the null tokens, or shuffled ones"),
)
PREDICT = (
    option("--input", sets="data.input", nargs="+", required=True, type=existing, metavar="PATH",
           help="videos, folders of frames, or folders of either"),
    option("--output", sets="data.output", required=True, type=Path, metavar="PATH",
           help="folder for the results, or a file for one video"),
    option("--output_format", sets="data.predict.encoding.format",
           choices=["auto", "mp4", "mkv", "mov", "png", "png16"],
           help="container, or PNG of 8 or 16 bits (default mp4)"),
    option("--codec", sets="data.predict.encoding.codec", choices=["x264", "x265", "ffv1", "prores"],
           help="of videos (default x264)"),
    option("--crf", sets="data.predict.encoding.crf", type=float,
           help="quality of x264 and x265, lower is better (default 16)"),
    option("--height", sets="data.predict.height", type=positive,
           help="of the results, in pixels: x4, then antialiased"),
    option("--start", sets="data.predict.start", type=natural, help="first frame, for a preview"),
    option("--frames", sets="data.predict.frames", type=positive, help="number of frames, for a preview"),
    option("--tile", sets="model.sampling.tiles.size", type=tile,
           help="side of a tile in low-resolution pixels, or auto (default 80)"),
    option("--damaged", sets="data.predict.damaged", choices=["fail", "repeat", "skip"],
           help="what a frame does that cannot be decoded"),
    switch("--overwrite", "data.predict.overwrite", "replace outputs that exist"),
    switch("--clean", "data.predict.clean", "delete what interrupted runs of other settings left"),
    switch("--quiet", "data.predict.quiet", "print no plan and no progress"),
    switch("--json", "data.predict.quiet", "print the summary as JSON, and nothing else"),
)

# `vsr data check` is a command of two words; `entry` says which function runs each
COMMANDS = {
    "fit": Command("train an adapter", RUN, configured=True),
    "validate": Command("loss on the validation clips", RUN, configured=True),
    "test": Command("sample the test clips and score them", (
        *RUN, *SAMPLE,
        option("--output", sets="report.folder", type=Path, metavar="DIR", help="folder for tables and pictures"),
    ), configured=True),
    "predict": Command("upscale videos", (*RUN, *SAMPLE, *PREDICT), configured=True),
    "export": Command("write the adapter of a checkpoint as safetensors", (
        option("checkpoint", type=existing, help="of `vsr fit`"),
        option("file", type=Path, help="to write; must not exist"),
    )),
    "info": Command("parameters, memory and cost of a stack", (
        option("--config", required=True, metavar="FILE", help="a backbone piece or a whole config"),
        option("--size", type=positive, default=80, help="side of the low-resolution frames, in pixels"),
        option("--frames", type=positive, help="of a clip (default 8, or the next that the backbone takes)"),
        option("--steps", type=positive, default=30, help="denoising steps of a clip"),
    )),
    # its options are those of a function: `vsr_adapter.evaluation.compare` reads them
    "compare": Command("one table for several methods", forwards=True),
    "data check": Command("what a folder holds, what is missing, where LR lies", (
        option("folder", type=existing, help="a set as distributed, or any folder of clips"),
        option("--lr", type=existing, metavar="FOLDER", help="low-resolution twins of any folder"),
        option("--split", choices=["train", "val", "test"], default="test", help="of a set with several"),
    )),
    "convert": Command("write pickled weights as safetensors, once", (
        option("source", type=existing, help="a .bin or .pt file, or the published folder"),
    )),
}
GROUPS = {"data": "look at data sets"}  # first words of commands of two
# fmt: on
