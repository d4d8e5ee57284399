"""Tiny real stacks, built from the shipped configs."""

from pathlib import Path

import torch
from jsonargparse import ArgumentParser

from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.front import find_config
from vsr_adapter.model import VSRModel
from vsr_adapter.tiles import Tiling

CONFIGS = find_config("tiny.yaml").parent
TINY_BACKBONES = sorted(path.stem for path in (CONFIGS / "backbone").glob("tiny_*.yaml"))


def backbone(name: str = "tiny_ali_kl", path: Path | None = None) -> Backbone:
    """A backbone piece as the command line builds it, not loaded."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Backbone, "backbone")
    return parser.instantiate(
        parser.parse_args([f"--backbone={path or CONFIGS / 'backbone' / f'{name}.yaml'}"])
    ).backbone


def model(name: str = "tiny_ali_kl", **settings) -> VSRModel:
    """A whole tiny stack, loaded; the adapter is random by seed 0."""
    torch.manual_seed(0)
    return VSRModel(backbone(name), FrozenViT("test_vit"), **{"tiles": Tiling(16, 4), **settings}).load()
