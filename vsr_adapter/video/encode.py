"""Encoding frames: which codec holds what, and one file or folder of them at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, NamedTuple, Self

import av
import numpy as np
from av.video.reformatter import ColorRange

from vsr_adapter.errors import UserError
from vsr_adapter.identity import decides
from vsr_adapter.video.colour import Matrix, from_rgb, halve, rounded
from vsr_adapter.video.images import write_png
from vsr_adapter.video.index import Look
from vsr_adapter.video.read import Frame

Format = Literal["auto", "mp4", "mkv", "mov", "png", "png16"]
CodecName = Literal["x264", "x265", "ffv1", "prores"]
BT709 = 1
MUXERS = {"mp4": "mp4", "mkv": "matroska", "mov": "mov"}


class Codec(NamedTuple):
    """What an encoder takes.

    Attributes:
        encoder: FFmpeg's name.
        container: the usual one; also that of segments: x264's packets demuxed from Matroska have no decoding times.
        depths: bits.
        longest: side of a frame, in pixels.
        alpha: whether there are pixel formats with it.
        lossless: whether codes come back as they are.
    """

    encoder: str
    container: Literal["mp4", "mkv", "mov"]
    depths: tuple[int, ...]
    longest: int
    alpha: bool = False
    lossless: bool = False


CODECS = {
    "x264": Codec("libx264", "mp4", (8, 10), 16384),
    "x265": Codec("libx265", "mp4", (8, 10, 12), 16384),
    "ffv1": Codec("ffv1", "mkv", (8, 10, 12, 16), 32768, alpha=True, lossless=True),
    "prores": Codec("prores_ks", "mov", (10,), 65535, alpha=True),
}


@dataclass(frozen=True)
class Encoding:
    """How results are written.

    Args:
        format: container, or a folder of PNG; ``auto`` is mp4 for x264 and x265, mkv for ffv1, mov for prores.
        codec: of video files.
        crf: quality of x264 and x265, 0 to 51, lower is better.
        preset: speed of x264 and x265.
        depth: bits; the source's where None, or the next that the codec has.
        threads: of the encoder: part of what decides its bits.
    """

    format: Format = decides("auto")
    codec: CodecName = decides("x264")
    crf: float = decides(16)
    preset: str = decides("medium")
    depth: int | None = decides(None)
    threads: int = decides(2)

    def __post_init__(self) -> None:
        if self.format == "mp4" and self.codec in ("ffv1", "prores"):
            raise UserError(f"format mp4, codec {self.codec}: MP4 has no place for it; pass --output_format mkv")
        if self.format == "mov" and self.codec == "ffv1":
            raise UserError("format mov, codec ffv1: MOV has no place for it; pass --output_format mkv")
        if not 0 <= self.crf <= 51:
            raise UserError(f"crf {self.crf}: lies in 0 to 51; pass --crf 16")
        depths = (8, 16) if self.images else CODECS[self.codec].depths
        if self.depth is not None and self.depth not in depths:
            raise UserError(f"depth {self.depth}: {self.codec} takes {', '.join(map(str, depths))}; pass one of them")

    @property
    def images(self) -> bool:
        """Whether results are folders of PNG."""
        return self.format in ("png", "png16")

    @property
    def suffix(self) -> str:
        """Of result files; empty for folders."""
        if self.images:
            return ""
        return f".{CODECS[self.codec].container if self.format == 'auto' else self.format}"

    @property
    def segment_suffix(self) -> str:
        """Of segment files."""
        return "" if self.images else f".{CODECS[self.codec].container}"

    def look(self, source: Look) -> Look:
        """How a result of ``source`` is stored: as near to it as the codec allows.

        Matrix, range, chroma resolution, depth and tags are the source's; RGB becomes BT.709 4:2:0 where the codec
        has no RGB.
        """
        if self.images:
            depth = 16 if self.format == "png16" else 8
            return source._replace(rgb=True, depth=depth, full=True, halved=(False, False))
        codec = CODECS[self.codec]
        wanted = self.depth or source.depth
        depth = next((d for d in codec.depths if d >= wanted), codec.depths[-1])
        look = source._replace(depth=depth, alpha=source.alpha and codec.alpha)
        if source.rgb and self.codec != "ffv1":
            primaries, transfer = (BT709 if tag in (0, 2) else tag for tag in (source.primaries, source.transfer))
            look = look._replace(
                rgb=False, halved=(True, True), space=BT709, full=False, primaries=primaries, transfer=transfer
            )
        if self.codec == "prores":
            look = look._replace(halved=(not look.alpha, False), full=False)
        elif look.halved == (False, True):
            look = look._replace(halved=(False, False))  # 4:4:0 is rarely encoded
        return look

    def lost(self, source: Look) -> list[str]:
        """What a result cannot hold of its source, in words."""
        look = self.look(source)
        said = [f"alpha ({self.codec} has none; --codec prores or ffv1 keeps it)"] if source.alpha > look.alpha else []
        if self.codec == "ffv1" and not self.images and source.aspect != 1:
            # it is the stream's own in Matroska, which PyAV does not let us set, and H.264 and H.265 have one inside
            said.append(f"pixel aspect {source.aspect} (ffv1 has none)")
        if look.depth < source.depth:
            said.append(f"{source.depth} bits (written as {look.depth})")
        return said

    def check(self, source: Look, width: int, height: int) -> None:
        """Refuses what cannot be encoded, before anything is computed.

        Raises:
            UserError: too large for the codec, odd sides in 4:2:0, or HDR that 8 bits would spoil.
        """
        look = self.look(source)
        if source.hdr and look.depth < 10:
            raise UserError(f"{source.hdr} in 8 bits: bands would show; pass --codec x265, or leave out depth")
        if self.images:
            return
        longest = CODECS[self.codec].longest
        if max(width, height) > longest:
            fits = [name for name, codec in CODECS.items() if max(width, height) <= codec.longest]
            others = " or ".join(["--output_format png", *(f"--codec {name}" for name in fits)])
            raise UserError(f"{width}x{height}: {self.codec} holds sides up to {longest}; pass {others}, or --height")
        for side, halved in zip((width, height), look.halved, strict=True):
            if halved and side % 2:
                raise UserError(f"{width}x{height}: chroma of half the size needs even sides; pass another --height")

    def options(self, look: Look) -> dict[str, str]:
        """Of FFmpeg's encoder."""
        if self.codec == "x265":
            # its pools would make bits depend on the machine; frame threads are fixed by ours
            params = f"log-level=error:frame-threads={self.threads}:pools={self.threads}"
            return {"crf": str(self.crf), "preset": self.preset, "x265-params": params}
        if self.codec == "x264":
            return {"crf": str(self.crf), "preset": self.preset}
        if self.codec == "prores":
            return {"profile": "4444" if look.alpha else "hq"}
        return {"level": "3", "slices": "4", "slicecrc": "1"}


