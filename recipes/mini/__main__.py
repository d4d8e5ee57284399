"""`python -m recipes.mini`: the stages, in order. Each goes on where it was stopped."""

import json
from pathlib import Path

import torch
from jsonargparse import auto_cli

from recipes.mini import media
from recipes.mini.training import Plan, Run, Stage, read
from recipes.mini.unet import Rates, UNetStage
from recipes.mini.vae import VAEStage

STATE = Path("build/mini")
SHIPPED = Path("vsr_adapter/assets/mini")


def prepare(state: Path = STATE) -> None:
    """Fetches the training media and decodes them.

    Args:
        state: folder of all that the recipe makes.
    """
    media.prepare(state)


def vae(
    steps: int = 40_000,
    cooldown: int = 0,
    rate: float = 1.5e-3,
    state: Path = STATE,
    start: Path | None = None,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Stage a: trains the autoencoder, and exports it.

    Args:
        steps: to go to, those of earlier runs counted.
        cooldown: last steps, in which the learning rate falls to 0.
        rate: learning rate.
        state: folder of all that the recipe makes.
        start: folder of exported weights to start from where the state holds no run.
        seed: of weights and draws.
        threads: of the CPU; more than there are free cores make a step several times slower.
    """
    torch.set_num_threads(threads)
    plan = Plan(steps, rate, cooldown, measure_every=100, warmup=30)
    run = Run(VAEStage(state, seed), plan, state / "vae", start)
    run.go()
    run.export(state / "export")


def unet(
    steps: int = 100_000,
    cooldown: int = 0,
    rate: float = 1e-3,
    pixels: float = 0.0,
    vae: Path | None = None,
    state: Path = STATE,
    start: Path | None = None,
    seed: int = 0,
    threads: int = 1,
) -> None:
    """Stage c: trains the denoiser on the latents of the exported autoencoder, and exports it.

    Args:
        steps: see `vae`.
        cooldown: see `vae`.
        rate: see `vae`.
        pixels: share of batches whose prediction is also judged in pixels; 0.5 for the end of the training.
        vae: folder of the exported autoencoder, where the state does not hold it.
        state: see `vae`.
        start: see `vae`.
        seed: see `vae`.
        threads: see `vae`.
    """
    torch.set_num_threads(threads)
    stage = UNetStage(state, vae, seed, Rates(pixels=pixels))
    run = Run(stage, Plan(steps, rate, cooldown, warmup=50, measure_every=250), state / "unet", start)
    run.go()
    run.export(state / "export")


def measure(weights: Path = SHIPPED, state: Path = STATE, threads: int = 1) -> None:
    """Prints the figures of exported weights on the validation clip, as the stages log them.

    Args:
        weights: folder of exported weights.
        state: see `vae`.
        threads: see `vae`.
    """
    torch.set_num_threads(threads)
    stages: list[Stage] = [VAEStage(state), UNetStage(state, weights)]
    for stage in stages:
        read(stage, weights)
        print(json.dumps({name: round(value, 4) for name, value in stage.measure(stage.network).items()}, indent=2))


if __name__ == "__main__":
    auto_cli({"prepare": prepare, "vae": vae, "unet": unet, "measure": measure}, as_positional=False)
