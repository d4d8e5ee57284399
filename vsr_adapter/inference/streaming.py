"""Streaming inference: frames in, upscaled frames out, one window in memory."""

from collections.abc import Iterable, Iterator
from functools import partial
from itertools import chain

import numpy as np
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.frames import to_8_bit, to_video
from vsr_adapter.inference.memory import fitting_tiles
from vsr_adapter.inference.sample import finished, sample, sample_jointly
from vsr_adapter.inference.tiles import TilePlan, cut_tiles, padded, plan_tiles, upscaled
from vsr_adapter.model import VSRModel
from vsr_adapter.sampling import Tiling
from vsr_adapter.windows import Window, blend, stream_windows, windows_of


def upscale_stream(model: VSRModel, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Upscales a stream of frames.

    Frames are read, denoised in windows of ``model.window`` frames that overlap by ``model.overlap`` and in tiles,
    decoded, blended over the overlaps and yielded as soon as no later window can change them. Noise depends on (seed,
    frame, place) alone, so that overlapping windows and tiles start from the same noise.

    Args:
        model: with its weights loaded.
        frames: RGB, shape (H, W, 3), all of one size: uint8, or float in [0, 1].

    Yields:
        As many frames, of the same dtype, shape (H * scale, W * scale, 3).

    Raises:
        UserError: a frame of another shape or dtype.
    """
    stream = alike(frames)
    first = next(stream, None)
    if first is None:
        return
    tiles = fitting_tiles(model, *first.shape[:2])
    windows = stream_windows(chain([first], stream), model.window, model.overlap, model.time)
    for stretch in blend((window, upscale_window(model, block, window, tiles)) for window, block in windows):
        for frame in stretch:
            yield to_frame(frame, first.dtype)


def upscale_stretch(
    model: VSRModel, frames: Iterable[np.ndarray], windows: list[Window], begin: int, end: int, tiles: Tiling
) -> Iterator[np.ndarray]:
    """Upscales a stretch of a video whose windows are planned.

    Args:
        model: with its weights loaded.
        frames: from the start of the first window on, as for `upscale_stream`.
        windows: all that touch the stretch.
        begin: number of the first frame wanted.
        end: number after the last.
        tiles: of its frames.

    Yields:
        Frames ``begin`` to ``end``, the same whatever stretches the video is cut into.
    """
    blocks = windows_of(alike(frames), windows)
    parts = ((window, upscale_window(model, block, window, tiles)) for window, block in blocks)
    number = windows[0].start
    for stretch in blend(parts):
        for frame in stretch:
            if begin <= number < end:
                yield to_frame(frame, np.dtype(np.float32))
            number += 1


def alike(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
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


def upscale_window(model: VSRModel, block: list[np.ndarray], window: Window, tiles: Tiling) -> Tensor:
    """One window, upscaled in tiles.

    Short windows and sizes that the tiles do not fill are padded by replication, and cropped back.

    Args:
        model: with its weights loaded.
        block: frames of the window.
        window: their numbers.
        tiles: of its frames; the size must be a number.

    Returns:
        Video in [0, 1], shape (T, 3, H * scale, W * scale), on the CPU.
    """
    video = to_video(block).to(model.backbone.device)
    return upscale_in_tiles(model, video, window.start, tiles, (model.sampling.seed, "predict"), model.window)


def upscale_in_tiles(
    model: VSRModel, video: Tensor, start: int, tiles: Tiling, key: tuple[object, ...], frames: int
) -> Tensor:
    """A clip, upscaled in tiles; padded by replication to what they fill, and cropped back.

    Args:
        model: with its weights loaded.
        video: in [0, 1], shape (T, 3, H, W), on the model's device.
        start: number of its first frame.
        tiles: of its frames; the size must be a number.
        key: of the noise.
        frames: that are sampled at least, a length that the backbone takes.

    Returns:
        Video in [0, 1], shape (T, 3, H * scale, W * scale), on the CPU.
    """
    count, _, height, width = video.shape
    plan = plan_tiles(height, width, tiles, model.lr_multiple)
    whole = padded(video, frames, plan.size)
    if tiles.mode == "joint" and len(plan.places) > 1:
        result = jointly(model, whole, plan, key, start)
    else:
        result = upscaled(whole, plan, tiles.batch, partial(sample, model), key, start, model.scale)
    assert len(result) == len(whole)
    result = result[:count, :, : height * model.scale, : width * model.scale]
    return finished(model, result[None], video[None].cpu())[0]


def jointly(model: VSRModel, video: Tensor, plan: TilePlan, key: tuple[object, ...], start: int) -> Tensor:
    """A padded video (T, 3, H, W) by joint denoising, on the CPU."""
    tiles, fields = zip(*cut_tiles(video, plan, key, start), strict=True)
    return sample_jointly(model, list(tiles), list(fields), plan.rows, plan.columns)[0].cpu()


def to_frame(frame: Tensor, dtype: np.dtype) -> np.ndarray:
    """An image (3, H, W) in [0, 1] as an array (H, W, 3); 8-bit values are rounded."""
    if dtype == np.uint8:
        return to_8_bit(frame)
    return frame.permute(1, 2, 0).float().numpy().astype(dtype)
