"""Blur kernels of Real-ESRGAN (Wang et al. 2021) and RealBasicVSR (Chan et al. 2022), one for each frame."""

import math

import torch
from torch import Tensor

from vsr_adapter.data.degradations.draws import Draws

SIZES = (7, 9, 11, 13, 15, 17, 19, 21)
SHAPES = ("iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso", "sinc")
WEIGHTS = (0.405, 0.225, 0.108, 0.027, 0.108, 0.027, 0.1)


def offsets(size: int) -> tuple[Tensor, Tensor]:
    """Columns and rows from the middle of a kernel, shape (size, size)."""
    line = torch.arange(size) - size // 2
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x.float(), y.float()


def normalised(kernel: Tensor) -> Tensor:
    """Kernels (T, k, k) that sum to 1."""
    return kernel / kernel.sum(dim=(1, 2), keepdim=True)


def squared_distance(size: int, sigma_x: Tensor, sigma_y: Tensor, angle: Tensor) -> Tensor:
    """x^T Sigma^-1 x of an ellipse turned by ``angle`` radians; parameters (T,), result (T, size, size)."""
    x, y = offsets(size)
    sigma_x, sigma_y, angle = (value[:, None, None] for value in (sigma_x, sigma_y, angle))
    along, across = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    return (along / sigma_x).square() + (across / sigma_y).square()


def generalised_gaussian(distance: Tensor, beta: Tensor) -> Tensor:
    """exp(-d^(2 beta) / 2) of squared distances d^2, normalised; beta (T,), 1 gives a Gaussian."""
    return normalised((-0.5 * distance.pow(beta[:, None, None])).exp())


def plateau(distance: Tensor, beta: Tensor) -> Tensor:
    """1 / (1 + d^(2 beta)) of squared distances d^2, normalised; beta (T,)."""
    return normalised(1 / (1 + distance.pow(beta[:, None, None])))


def sinc(size: int, cutoff: Tensor) -> Tensor:
    """Ideal circular low-pass w J1(w r) / (2 pi r), which rings; cutoff w in radians per pixel, (T,)."""
    x, y = offsets(size)
    radius = torch.hypot(x, y)
    w = cutoff[:, None, None]
    ring = w * torch.special.bessel_j1(w * radius) / (2 * math.pi * radius.clamp(min=1))
    return normalised(torch.where(radius == 0, w.square() / (4 * math.pi), ring))


def random_sinc(draws: Draws, frames: int, lowest: float, size: int) -> Tensor:
    """Sinc kernels whose cutoff lies between ``lowest`` and pi."""
    return sinc(size, draws.walk(lowest, math.pi, 0.0628, frames))


def random_kernels(draws: Draws, frames: int, sigma: tuple[float, float]) -> Tensor:
    """A kernel per frame: size and shape drawn for the clip, parameters in small steps from frame to frame.

    Args:
        draws: of the clip.
        frames: how many.
        sigma: range, in pixels.

    Returns:
        Shape (T, k, k), each sums to 1.
    """
    size, shape = draws.choice(SIZES), draws.choice(SHAPES, WEIGHTS)
    if shape == "sinc":
        return random_sinc(draws, frames, math.pi / 3 if size < 13 else math.pi / 5, size)
    sigma_x = draws.walk(*sigma, 0.02, frames)
    if shape.endswith("aniso"):
        sigma_y, angle = draws.walk(*sigma, 0.02, frames), draws.walk(-math.pi, math.pi, 0.31416, frames)
    else:
        sigma_y, angle = sigma_x, torch.zeros(frames)
    distance = squared_distance(size, sigma_x, sigma_y, angle)
    if shape.startswith("plateau"):
        return plateau(distance, draws.walk(1, 2, 0.1, frames))
    if shape.startswith("generalized"):
        return generalised_gaussian(distance, draws.walk(0.5, 4, 0.05, frames))
    return generalised_gaussian(distance, torch.ones(frames))
