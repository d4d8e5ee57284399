"""What is known of a video before its frames are read: one demuxing pass and one decoded frame."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import av
from av.stream import Disposition

from vsr_adapter.errors import UserError
from vsr_adapter.types import VideoInfo
from vsr_adapter.video.colour import usual_space
from vsr_adapter.video.find import IMAGE_SUFFIXES, frame_files
from vsr_adapter.video.images import read_pixels

FOLDER_RATE = Fraction(25)  # folders of frames do not say theirs
FULL = 2  # AVColorRange
LOOKED_AT = 12  # frames that tell whether times are in order: more than any encoder reorders by default
# first bytes of files that name other files, which would then be read in the user's name
PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"v=0")


class Look(NamedTuple):
    """How the pixels of a video are stored, and are to be shown.

    Attributes:
        depth: bits of a code.
        halved: whether chroma has half the (width, height).
        rgb: whether codes are RGB.
        alpha: whether there is an alpha channel.
        space: AVColorSpace; what players assume where the video does not say.
        full: whether codes use their full range.
        primaries: AVColorPrimaries.
        transfer: AVColorTransferCharacteristic.
        aspect: of a pixel, width over height.
        rotation: degrees, counterclockwise, by which players turn it.
        interlaced: whether frames hold two fields.
    """

    depth: int = 8
    halved: tuple[bool, bool] = (True, True)
    rgb: bool = False
    alpha: bool = False
    space: int = 1
    full: bool = False
    primaries: int = 2
    transfer: int = 2
    aspect: Fraction = Fraction(1)
    rotation: int = 0
    interlaced: bool = False

    @property
    def hdr(self) -> str | None:
        """``PQ`` or ``HLG``, where the transfer function is one of those."""
        return {16: "PQ", 18: "HLG"}.get(self.transfer)


class Index(NamedTuple):
    """A video's frames and how they are stored.

    Attributes:
        info: exact frame count, size and rate.
        times: presentation time of each frame, ascending, in ``time_base``; counted at the video's rate where the
            container has none.
        time_base: seconds of a unit of time.
        timed: whether the container has those times, so that frames can be sought by them.
        look: how pixels are stored.
        stream: number of the video stream in the file.
    """

    info: VideoInfo
    times: tuple[int, ...]
    time_base: Fraction
    timed: bool
    look: Look
    stream: int = 0


def probe(path: Path) -> VideoInfo:
    """Frame count, size and rate.

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
    """Index of a folder of frames; size and depth are those of its first one."""
    files = frame_files(path)
    if not files:
        raise UserError(f"{path}: holds no image; frames end in {' '.join(sorted(IMAGE_SUFFIXES))}")
    height, width, channels, depth = image_kind(files[0], files[0].stat().st_mtime_ns)
    look = Look(depth=depth, halved=(False, False), rgb=True, alpha=channels == 4, full=True)
    info = VideoInfo(path, len(files), width, height, FOLDER_RATE)
    return Index(info, tuple(range(len(files))), 1 / FOLDER_RATE, True, look)


@lru_cache(maxsize=4096)
def image_kind(path: Path, mtime_ns: int) -> tuple[int, int, int, int]:
    """Height, width, channels and bits; the other argument makes the cache notice a change."""
    pixels = read_pixels(path)
    return *pixels.shape, pixels.dtype.itemsize * 8


@lru_cache(maxsize=4096)
def file_index(path: Path, mtime_ns: int, size: int) -> Index:
    """Index of a video file; the other arguments make the cache notice that it changed."""
    with open_video(path) as (container, stream):
        packets = [packet for packet in container.demux(stream) if packet.size and not packet.is_discard]
        times = [packet.pts for packet in packets]
        rate = Fraction(stream.average_rate or stream.guessed_rate or FOLDER_RATE)
        width, height, base, number = stream.width, stream.height, Fraction(stream.time_base), stream.index
        # AVI stores no presentation times; where frames are reordered, those guessed after a seek are wrong
        guessed = container.format.name == "avi" and stream.codec_context.has_b_frames
    if not packets or not width:
        raise UserError(f"{path}: holds no video frame; check that it was written to its end")
    look, ordered = first_look(path)
    if guessed or not ordered or None in times or len(set(times)) < len(times):
        # packets without presentation times of their own may hold several frames or none
        with open_video(path) as (container, stream):
            count = sum(1 for _ in container.decode(stream))
        info = VideoInfo(path, count, width, height, rate)
        return Index(info, tuple(range(count)), 1 / rate, False, look, number)
    return Index(VideoInfo(path, len(times), width, height, rate), tuple(sorted(times)), base, True, look, number)


def first_look(path: Path) -> tuple[Look, bool]:
    """How the first frame that can be decoded is stored, and whether the first ones come in the order of their times.

    Some old muxers wrote decoding times as presentation times: then frames can only be counted.
    """
    frames: list[av.VideoFrame] = []
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            try:
                frames += packet.decode()
            except av.error.InvalidDataError:
                continue
            if len(frames) >= LOOKED_AT:
                break
        if not frames:
            raise UserError(f"{path}: no frame can be decoded; it may be damaged, copy it again")
        times = [frame.pts for frame in frames if frame.pts is not None]
        return look_of(frames[0], Fraction(stream.sample_aspect_ratio or 1)), times == sorted(times)


def look_of(frame: av.VideoFrame, aspect: Fraction) -> Look:
    """How a frame is stored."""
    parts = frame.format.components
    chroma = next((part for part in parts if part.is_chroma), parts[0])
    rgb = frame.format.is_rgb or frame.format.has_palette
    return Look(
        depth=max(parts[0].bits, 8),
        halved=(chroma.width < frame.width, chroma.height < frame.height),
        rgb=rgb,
        alpha=frame.format.has_palette or any(part.is_alpha for part in parts),
        space=usual_space(int(frame.colorspace), frame.height),
        full=rgb or int(frame.color_range) == FULL or frame.format.name.startswith("yuvj"),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        aspect=aspect or Fraction(1),
        rotation=int(frame.rotation),
        interlaced=bool(frame.interlaced_frame),
    )


@contextmanager
def open_video(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """A container and its first video stream that is no cover picture, closed at the end of the ``with``.

    Raises:
        UserError: not a video, no video stream in it, or a file that names other files.
    """
    if path.stat().st_size == 0:
        raise UserError(f"{path}: is empty (0 bytes); copy it again")
    with path.open("rb") as file:
        if file.read(8).startswith(PLAYLISTS):
            raise UserError(f"{path}: is a playlist, which names other files; give those")
    try:
        # the prefix keeps names like `concat:x` from being read as a protocol, the whitelist what the file names
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
    except av.error.FFmpegError as error:
        raise UserError(f"{path}: cannot be read as a video ({error.strerror}); check that it plays") from error
    with container:
        streams = [stream for stream in container.streams.video if Disposition.attached_pic not in stream.disposition]
        if not streams:
            raise UserError(f"{path}: has no video stream; give a file that has one")
        if container.format.name == "tty":
            raise UserError(f"{path}: is a text, which FFmpeg would paint as a video; give a video")
        streams[0].thread_type = "AUTO"
        try:
            yield container, streams[0]
        except av.error.FFmpegError as error:
            raise UserError(f"{path}: decoding failed ({error.strerror}); it may be damaged, copy it again") from error
