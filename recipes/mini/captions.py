"""Procedural captions: what the high-resolution clip holds, region by region, and the low-resolution one hides.

They stand in for the language that a published backbone was trained on: a UNet that has learned to read them gives an
adapter something to say.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.types import Clip

LUMA = torch.tensor([0.299, 0.587, 0.114])
GRID = 4  # regions along each side
ENERGY = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0, 32.0]) / 255  # of what bicubic misses, root mean square
MOTION = torch.tensor([1.0, 4.0, 16.0]) / 255  # root mean square difference of neighbouring frames
DENSITY = torch.tensor([0.45, 0.65])  # mean over root mean square; .80 for Gaussian texture, less for lone edges
ORIENTATIONS = 8  # over half a turn
COHERENT = 0.3  # of the structure tensor; below, a region has no orientation
BRIGHTNESS = 8  # levels


class Caption(NamedTuple):
    """Words of each region, int64, shape (B, GRID * GRID).

    Attributes:
        energy: of the detail, 0 to 6.
        orientation: 0 for none, else 1 to 8, from 0 degrees (a vertical edge) on.
        texture: 0 lone edges, 1 mixed, 2 dense.
        motion: 0 to 3; 0 for stills.
        brightness: 0 to 7: by it a pixel finds the region that it lies in.
    """

    energy: Tensor
    orientation: Tensor
    texture: Tensor
    motion: Tensor
    brightness: Tensor


WORDS = Caption(*(torch.tensor(count) for count in (7, 1 + ORIENTATIONS, 3, 4, BRIGHTNESS)))


def pooled(values: Tensor) -> Tensor:
    """Mean of a map (B, T, H, W) over time and each region, shape (B, GRID * GRID)."""
    return F.adaptive_avg_pool2d(values.mean(dim=1), GRID).flatten(1)


def oriented(luma: Tensor) -> Tensor:
    """Orientation of the gradients of (B, T, H, W) by the structure tensor, shape (B, GRID * GRID)."""
    dy, dx = torch.gradient(luma, dim=(-2, -1))
    xx, yy, xy = pooled(dx * dx), pooled(dy * dy), pooled(dx * dy)
    strength = torch.hypot(xx - yy, 2 * xy)
    half_turns = torch.atan2(2 * xy, xx - yy) / (2 * torch.pi)  # in [-1/2, 1/2], of the gradient
    bins = (half_turns * ORIENTATIONS).round().long() % ORIENTATIONS
    return torch.where(strength > COHERENT * (xx + yy).clamp(min=1e-8), 1 + bins, 0)


def describe(clip: Clip) -> Caption:
    """The caption of each clip: ``hr`` (B, T, 3, H, W) and ``lr`` in [0, 1]."""
    luma = torch.einsum("btchw,c->bthw", clip.hr, LUMA)
    missing = luma - torch.einsum("btchw,c->bthw", bicubic_upscale(clip.lr), LUMA)
    rms = pooled(missing.square()).sqrt()
    steps = luma.diff(dim=1) if luma.shape[1] > 1 else torch.zeros_like(luma)
    return Caption(
        energy=torch.bucketize(rms, ENERGY),
        orientation=oriented(luma),
        texture=torch.bucketize(pooled(missing.abs()) / rms.clamp(min=1e-8), DENSITY),
        motion=torch.bucketize(pooled(steps.square()).sqrt(), MOTION),
        brightness=(pooled(luma) * BRIGHTNESS).long().clamp(0, BRIGHTNESS - 1),
    )


class CaptionEmbedding(nn.Module):
    """Captions to tokens: one for each region, the sum of its words' vectors and its place's, normalised.

    Args:
        dim: width of the tokens.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.words = nn.ModuleList([nn.Embedding(int(count), dim) for count in WORDS])
        self.place = nn.Parameter(torch.randn(GRID * GRID, dim))
        self.norm = nn.LayerNorm(dim)

    def forward(self, caption: Caption) -> Tensor:
        """Shape (B, GRID * GRID, dim)."""
        words = [embed(word) for embed, word in zip(self.words, caption, strict=True)]
        return self.norm(torch.stack(words).sum(dim=0) + self.place)


class NullTokens(nn.Module):
    """Tokens of no caption: zeros, in the file where `Backbone.null_tokens` looks for them.

    Args:
        dim: width of the tokens.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.register_buffer("null_tokens", torch.zeros(1, GRID * GRID, dim))
