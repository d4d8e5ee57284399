"""Reading frames: Y'CbCr to RGB in float, at any depth, from any position, with a word about damage."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import av
import numpy as np

from vsr_adapter.errors import UserError
from vsr_adapter.video.colour import Matrix, double, to_rgb
from vsr_adapter.video.find import frame_files
from vsr_adapter.video.images import read_pixels
from vsr_adapter.video.index import Index, Look, index, open_video

Damage = Literal["fail", "repeat", "skip"]


class Frame(NamedTuple):
    """One frame.

    Attributes:
        rgb: shape (H, W, 3), float32, nominally in [0, 1]; outside where codes are out of their nominal range.
        alpha: shape (H, W), float32 in [0, 1], or None.
        damaged: whether it stands for one that could not be decoded.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None = None
    damaged: bool = False


def read_frames(path: Path, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
    """`read` as 8-bit RGB, shape (H, W, 3).

    Raises:
        UserError: as `read`.
    """
    for frame in read(path, start, count):
        yield np.rint(frame.rgb.clip(0, 1) * 255).astype(np.uint8)


def read(path: Path, start: int = 0, count: int | None = None, damage: Damage = "fail") -> Iterator[Frame]:
    """Frames ``start`` to ``start + count`` (to the end where None), seeking to the keyframe before ``start``.

    Args:
        path: a video file or a folder of frames.
        start: number of the first frame.
        count: number of frames.
        damage: what a frame that cannot be decoded means: an error, or (``repeat`` and ``skip``, which are for the
            writer to tell apart) its neighbour in its place, marked as damaged.

    Raises:
        UserError: frames of changing size, or of fewer than there should be.
    """
    known = index(path)
    info = known.info
    count = info.frames - start if count is None else count
    if start < 0 or start + count > info.frames:
        raise UserError(f"{path}: frames {start} to {start + count} asked for, it has {info.frames}; ask for fewer")
    last: Frame | None = None
    owed = 0  # damaged frames before the first whole one, which stands for them
    for number, frame in enumerate(found(path, known, start, count), start):
        if frame is None:
            if damage == "fail":
                raise UserError(
                    f"{path}: frame {number} of {info.frames} cannot be decoded, it may be damaged or truncated; copy "
                    "it again, or pass --damaged repeat or skip"
                )
            if last is None:
                owed += 1
            else:
                yield last._replace(damaged=True)
            continue
        if frame.rgb.shape[:2] != (info.height, info.width):
            raise UserError(
                f"{path}: frame {number} is {frame.rgb.shape[1]}x{frame.rgb.shape[0]}, the first was "
                f"{info.width}x{info.height}; split it where the size changes"
            )
        for _ in range(owed):
            yield frame._replace(damaged=True)
        owed, last = 0, frame
        yield frame
    if owed:
        raise UserError(f"{path}: none of frames {start} to {start + count} can be decoded; copy it again")


def found(path: Path, known: Index, start: int, count: int) -> Iterator[Frame | None]:
    """``count`` frames from number ``start`` on; None for each that cannot be decoded."""
    if path.is_dir():
        yield from (from_pixels(read_pixels(file)) for file in frame_files(path)[start : start + count])
    else:
        for frame in matched(path, known, start, count):
            yield None if frame is None else from_video(frame, known.look)


def matched(path: Path, known: Index, start: int, count: int) -> Iterator[av.VideoFrame | None]:
    """`found` of a video file, as it is decoded."""
    expected = iter(known.times[start : start + count])
    time = next(expected, None)
    for order, frame in enumerate(decoded(path, start, known)):
        # without times, frames can only be counted; `decoded` starts at the first
        pts = frame.pts if known.timed else order
        while time is not None and pts is not None and time < pts:
            yield None
            time = next(expected, None)
        if time is None:
            return
        if pts == time:
            yield None if frame.is_corrupt else frame
            time = next(expected, None)
    while time is not None:
        yield None
        time = next(expected, None)


def decoded(path: Path, start: int, known: Index) -> Iterator[av.VideoFrame]:
    """Decoded frames of a video file, from number ``start`` or an earlier one on; damaged packets are passed over.

    Demuxers seek by decoding time, and may land after the keyframe that a reordered frame needs: then that frame
    does not come, and we go back further, in the end to the front (MPEG transport streams, damaged files).
    """
    if start and known.timed:
        for back in (0, 8, 64):
            with open_video(path) as (container, stream):
                container.seek(known.times[max(start - back, 0)], stream=stream, backward=True)
                frames = packet_frames(container, stream)
                wanted = next((f for f in frames if f.pts is not None and f.pts >= known.times[start]), None)
                if wanted is not None and wanted.pts == known.times[start] and not wanted.is_corrupt:
                    yield wanted
                    yield from frames
                    return
    with open_video(path) as (container, stream):
        yield from packet_frames(container, stream)


def packet_frames(container: av.container.InputContainer, stream: av.video.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames of all packets that can be decoded."""
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            continue
        yield from frames


def from_pixels(pixels: np.ndarray) -> Frame:
    """A frame of RGB or RGBA codes, 8 or 16 bits, shape (H, W, 3 or 4)."""
    values = pixels.astype(np.float32) / np.iinfo(pixels.dtype).max
    return Frame(np.ascontiguousarray(values[..., :3]), values[..., 3] if values.shape[2] == 4 else None)


def from_video(frame: av.VideoFrame, look: Look) -> Frame:
    """A decoded frame of the size that it has, with the colours that the stream's first frame named."""
    if look.rgb:
        green, blue, red, *alpha = planes(stored_as(frame, look))
        rgb = np.stack([red, green, blue], axis=-1) / np.float32((1 << look.depth) - 1)
    else:
        luma, *rest = planes(stored_as(frame, look))
        matrix = Matrix(look.space, look.full, look.depth)
        if len(rest) < 2:
            grey = np.full_like(luma, 1 << (look.depth - 1))
            chroma, alpha = [grey, grey], rest
        else:
            chroma, alpha = [whole(plane, luma.shape, look) for plane in rest[:2]], rest[2:]
        rgb = to_rgb(luma, chroma[0], chroma[1], matrix)
    opacity = alpha[0] / np.float32((1 << look.depth) - 1) if alpha else None
    return Frame(rgb, opacity)


def whole(plane: np.ndarray, shape: tuple[int, ...], look: Look) -> np.ndarray:
    """A chroma plane at the size of luma.

    Samples stand on even columns and between rows, the rule of H.264 and H.265; in full-range video (JPEG) between
    columns too. Streams that place them otherwise do not say so through PyAV.
    """
    for axis, cosited in ((0, False), (1, not look.full)):
        while plane.shape[axis] < shape[axis]:
            plane = double(plane, min(2 * plane.shape[axis], shape[axis]), axis, cosited)
    return plane


def stored_as(frame: av.VideoFrame, look: Look) -> av.VideoFrame:
    """The same codes in planes of little-endian integers: semi-planar, packed and palette formats are unpacked."""
    name, depth = frame.format.name, look.depth
    suffix = "" if depth == 8 else f"{depth}le"
    if look.rgb:
        target = f"gbr{'a' if look.alpha else ''}p{suffix}"
    elif len(frame.format.components) < 3:
        target = "yuva444p" if look.alpha else f"gray{suffix}"
    elif frame.format.is_planar and not frame.format.is_big_endian and not name.startswith(("nv", "p0", "p2", "p4")):
        return frame
    else:
        across, down = look.halved
        target = f"yuv{'a' if look.alpha else ''}{'420' if down else '422' if across else '444'}p{suffix}"
    return frame if name == target else frame.reformat(format=target)


def planes(frame: av.VideoFrame) -> list[np.ndarray]:
    """Views of the planes, each of its own size."""
    kind = np.dtype("u1" if frame.format.components[0].bits <= 8 else "<u2")
    return [
        np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width]  # rows are padded in memory
        for plane in frame.planes
    ]
