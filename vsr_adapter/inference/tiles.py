"""Frames in tiles: what is cut out, sampled and joined again."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr_adapter.sampling import Tiling
from vsr_adapter.seeds import NoiseField
from vsr_adapter.windows import Window, blend_tiles, plan_windows

Network = Callable[[Tensor, list[NoiseField]], Tensor]
"""Upscales clips (B, T, 3, h, w) with the noise of each."""
Tile = tuple[Tensor, NoiseField]
"""A clip (1, T, 3, h, w) with its noise."""


class TilePlan(NamedTuple):
    """Tiles of a frame.

    Attributes:
        rows: of tiles, in low-resolution pixels, over the padded height.
        columns: likewise.
    """

    rows: list[Window]
    columns: list[Window]

    @property
    def places(self) -> list[tuple[Window, Window]]:
        """Of all tiles, row by row."""
        return list(product(self.rows, self.columns))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the padded frame."""
        return self.rows[-1].stop, self.columns[-1].stop


def plan_tiles(height: int, width: int, tiling: Tiling, multiple: int) -> TilePlan:
    """Tiles of frames of one size.

    Args:
        height: of a frame, in low-resolution pixels, at least 1.
        width: likewise.
        tiling: its size must be a number.
        multiple: borders of tiles fall on multiples of this.
    """
    assert tiling.size != "auto"
    size, overlap = (-(-value // multiple) for value in (tiling.size, tiling.overlap))
    axes = []
    for length in (height, width):
        windows = plan_windows(max(-(-length // multiple), size), size, min(overlap, size - 1))
        axes.append([window.times(multiple) for window in windows])
    return TilePlan(*axes)


def padded(video: Tensor, frames: int, size: tuple[int, int]) -> Tensor:
    """A video (T, 3, h, w) with its last frame, row and column repeated to ``frames`` and ``size``."""
    grow = [0, size[1] - video.shape[3], 0, size[0] - video.shape[2], 0, max(frames - video.shape[0], 0)]
    return F.pad(video.transpose(0, 1)[None], grow, mode="replicate")[0].transpose(0, 1)


def cut_tiles(video: Tensor, plan: TilePlan, key: tuple[object, ...], start: int) -> Iterator[Tile]:
    """Each tile of a padded video (T, 3, H, W).

    Args:
        video: padded.
        plan: its tiles.
        key: of the noise.
        start: number of the first frame.
    """
    frames = range(start, start + video.shape[0])
    for y, x in plan.places:
        tile = video[None, ..., y.start : y.stop, x.start : x.stop]
        yield tile, NoiseField(key, frames, y.start, x.start, y.stop - y.start)


def in_batches(tiles: Iterator[Tile], batch: int, network: Network) -> Iterator[Tensor]:
    """The network's output for each tile, shape (T, 3, h * scale, w * scale)."""
    held: list[Tile] = []
    for tile in tiles:
        held.append(tile)
        if len(held) == batch:
            yield from network(torch.cat([video for video, _ in held]), [field for _, field in held])
            held = []
    if held:
        yield from network(torch.cat([video for video, _ in held]), [field for _, field in held])


def upscaled(
    video: Tensor, plan: TilePlan, batch: int, network: Network, key: tuple[object, ...], start: int, scale: int
) -> Tensor:
    """A padded video (T, 3, H, W), tile by tile: shape (T, 3, H * scale, W * scale), on the CPU."""
    parts = (part.cpu() for part in in_batches(cut_tiles(video, plan, key, start), batch, network))
    return blend_tiles(parts, plan.rows, plan.columns, scale)
