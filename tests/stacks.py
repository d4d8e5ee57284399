"""Tiny real stacks, built from the shipped configs."""

from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from vsr_adapter.adapters import Adapter
from vsr_adapter.assets import find_config
from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import UniformTimeSteps
from vsr_adapter.model import VSRModel
from vsr_adapter.sampling import Sampling, Tiling
from vsr_adapter.training.loss import Loss

CONFIGS = find_config("tiny.yaml").parent
STACKS = Path(__file__).parent / "data" / "stacks"  # tiny backbones with random weights
TINY_BACKBONES = sorted(path.stem for path in STACKS.glob("tiny_*.yaml"))

loss = Loss("epsilon", UniformTimeSteps())


def backbone(name: str = "tiny_ali_kl", path: Path | None = None) -> Backbone:
    """A tiny or a shipped backbone piece as the command line builds it, not loaded."""
    piece = path or (STACKS if name in TINY_BACKBONES else CONFIGS / "backbone") / f"{name}.yaml"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Backbone, "backbone")
    return parser.instantiate(parser.parse_args([f"--backbone={piece}"])).backbone


def one_of_each_denoiser() -> list[str]:
    """Tiny backbones, the last by name of each class of denoiser."""
    return sorted({type(backbone(name).unet): name for name in TINY_BACKBONES}.values())


def model(name: str = "tiny_ali_kl", adapter: Adapter | None = None, **sampling) -> VSRModel:
    """A whole tiny stack, loaded; the adapter is random by seed 0."""
    torch.manual_seed(0)
    how = Sampling(**{"tiles": Tiling(16, 4), **sampling})
    return VSRModel(backbone(name), FrozenViT("test_vit"), adapter, sampling=how).load()
