"""Random numbers that depend on names, never on the order in which they were drawn.

Lightning saves no RNG state, so a global generator cannot resume exactly; a generator keyed by
(seed, clip, epoch) can, and gives the same numbers for any batch size, worker or process count.
"""

from collections.abc import Sequence
from hashlib import blake2b

import torch
from torch import Tensor


def generator(*key: object) -> torch.Generator:
    """A CPU generator that is a function of ``key`` alone (of its ``repr``, so use str, int and float)."""
    digest = blake2b(repr(key).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)


class NoiseField:
    """Gaussian noise as a function of (key, kind, step, frame).

    Windows that overlap in time see the same noise in the frames that they share.

    Args:
        key: what names the video and the seed, for example ``(seed, "predict")``.
        frames: frame numbers of the window, in the video.
    """

    def __init__(self, key: tuple[object, ...], frames: Sequence[int]):
        self.key = key
        self.frames = list(frames)

    def __call__(self, kind: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Standard normal noise.

        Args:
            kind: what it is for: ``start``, ``step``, ``low_res`` ...
            shape: of one frame, (C, h, w).
            step: number of the denoising step.

        Returns:
            Shape (T, C, h, w), float32, on the CPU.
        """
        return torch.stack(
            [torch.randn(shape, generator=generator(*self.key, kind, step, frame)) for frame in self.frames]
        )
