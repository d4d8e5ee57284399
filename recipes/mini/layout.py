"""Clips in channels-last layout: on CPUs, convolutions of this size run 1.5 to 2 times faster so."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def silence(*layers: nn.Module) -> None:
    """Sets the biases of convolutions and linear layers to zero."""
    for layer in layers:
        if isinstance(layer.bias, Tensor):
            layer.bias.zero_()


def features(video: Tensor) -> Tensor:
    """Video in [0, 1], shape (B, T, 3, H, W), as the networks take it: [-1, 1], (B, 3, T, H, W), channels last."""
    return (video * 2 - 1).transpose(1, 2).contiguous(memory_format=torch.channels_last_3d)


def video(pixels: Tensor) -> Tensor:
    """The other way round, clamped to [0, 1]."""
    return ((pixels + 1) / 2).clamp(0, 1).transpose(1, 2)
