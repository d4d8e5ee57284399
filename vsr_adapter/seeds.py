"""Random numbers that depend on names, never on the order in which they were drawn.

Lightning saves no RNG state, so a global generator cannot resume exactly; a generator keyed by
(seed, clip, epoch) can, and gives the same numbers for any batch size, worker or process count.
"""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor

BLOCK = 32  # side of the squares in which noise is drawn, in cells


def generator(*key: object) -> torch.Generator:
    """A CPU generator that is a function of ``key`` alone (of its ``repr``, so use str, int and float)."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class NoiseField:
    """Gaussian noise as a function of (key, kind, step, frame, channel, y, x).

    Windows and tiles that overlap see the same noise in the frames and places that they share.

    Args:
        key: what names the video and the seed, for example ``(seed, "predict")``.
        frames: frame numbers of the window, in the video.
        top: of the tile in the video, in low-resolution pixels.
        left: likewise.
        height: of the tile, in low-resolution pixels; None for a tile at the origin.
    """

    def __init__(
        self, key: tuple[object, ...], frames: Sequence[int], top: int = 0, left: int = 0, height: int | None = None
    ):
        self.key, self.frames = key, list(frames)
        self.top, self.left, self.height = top, left, height

    def __call__(self, kind: str, shape: tuple[int, ...], step: int = 0, length: int | None = None) -> Tensor:
        """Standard normal noise.

        Latents that stand for several frames are named by the last of them: where a window begins at a latent frame of
        another, the two agree.

        Args:
            kind: what it is for: ``start``, ``step``, ``low_res`` ...
            shape: of one frame of the tile, (C, h, w), in a grid of its own: that of latents, or of pixels.
            step: number of the denoising step.
            length: T, in a grid of its own: the first of the window is its first frame, the last its last one; None for
                every frame.

        Returns:
            Shape (T, C, h, w), float32, on the CPU.
        """
        rows = shape[1] if self.height is None else self.height
        assert self.top * shape[1] % rows == 0
        assert self.left * shape[1] % rows == 0
        top, left = self.top * shape[1] // rows, self.left * shape[1] // rows
        every = 1 if length is None or length == 1 else (len(self.frames) - 1) // (length - 1)
        named = self.frames[:1] if length == 1 else self.frames[::every]
        assert length is None or len(named) == length
        return torch.stack([self.crop((kind, step, frame), shape, top, left) for frame in named])

    def crop(self, name: tuple[object, ...], shape: tuple[int, ...], top: int, left: int) -> Tensor:
        """One frame: the squares that it touches, each drawn whole, cut to size."""
        channels, height, width = shape
        lines = [
            torch.cat([self.square(name, channels, y, x) for x in range(left // BLOCK, -(-(left + width) // BLOCK))], 2)
            for y in range(top // BLOCK, -(-(top + height) // BLOCK))
        ]
        y, x = top % BLOCK, left % BLOCK
        return torch.cat(lines, 1)[:, y : y + height, x : x + width]

    def square(self, name: tuple[object, ...], channels: int, y: int, x: int) -> Tensor:
        """A square of noise, shape (C, BLOCK, BLOCK)."""
        return torch.randn(channels, BLOCK, BLOCK, generator=generator(*self.key, *name, y, x))