def format_name(look: Look) -> str:
    """FFmpeg's name of a planar pixel format."""
    suffix = "" if look.depth == 8 else f"{look.depth}le"
    if look.rgb:
        return f"gbr{'a' if look.alpha else ''}p{suffix}"
    across, down = look.halved
    return f"yuv{'a' if look.alpha else ''}{'420' if down else '422' if across else '444'}p{suffix}"


def codes_of(frame: Frame, look: Look) -> list[np.ndarray]:
    """Planes of integer codes, in the order of `format_name`'s."""
    full = (1 << look.depth) - 1
    alpha = []
    if look.alpha:
        opacity = np.ones(frame.rgb.shape[:2], np.float32) if frame.alpha is None else frame.alpha
        alpha = [rounded(opacity * full, look.depth)]
    if look.rgb:
        return [rounded(frame.rgb[..., i] * full, look.depth) for i in (1, 2, 0)] + alpha
    luma, *chroma = from_rgb(frame.rgb, Matrix(look.space, look.full, look.depth))
    for i, plane in enumerate(chroma):
        if look.halved[0]:
            plane = halve(plane, 1, cosited=not look.full)
        if look.halved[1]:
            plane = halve(plane, 0, cosited=False)
        chroma[i] = plane
    return [rounded(plane, look.depth) for plane in (luma, *chroma)] + alpha


