"""Streaming inference: frames in, upscaled frames out, one window in memory."""

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.model import VSRModel
from vsr_adapter.seeds import NoiseField
from vsr_adapter.video.plan import Window, blend, stream_windows


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
    stream = checked(frames)
    first = next(stream, None)
    if first is None:
        return
    windows = stream_windows(chain([first], stream), model.window, model.overlap)
    parts = ((window, upscale_window(model, block, window)) for window, block in windows)
    for stretch in blend(parts):
        for frame in stretch:
            yield to_frame(frame, first.dtype)


def checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The frames, as long as they are alike and RGB.

    Raises:
        UserError: a frame of another shape or dtype.
    """
    like: np.ndarray | None = None
    for number, frame in enumerate(frames):
        if frame.ndim != 3 or frame.shape[2] != 3 or not (frame.dtype == np.uint8 or frame.dtype.kind == "f"):
            raise UserError(
                f"frame {number} of shape {frame.shape}, {frame.dtype}: must be (H, W, 3) uint8 or float; convert it"
            )
        like = frame if like is None else like
        if frame.shape != like.shape or frame.dtype != like.dtype:
            raise UserError(
                f"frame {number} is {frame.shape[1]}x{frame.shape[0]} {frame.dtype}, the first was "
                f"{like.shape[1]}x{like.shape[0]} {like.dtype}: all must be alike; split the video there"
            )
        yield frame


def upscale_window(model: VSRModel, block: list[np.ndarray], window: Window) -> Tensor:
    """One window, upscaled.

    Short windows and sizes that the backbone cannot take are padded by replication, and cropped back.

    Args:
        model: with its weights loaded.
        block: frames of the window.
        window: their numbers.

    Returns:
        Video in [0, 1], shape (T, 3, H * scale, W * scale), on the CPU.
    """
    height, width = block[0].shape[:2]
    multiple = model.lr_multiple
    pad = [0, -width % multiple, 0, -height % multiple, 0, max(model.window - len(block), 0)]
    video = torch.from_numpy(np.stack(block)).to(model.backbone.device).permute(3, 0, 1, 2)  # (3, T, h, w)
    video = video / 255 if video.dtype == torch.uint8 else video.float()
    padded = F.pad(video[None], pad, mode="replicate").transpose(1, 2)
    noise = NoiseField((model.seed, "predict"), range(window.start, window.start + padded.shape[1]))
    upscaled = model.sample(padded, [noise])[0]
    return upscaled[: len(block), :, : height * model.scale, : width * model.scale].cpu()


def to_frame(frame: Tensor, dtype: np.dtype) -> np.ndarray:
    """An image (3, H, W) in [0, 1] as an array (H, W, 3); 8-bit values are rounded."""
    image = frame.permute(1, 2, 0).float()
    if dtype == np.uint8:
        return (image * 255).round().to(torch.uint8).numpy()
    return image.numpy().astype(dtype)
