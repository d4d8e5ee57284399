"""Training batches: a function of (seed, step), from photographs under a moving camera and from real clips."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from recipes.mini.damage import compressed
from recipes.mini.media import LARGE, mapped
from recipes.mini.motion import path, reach, view
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.types import Clip

REAL_CLIPS = 0.3  # share of clips; the rest are photographs
DAMAGED = 0.3  # share of batches
LIVELY = 0.5  # share of clips that are the livelier of two; of smooth ones there must be enough to learn what they need
VALIDATION_STARTS = (8, 50, 100, 160, 205)  # between the cuts of bikes.mp4


@dataclass(frozen=True)
class Shape:
    """Of a batch.

    Attributes:
        clips: B.
        frames: T.
        size: side of the HR crop in pixels, a multiple of 8.
        share: of the steps.
    """

    clips: int
    frames: int
    size: int
    share: float


def cut(array: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of frames (..., H, W, 3), by slicing."""
    top, left = (int(rng.integers(extent - size + 1)) for extent in array.shape[-3:-1])
    return array[..., top : top + size, left : left + size, :]


def livelier(draw: Callable[[], np.ndarray]) -> np.ndarray:
    """Of two draws, the one with more detail: skies teach nothing."""
    first, second = draw(), draw()
    detail = [np.abs(np.diff(one[..., 1].astype(np.int16), axis=-1)).mean() for one in (first, second)]
    return first if detail[0] >= detail[1] else second


def turned(clip: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip (T, H, W, 3) mirrored, transposed and run backwards at random."""
    for axis in (0, 1, 2):
        if rng.random() < 0.5:
            clip = np.flip(clip, axis)
    return clip.transpose(0, 2, 1, 3) if rng.random() < 0.5 else clip


class Footage:
    """What trains.

    Args:
        state: folder that `media.prepare` filled.
        shapes: of the batches.
        seed: of all draws.
    """

    def __init__(self, state: Path, shapes: list[Shape], seed: int = 0):
        self.photographs, self.clips = mapped(state / "photographs"), mapped(state / "clips")
        self.shapes, self.seed = shapes, seed

    def batch(self, step: int) -> Clip:
        """The batch of a step: lr (B, T, 3, size / 4, size / 4) and hr (B, T, 3, size, size), in [0, 1]."""
        rng = np.random.default_rng((self.seed, step))
        share = np.array([shape.share for shape in self.shapes])
        shape = self.shapes[rng.choice(len(share), p=share / share.sum())]
        clips = np.stack([self.clip(shape.frames, shape.size, rng) for _ in range(shape.clips)])
        hr = torch.from_numpy(clips).permute(0, 1, 4, 2, 3).contiguous() / 255
        lr = bicubic_downscale(hr)
        if rng.random() < DAMAGED:
            pixels = (lr * 255).round().byte().permute(0, 1, 3, 4, 2).numpy()
            damaged = np.stack([compressed(clip, rng) for clip in pixels])
            lr = torch.from_numpy(damaged).permute(0, 1, 4, 2, 3).contiguous() / 255
        return Clip(lr, hr, [f"{step}/{number}" for number in range(shape.clips)])

    def clip(self, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """A clip, 8-bit RGB, shape (frames, size, size, 3)."""
        draw = self.real if rng.random() < REAL_CLIPS else self.moved
        one = partial(draw, frames, size, rng)
        drawn = livelier(one) if rng.random() < LIVELY else one()
        return turned(drawn, rng)

    def real(self, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """Frames of a real clip that is large enough; longer clips are drawn more often."""
        fitting = [clip for clip in self.clips if min(clip.shape[1:3]) >= size]
        length = np.array([len(clip) for clip in fitting])
        clip = fitting[rng.choice(len(fitting), p=length / length.sum())]
        start = int(rng.integers(len(clip) - frames + 1))
        return np.array(cut(clip[start : start + frames], size, rng))

    def moved(self, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
        """A photograph under a moving camera; larger photographs are drawn more often."""
        cameras = path(frames, rng)
        side = reach(cameras, size)
        factors = [1 if photo.shape[1] < LARGE else 2 for photo in self.photographs]
        fitting = [i for i, photo in enumerate(self.photographs) if min(photo.shape[:2]) >= side * factors[i]]
        weight = np.sqrt([self.photographs[i].shape[0] * self.photographs[i].shape[1] for i in fitting])
        chosen = fitting[rng.choice(len(fitting), p=weight / weight.sum())]
        ground = np.array(cut(self.photographs[chosen], side * factors[chosen], rng))
        return np.stack([view(ground, camera, size, factors[chosen]) for camera in cameras])


def validation(state: Path, frames: int, size: int, starts: tuple[int, ...] = VALIDATION_STARTS) -> list[Clip]:
    """Centre crops of bikes.mp4, one clip a batch; clean BIx4."""
    (bikes,) = mapped(state / "validation")
    top, left = ((extent - size) // 2 // 4 * 4 for extent in bikes.shape[1:3])
    crops = [np.array(bikes[start : start + frames, top : top + size, left : left + size]) for start in starts]
    clips = [torch.from_numpy(crop).permute(0, 3, 1, 2)[None].contiguous() / 255 for crop in crops]
    return [Clip(bicubic_downscale(hr), hr, [f"bikes/{start}"]) for start, hr in zip(starts, clips, strict=True)]