def video_frame(planes: Iterable[np.ndarray], name: str, width: int, height: int) -> av.VideoFrame:
    """A frame of planes of codes."""
    frame = av.VideoFrame(width, height, name)
    for plane, codes in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // codes.itemsize), codes.dtype)  # rows are padded in memory
        rows[:, : plane.width] = codes
        plane.update(rows.tobytes())
    return frame


class Encoder:
    """Writes one video file; frames stand at 0, 1, 2 ... in units of 1 / rate.

    Presentation times are set when segments are joined, from the source's, exactly.

    Args:
        path: to write.
        width: pixels.
        height: pixels.
        rate: frames per second.
        encoding: how.
        look: of `Encoding.look`.
    """

    def __init__(self, path: Path, width: int, height: int, rate: Fraction, encoding: Encoding, look: Look):
        codec = CODECS[encoding.codec]
        self.look, self.name, self.frames = look, format_name(look), 0
        self.stored = {"gbrp": "bgr0", "gbrap": "bgra"}.get(self.name, self.name)  # FFV1 has packed 8-bit RGB only
        rate = rate if 1 <= rate <= 500 else Fraction(25)  # what encoders take, whatever a container says
        self.rate = rate.limit_denominator(1001)
        self.container = av.open(f"file:{path}", "w", format=MUXERS[codec.container])
        self.stream = self.container.add_stream(codec.encoder, rate=self.rate, options=encoding.options(look))
        context = self.stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, self.stored
        context.time_base, context.thread_count = 1 / self.rate, encoding.threads
        context.sample_aspect_ratio = look.aspect
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.color_range = ColorRange.JPEG if look.full else ColorRange.MPEG
        if not look.rgb:
            context.colorspace = look.space

    def write(self, frame: Frame) -> None:
        """Encodes one frame."""
        height, width = frame.rgb.shape[:2]
        video = video_frame(codes_of(frame, self.look), self.name, width, height)
        if self.stored != self.name:
            video = video.reformat(format=self.stored)
        video.pts, video.time_base = self.frames, 1 / self.rate
        # some encoders look at the frame, not at their context
        video.color_primaries, video.color_trc = self.look.primaries, self.look.transfer
        video.colorspace = 0 if self.look.rgb else self.look.space
        self.container.mux(self.stream.encode(video))
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.container.mux(self.stream.encode(None))
        finally:
            self.container.close()


class PngFolder:
    """Writes ``00000000.png`` and so on into a new folder.

    Args:
        path: to make.
        first: number of the first frame.
        look: of `Encoding.look`.
    """

    def __init__(self, path: Path, first: int, look: Look):
        self.path, self.first, self.look, self.frames = path, first, look, 0

    def write(self, frame: Frame) -> None:
        """Writes one frame."""
        green, blue, red, *alpha = codes_of(frame, self.look)
        pixels = np.stack([red, green, blue, *alpha], axis=-1)
        write_png(self.path / f"{self.first + self.frames:08d}.png", pixels)
        self.frames += 1

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        return self

    def __exit__(self, *error: object) -> None:
        """Each file is closed already."""


def open_encoder(
    path: Path, first: int, width: int, height: int, rate: Fraction, encoding: Encoding, look: Look
) -> Encoder | PngFolder:
    """The writer of a segment that begins with frame ``first``."""
    if encoding.images:
        return PngFolder(path, first, look)
    return Encoder(path, width, height, rate, encoding, look)
