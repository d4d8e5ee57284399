"""What an adapter on the mini stack is worth: `vsr fit` and `vsr test` over seeds and noise levels, against controls.

The controls: null tokens, the adapter's tokens with their numbers shuffled, and constant learned tokens (prompt tuning)
that were fitted the same way.
"""

import gzip
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch

from recipes.mini.media import TRAINING_CLIPS, VALIDATION_CLIPS
from recipes.mini.packages import fetch
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError
from vsr_adapter.report.table import Mean, bootstrap, piped

COLUMNS = ("PSNR", "LPIPS-alex")
CONTROLS = ("null", "shuffled", "constant")
SHAPE = {"frames": 8, "tokens": 196, "in_dim": 192, "text_dim": 128}
ADAPTERS = {"adapter": "LinearLinear", "constant": "ConstantTokens"}
# what a job tests, and by which --condition
MODES = {
    "adapter": {"adapter": "on", "shuffled": "shuffled"},
    "constant": {"constant": "on"},
    "null": {"null": "off"},
}


class Job(NamedTuple):
    """One fit and its tests, or the test of null tokens.

    Attributes:
        folder: of its results; what is there already is not done again.
        tokens: ``adapter``, ``constant`` or ``null``.
        level: of the noise in the low-resolution clip.
        seed: of the fit.
    """

    folder: Path
    tokens: str
    level: int
    seed: int


class Settings(NamedTuple):
    """Of all jobs.

    Attributes:
        videos: folder with ``train`` and ``val``.
        steps: of a fit.
        size: side of the clips that are tested, in pixels.
        clips: how many of them.
    """

    videos: Path
    steps: int
    size: int
    clips: int


def unpack(state: Path) -> Path:
    """Folder with the training and validation videos as files, ``train`` and ``val``."""
    packages = fetch(state / "packages")
    for role, clips in [("train", TRAINING_CLIPS), ("val", VALIDATION_CLIPS)]:
        folder = state / "videos" / role
        folder.mkdir(parents=True, exist_ok=True)
        for package, path in clips.values():
            source = packages[package] / path
            target = folder / source.name.removesuffix(".gz")
            if target.exists():
                continue
            part = target.with_name(f"{target.name}.part")  # so that a file of that name is always whole
            with (
                gzip.open(source) if source.suffix == ".gz" else source.open("rb") as packed,
                part.open("wb") as file,
            ):
                shutil.copyfileobj(packed, file)
            part.replace(target)
    return state / "videos"


def run(job: Job, settings: Settings) -> None:
    """Fits, and tests with the tokens on and shuffled.

    Raises:
        UserError: a command failed; it has said why.
    """
    torch.set_num_threads(1)
    model = ["--config", "mini.yaml", f"--model.noise_level={job.level}"]
    model += [f"--model.adapter={ADAPTERS.get(job.tokens, 'LinearLinear')}"]
    model += [f"--model.adapter.{name}={value}" for name, value in SHAPE.items()]
    test = [f"--data.test={settings.videos / 'val'}", f"--data.size={settings.size}"]
    test += [f"--data.eval_clips={settings.clips}", "--trainer.logger=false"]
    weights = job.folder / "adapter.safetensors"
    if job.tokens != "null" and not weights.exists():
        fit = [f"--data.{split}={settings.videos / split}" for split in ("train", "val")]
        fit += [f"--trainer.max_steps={settings.steps}", "--trainer.max_epochs=-1", "--trainer.limit_val_batches=0"]
        checkpoint = {"class_path": "ModelCheckpoint", "init_args": {"dirpath": str(job.folder), "save_last": True}}
        fit += ["--trainer.logger=false", "--seed", str(job.seed), f"--trainer.callbacks={json.dumps([checkpoint])}"]
        command(["fit", *model, *fit])
        command(["export", str(job.folder / "last.ckpt"), str(weights)])
    for name, mode in MODES[job.tokens].items():
        if not (job.folder / name / "scores.json").exists():
            given = [] if job.tokens == "null" else ["--adapter", str(weights)]
            command(["test", *model, *test, *given, "--condition", mode, "--output", str(job.folder / name)])


def command(arguments: list[str]) -> None:
    """Runs `vsr`.

    Raises:
        UserError: it failed.
    """
    if main(arguments) != 0:
        raise UserError(f"vsr {' '.join(arguments)}: failed; see above")


def effect(
    state: Path = Path("build/mini"),
    levels: tuple[int, ...] = (0, 150, 300),
    seeds: tuple[int, ...] = (0, 1, 2),
    steps: int = 200,
    size: int = 192,
    clips: int = 12,
    processes: int = 2,
) -> None:
    """Fits adapters and constant tokens on the shipped stack, tests them on bikes.mp4, and prints the table.

    Args:
        state: folder that `media.prepare` filled; results go to ``effect/`` in it, in a folder by steps,
            size and clips; what is there is not done again, so remove it when the shipped weights have changed.
        levels: of the noise in the low-resolution clip; one fit each.
        seeds: of the fits.
        steps: of a fit.
        size: side of the clips that are tested, in pixels.
        clips: how many of them.
        processes: that work at once, one thread each.
    """
    settings = Settings(unpack(state).resolve(), steps, size, clips)
    folder = (state / "effect" / f"{steps}-{size}-{clips}").resolve()
    jobs = [
        Job(folder / f"{level}-{tokens}-{seed}", tokens, level, seed)
        for level in levels
        for tokens in ("null", *ADAPTERS)
        for seed in (seeds if tokens in ADAPTERS else seeds[:1])
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(run, jobs, [settings] * len(jobs)))
    print("\n".join(piped([["noise level", "tokens", *COLUMNS], *table(folder, levels, seeds)])))


def table(folder: Path, levels: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[list[str]]:
    """Rows: means over clips and seeds, then the adapter's differences to the controls with paired intervals."""
    for level in levels:
        found = {
            tokens: [
                scores(folder / f"{level}-{job}-{seed}" / tokens) for seed in (seeds[:1] if job == "null" else seeds)
            ]
            for tokens, job in [
                ("adapter", "adapter"),
                ("null", "null"),
                ("shuffled", "adapter"),
                ("constant", "constant"),
            ]
        }
        for tokens, runs in found.items():
            yield [str(level), tokens, *(f"{bootstrap(averaged(runs, column)).value:.4f}" for column in COLUMNS)]
        for control in CONTROLS:
            yield [
                str(level),
                f"adapter - {control}",
                *(difference(averaged(found["adapter"], one), averaged(found[control], one)) for one in COLUMNS),
            ]


def scores(folder: Path) -> dict[str, list[float]]:
    """By column, the numbers of the clips in the order of their names."""
    clips = [one for one in json.loads((folder / "scores.json").read_text())["clips"] if one["method"] == "ours"]
    return {column: [one["values"][column] for one in clips] for column in COLUMNS}


def averaged(runs: list[dict[str, list[float]]], column: str) -> list[float]:
    """Of each clip, over seeds."""
    return [sum(values) / len(values) for values in zip(*(run[column] for run in runs), strict=True)]


def difference(ours: list[float], theirs: list[float]) -> str:
    """Mean difference of the same clips, and its bootstrap interval."""
    mean: Mean = bootstrap([one - other for one, other in zip(ours, theirs, strict=True)])
    return f"{mean.value:+.4f} [{mean.low:+.4f}, {mean.high:+.4f}]"
