"""`vsr compare`: one table for several methods, stacks of ours among them, on the same clips."""

from argparse import ArgumentError
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from jsonargparse import ArgumentParser

from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.trials import Trials
from vsr_adapter.errors import CommandLineError, UserError
from vsr_adapter.evaluation.loop import TRUTH, default_metrics, evaluate
from vsr_adapter.evaluation.protocol import protocol, rows
from vsr_adapter.evaluation.stack import Stack
from vsr_adapter.evaluation.table import Score, Table
from vsr_adapter.inference.config import read_model
from vsr_adapter.metrics import ClipMetric
from vsr_adapter.model import VSRModel
from vsr_adapter.peers import Bicubic, Peer

CONDITIONS = ["on", "off", "shuffled"]
SCALE = 4  # where no stack says otherwise


def compare(
    test: Path,
    config: Sequence[str | Path] = (),
    adapter: Sequence[Path] = (),
    condition: Sequence[str] = (),
    peers: list[Peer] | None = None,
    lr: Path | None = None,
    origin: str | None = None,
    frames: int = 8,
    size: int | Literal["whole"] = 320,
    clips: int = 1,
    shifted_lr: bool = False,
    partial: bool = False,
    metrics: list[ClipMetric] | None = None,
    output: Path | None = None,
    device: str = "auto",
    precision: Literal["32-true", "bf16-mixed"] = "32-true",
) -> Table:
    """Scores methods on the clips that `vsr test` would take; the truth is the last row.

    Args:
        test: a set as distributed, or any folder of videos.
        config: stacks of ours, a row for each.
        adapter: exported adapters: one for all configs, one for each config in order, or several for one config.
        condition: rows for each of these, in place of the config's.
        peers: other methods; bicubic is added where none of them has its name.
        lr: low-resolution twins of any folder.
        origin: which twins of those that a set ships; ``made`` for none.
        frames: of a clip.
        size: side of the HR crop, in pixels; ``whole`` crops nothing.
        clips: of a video, at most.
        shifted_lr: whether LR twins may lie elsewhere than HR.
        partial: whether the set may lack clips or frames.
        metrics: None takes PSNR, SSIM, LPIPS and E_warp.
        output: folder for ``scores.md``, ``scores.csv`` and ``scores.json``.
        device: where stacks and metrics run; ``auto`` takes a GPU where there is one. Peers have their own.
        precision: of stacks.

    Raises:
        UserError: what the data set or a method refuses, two methods of one name, adapters that do not pair with
            configs, a method that lies elsewhere.
    """
    others, metrics = peers or [], metrics or default_metrics()
    if Bicubic.name not in [peer.name for peer in others]:
        others = [Bicubic(), *others]
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    planned = plan_rows(config, adapter, condition)
    check_names([*(row.name for row in planned), *(peer.name for peer in others), TRUTH])
    stacks = read_stacks(planned, device, precision)
    methods = [*stacks, *others]
    scale = one_scale(stacks)
    dataset = ClipDataset(test, lr, frames, size, scale, limit=clips, origin=origin)
    dataset.check_test(shifted_lr, partial)
    for metric in metrics:
        metric.to(device)
    trials = Trials(dataset, shifted_lr=shifted_lr)
    scores: list[Score] = []
    for number in range(len(trials)):
        scores += evaluate(methods, metrics, trials[number].to(device)).scores
    whole = trials.source.whole
    table = Table(protocol(trials.source.lines, metrics, rows(methods, whole)), scores)
    if output is not None:
        table.write(output)
    return table


class Row(NamedTuple):
    """A stack that is asked for.

    Attributes:
        name: its row: the config's file, and the adapter's and the condition where there are several.
        config: a YAML file, or the name of a shipped one.
        settings: of its ``model`` part, as `read_model` takes them.
    """

    name: str
    config: str | Path
    settings: dict[str, Any]


