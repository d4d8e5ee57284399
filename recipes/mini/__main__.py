"""`python -m recipes.mini`: prepare, then `train` for each stage in order, then `measure`."""

import json
from pathlib import Path

import torch
from jsonargparse import auto_cli

from recipes.mini import media
from recipes.mini.blend import blend
from recipes.mini.effect import effect
from recipes.mini.oracle import oracle
from recipes.mini.training import Plan, Run, Stage, read


def prepare(state: Path = Path("build/mini")) -> None:
    """Fetches the training media and decodes them.

    Args:
        state: folder of all that the recipe makes.
    """
    media.prepare(state)


def train(stage: Stage, plan: Plan, start: Path | None = None, threads: int = 1) -> None:
    """Trains a stage, or goes on with it, and exports it to ``export/`` in its state.

    Args:
        stage: what trains.
        plan: for how long.
        start: folder of exported weights to start from where the state holds no run.
        threads: of the CPU; more than there are free cores make a step several times slower.
    """
    torch.set_num_threads(threads)
    run = Run(stage, plan, start)
    run.go()
    run.export(stage.state / "export")


def measure(stage: Stage, weights: Path, plan: Plan | None = None, threads: int = 1) -> None:
    """Prints the figures of exported weights on the validation clip, as the stage logs them.

    Args:
        stage: whose figures.
        weights: folder of exported weights.
        plan: not used; so that the stages' files can be given.
        threads: of the CPU.
    """
    torch.set_num_threads(threads)
    read(stage, weights)
    print(json.dumps({name: round(value, 4) for name, value in stage.measure(stage.network).items()}, indent=2))


if __name__ == "__main__":
    auto_cli([prepare, train, measure, blend, effect, oracle], as_positional=False)
