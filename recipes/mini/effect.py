"""What an adapter on the mini stack is worth: `vsr fit` and `vsr test` over seeds and noise levels, against controls.

The controls: null tokens, the adapter's tokens with their numbers shuffled, and constant learned tokens (prompt tuning)
that were fitted the same way. All are tested on bikes.mp4, and on the very clips that they were fitted on: what is
gained there alone does not carry over.
"""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import torch

from recipes.mini.media import TRAINING_CLIPS, VALIDATION_CLIPS, unpacked
from recipes.mini.packages import fetch
from vsr_adapter.assets import shipped
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.table import Mean, bootstrap, piped

COLUMNS = ("PSNR", "LPIPS-alex")
CONTROLS = ("null", "shuffled", "constant")
SHAPE = {"frames": 8, "tokens": 196, "in_dim": 192, "text_dim": 128}
ADAPTERS = {"adapter": "LinearLinear", "constant": "ConstantTokens"}
ROLES = ("val", "train")  # of the videos that are tested; in the table, bikes.mp4 and what was trained on
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
        clips: how many of them, of bikes.mp4 and of the training videos together.
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
            unpacked(packages[package] / path, folder)
    return state / "videos"


def run(job: Job, settings: Settings) -> None:
    """Fits, and tests with the tokens on and shuffled.

    Raises:
        UserError: a command failed; it has said why.
    """
    torch.set_num_threads(1)
    model = ["--config", "mini.yaml", f"--model.sampling.noise_level={job.level}"]
    model += [f"--model.adapter={ADAPTERS.get(job.tokens, 'LinearLinear')}"]
    model += [f"--model.adapter.{name}={value}" for name, value in SHAPE.items()]
    test = [f"--data.size={settings.size}", "--trainer.logger=false"]
    weights = job.folder / "adapter.safetensors"
    if job.tokens != "null" and not weights.exists():
        fit = [f"--data.{split}={settings.videos / split}" for split in ("train", "val")]
        fit += [f"--trainer.max_steps={settings.steps}", "--trainer.max_epochs=-1", "--trainer.limit_val_batches=0"]
        checkpoint = {"class_path": "ModelCheckpoint", "init_args": {"dirpath": str(job.folder), "save_last": True}}
        fit += ["--trainer.logger=false", "--seed", str(job.seed), f"--trainer.callbacks={json.dumps([checkpoint])}"]
        command(["fit", *model, *fit])
        command(["export", str(job.folder / "last.ckpt"), str(weights)])
    given = [] if job.tokens == "null" else ["--adapter", str(weights)]
    for role, (name, mode) in product(ROLES, MODES[job.tokens].items()):
        output = job.folder / role / name
        if not (output / "scores.json").exists():
            videos = settings.videos / role
            each = max(settings.clips // len(list(videos.iterdir())), 1)
            media = [f"--data.test={videos}", f"--data.eval_clips={each}"]
            command(["test", *model, *test, *media, *given, "--condition", mode, "--output", str(output)])


def stack() -> str:
    """Names the shipped weights, so that results of earlier ones are not taken for theirs."""
    found = sha256()
    for path in sorted(Path(shipped("mini")).rglob("*.safetensors")):
        found.update(path.read_bytes())
    return found.hexdigest()[:8]


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
    """Fits adapters and constant tokens on the shipped stack, tests them, and prints the table.

    Args:
        state: folder that `media.prepare` filled; results go to ``effect/`` in it, in a folder by steps, size,
            clips and the shipped weights; what is there is not done again.
        levels: of the noise in the low-resolution clip; one fit each.
        seeds: of the fits.
        steps: of a fit.
        size: side of the clips that are tested, in pixels.
        clips: how many of them, on bikes.mp4, and on the training videos together.
        processes: that work at once, one thread each.
    """
    settings = Settings(unpack(state).resolve(), steps, size, clips)
    folder = (state / "effect" / f"{steps}-{size}-{clips}-{stack()}").resolve()
    jobs = [
        Job(folder / f"{level}-{tokens}-{seed}", tokens, level, seed)
        for level in levels
        for tokens in ("null", *ADAPTERS)
        for seed in (seeds if tokens in ADAPTERS else seeds[:1])
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        list(pool.map(run, jobs, [settings] * len(jobs)))
    print("\n".join(piped([["noise level", "media", "tokens", *COLUMNS], *table(folder, levels, seeds)])))


def table(folder: Path, levels: tuple[int, ...], seeds: tuple[int, ...]) -> Iterator[list[str]]:
    """Rows: means over clips and seeds, then the adapter's differences to the controls with paired intervals."""
    runs = [(tokens, job) for job, modes in MODES.items() for tokens in modes]
    for level, role in product(levels, ROLES):
        found = {
            tokens: [
                scores(folder / f"{level}-{job}-{seed}" / role / tokens)
                for seed in (seeds if job in ADAPTERS else seeds[:1])
            ]
            for tokens, job in runs
        }
        for tokens in ("adapter", *CONTROLS):
            means = [bootstrap(averaged(found[tokens], column)).value for column in COLUMNS]
            yield [str(level), role, tokens, *(f"{value:.4f}" for value in means)]
        for control in CONTROLS:
            pairs = [[averaged(found[tokens], column) for tokens in ("adapter", control)] for column in COLUMNS]
            yield [str(level), role, f"adapter - {control}", *(difference(*pair) for pair in pairs)]


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