def plan_rows(configs: Sequence[str | Path], adapters: Sequence[Path], conditions: Sequence[str]) -> list[Row]:
    """A row for each config, with its adapter, and for each condition.

    Raises:
        UserError: adapters or conditions without a config, or as many adapters as pair with nothing.
    """
    if not configs and (adapters or conditions):
        raise UserError(f"{'adapter' if adapters else 'condition'}: of which stack? name it with --config FILE")
    pairs: list[tuple[str | Path, Path | None]]
    if not adapters:
        pairs = [(config, None) for config in configs]
    elif len(configs) == 1 or len(adapters) == 1:
        pairs = list(product(configs, adapters))
    elif len(configs) == len(adapters):
        pairs = list(zip(configs, adapters, strict=True))
    else:
        raise UserError(
            f"{len(adapters)} adapters for {len(configs)} configs: pass one for all, one for each in order, or several "
            "for one config"
        )
    found = []
    modes: list[str | None] = [*conditions] or [None]
    for (config, adapter), condition in product(pairs, modes):
        parts = [Path(config).stem]
        settings: dict[str, Any] = {}
        if adapter is not None:
            settings["adapter_file"] = adapter
            parts += [adapter.stem] if len(adapters) > 1 else []
        if condition is not None:
            settings["sampling__condition"] = condition
            parts += [condition] if len(conditions) > 1 else []
        found.append(Row(" ".join(parts), config, settings))
    return found


def check_names(names: Sequence[str]) -> None:
    """Refuses two rows of one name.

    Raises:
        UserError: the first of them.
    """
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name}: is the name of two rows; give one of them a name of its own")


def read_stacks(planned: Sequence[Row], device: str, precision: str) -> list[Stack]:
    """The stacks, loaded; rows of one config hold its frozen weights once.

    Raises:
        UserError: no such config, or parts that do not fit.
    """
    first: dict[str, VSRModel] = {}
    stacks = []
    for row in planned:
        model = read_model(row.config, **row.settings)
        frozen = first.setdefault(str(row.config), model)
        model.backbone, model.encoder = frozen.backbone, frozen.encoder
        stacks.append(Stack(model.load().to(device).eval(), row.name, precision))
    return stacks


def one_scale(stacks: Sequence[Stack]) -> int:
    """By which all stacks enlarge.

    Raises:
        UserError: they differ.
    """
    scales = {stack.model.scale: stack.name for stack in stacks}
    if len(scales) > 1:
        said = ", ".join(f"{name} by {scale}" for scale, name in scales.items())
        raise UserError(f"{said}: one table is of one scale; compare them apart")
    return next(iter(scales), SCALE)


def main(arguments: Sequence[str]) -> None:
    """The command: prints the table.

    Raises:
        UserError: as `compare`; what the data set calls ``--data.X`` is ``--X`` here.
    """
    parser = ArgumentParser(prog="vsr compare", description="One table for several methods.", exit_on_error=False)
    # lists in the words of the other commands: a name after the other, or the option again
    several: dict[str, dict[str, Any]] = {
        "config": {"metavar": "FILE", "help": "stacks of ours, a row for each"},
        "adapter": {
            "metavar": "FILE",
            "type": Path,
            "help": "exported adapters: one for all configs, one for each config in order, or several for one config",
        },
        "condition": {"choices": CONDITIONS, "help": "rows for each of these, in place of the config's"},
    }
    for name, how in several.items():
        parser.add_argument(f"--{name}", nargs="+", action="extend", default=[], **how)
    parser.add_function_arguments(compare, sub_configs=True, skip=set(several))
    try:
        settings = parser.parse_args(list(arguments))
    except ArgumentError as error:
        raise CommandLineError(f"{' '.join(str(error).split())}; see vsr compare --help") from error
    try:
        print(compare(**parser.instantiate(settings).as_dict()).text())
    except UserError as error:
        raise UserError(str(error).replace("--data.", "--")) from error
