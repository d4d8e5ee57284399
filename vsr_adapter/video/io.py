"""Finding, probing and reading videos: files through PyAV, folders of frames through OpenCV."""

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation

from vsr_adapter.errors import UserError
from vsr_adapter.types import VideoInfo

# fmt: off
VIDEO_SUFFIXES = frozenset([
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".y4m", ".ogv",
    ".3gp", ".gif",
])
IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"])
# fmt: on
# libav's default conversion from 4:2:0 truncates: measured on the sample, it darkens all channels by one level of 255
EXACT = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND
FOLDER_RATE = Fraction(25)  # folders of frames do not say theirs


class Index(NamedTuple):
    """What one demuxing pass tells.

    Attributes:
        info: exact frame count, size and rate.
        times: presentation time of each frame, ascending, in the stream's time base; empty where the container
            has none, and frames can only be counted.
    """

    info: VideoInfo
    times: tuple[int, ...]


def natural_key(path: Path) -> tuple[list[object], str]:
    """Sorts ``frame10`` after ``frame9``; ``1`` and ``01`` have a fixed order too."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)], path.name


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder, in natural order; hidden files are left out."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    return sorted(files, key=natural_key)


def find_videos(root: Path) -> list[Path]:
    """Video files and folders of frames under ``root``, or ``root`` itself; sorted, hidden names left out.

    Raises:
        UserError: nothing there.
    """
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; check the path")
    if root.is_file():
        return [root]
    found = [root] if frame_files(root) else []
    for path in sorted(root.rglob("*"), key=lambda path: [natural_key(Path(part)) for part in path.parts]):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if (path.is_dir() and frame_files(path)) or (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES):
            found.append(path)
    if not found:
        raise UserError(
            f"{root}: holds no video and no folder of frames; videos end in {' '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return found


def probe(path: Path) -> VideoInfo:
    """Frame count, size and rate, without decoding.

    Raises:
        UserError: no such path, not a video, no frames.
    """
    return index(path).info


def index(path: Path) -> Index:
    """The index of a video or a folder of frames; cached until the file changes.

    Raises:
        UserError: as `probe`.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; check the path")
    if path.is_dir():
        return folder_index(path)
    stat = path.stat()
    return file_index(path, stat.st_mtime_ns, stat.st_size)


def folder_index(path: Path) -> Index:
    """Index of a folder of frames; the size is that of its first one."""
    files = frame_files(path)
    if not files:
        raise UserError(f"{path}: holds no image; frames end in {' '.join(sorted(IMAGE_SUFFIXES))}")
    height, width = image_size(files[0], files[0].stat().st_mtime_ns)
    return Index(VideoInfo(path, len(files), width, height, FOLDER_RATE), tuple(range(len(files))))


@lru_cache(maxsize=4096)
def image_size(path: Path, mtime_ns: int) -> tuple[int, int]:
    """Height and width; the other argument makes the cache notice a change."""
    height, width = read_image(path).shape[:2]
    return height, width


@lru_cache(maxsize=4096)
def file_index(path: Path, mtime_ns: int, size: int) -> Index:
    """Index of a video file; the other arguments make the cache notice that it changed."""
    with open_video(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        times = [packet.pts for packet in packets]
        rate = stream.average_rate or stream.guessed_rate or FOLDER_RATE
        width, height = stream.width, stream.height
        # AVI stores no presentation times; where frames are reordered, those guessed after a seek are wrong
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
    if not packets or not width:
        raise UserError(f"{path}: holds no video frame; check that it was written to its end")
    if guessed or None in times or len(set(times)) < len(times):
        # packets without presentation times may hold several frames or none
        with open_video(path) as (container, stream):
            count = sum(1 for _ in container.decode(stream))
        return Index(VideoInfo(path, count, width, height, Fraction(rate)), ())
    return Index(VideoInfo(path, len(times), width, height, Fraction(rate)), tuple(sorted(times)))


class open_video:  # noqa: N801 - used as a function
    """A container and its first video stream, closed at the end of the ``with``.

    Raises:
        UserError: not a video, or no video stream in it.
    """

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> tuple[av.container.InputContainer, av.video.VideoStream]:
        if self.path.stat().st_size == 0:
            raise UserError(f"{self.path}: is empty (0 bytes); copy it again")
        try:
            # the prefix keeps names like `concat:x` from being read as a protocol
            self.container = av.open(f"file:{self.path}")
        except av.error.FFmpegError as error:
            raise UserError(
                f"{self.path}: cannot be read as a video ({error.strerror}); check that it plays"
            ) from error
        if not self.container.streams.video:
            self.container.close()
            raise UserError(f"{self.path}: has no video stream; give a file that has one")
        if self.container.format.name == "tty":
            self.container.close()
            raise UserError(f"{self.path}: is a text, which FFmpeg would paint as a video; give a video")
        stream = self.container.streams.video[0]
        stream.thread_type = "AUTO"
        return self.container, stream

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.container.close()
        if isinstance(error, av.error.FFmpegError):
            raise UserError(
                f"{self.path}: decoding failed ({error.strerror}); it may be damaged, copy it again"
            ) from error


def read_image(path: Path) -> np.ndarray:
    """An image as 8-bit RGB, shape (H, W, 3).

    Raises:
        UserError: not an image.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise UserError(f"{path}: cannot be read as an image; check that it opens")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_frames(path: Path, start: int = 0, count: int | None = None) -> Iterator[np.ndarray]:
    """Frames ``start`` to ``start + count`` (to the end where None), seeking to the keyframe before ``start``.

    Args:
        path: a video file or a folder of frames.
        start: number of the first frame.
        count: number of frames.

    Yields:
        8-bit RGB, shape (H, W, 3).

    Raises:
        UserError: frames of changing size, or fewer than there should be.
    """
    info, times = index(path)
    count = info.frames - start if count is None else count
    if start < 0 or start + count > info.frames:
        raise UserError(f"{path}: frames {start} to {start + count} asked for, it has {info.frames}; ask for fewer")
    if path.is_dir():
        frames: Iterator[np.ndarray] = map(read_image, frame_files(path)[start : start + count])
    else:
        frames = (
            frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray()
            for frame in islice(decoded(path, start, times), count)
        )
    read = 0
    for frame in frames:
        if frame.shape != (info.height, info.width, 3):
            raise UserError(
                f"{path}: frame {start + read} is {frame.shape[1]}x{frame.shape[0]}, the first was "
                f"{info.width}x{info.height}; split it where the size changes"
            )
        yield frame
        read += 1
    if read < count:
        raise UserError(f"{path}: only {read} of {count} frames could be decoded; it may be truncated, copy it again")


def decoded(path: Path, start: int, times: tuple[int, ...]) -> Iterator[av.VideoFrame]:
    """Decoded frames of a video file from number ``start`` on.

    Demuxers seek by decoding time, and may land after the keyframe that a reordered frame needs: then the
    first frame that comes is too late, and we go back further, in the end to the front (MPEG transport streams).
    """
    if start and times:
        with open_video(path) as (container, stream):
            for back in (0, 8, 64):
                container.seek(times[max(start - back, 0)], stream=stream, backward=True)
                frames = container.decode(stream)
                for frame in frames:
                    if frame.pts is not None and frame.pts > times[start]:
                        break
                    if frame.pts == times[start]:
                        yield frame
                        yield from frames
                        return
    with open_video(path) as (container, stream):
        yield from islice(container.decode(stream), start, None)
