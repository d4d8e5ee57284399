"""Streaming inference: frames in, upscaled frames out, one window in memory."""

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.model import VSRModel
from vsr_adapter.seeds import NoiseField
from vsr_adapter.video.plan import Window, blend


def restore(model: VSRModel, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Upscales a stream of frames.

    Frames are read, denoised in windows of ``model.window`` frames that overlap by ``model.overlap``, decoded,
    blended over the overlaps and yielded as soon as no later window can change them. The noise of a frame
    depends on (seed, frame) alone, so that overlapping windows start from the same noise.

    Args:
        model: with its weights loaded.
        frames: RGB, shape (H, W, 3), all of one size: uint8, or float in [0, 1].

    Yields:
        As many frames, of the same dtype, shape (H * scale, W * scale, 3).

    Raises:
        UserError: a frame of another shape or dtype.
    """
    plan: list[Window] = []
    dtypes: list[np.dtype] = []

    def upscaled() -> Iterator[Tensor]:
        for window, block in stream_windows(checked(frames, dtypes), model.window, model.overlap):
            plan.append(window)
            yield upscale_window(model, to_video(block), window)

    for frame in blend(consumed(plan), upscaled()):
        yield to_frame(frame, dtypes[0])


def consumed(plan: list[Window]) -> Iterator[Window]:
    """Windows in the order in which they were appended; none is kept."""
    while plan:
        yield plan.pop(0)
