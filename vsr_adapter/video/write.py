"""Writing videos: the target appears whole, under its name, when the last frame is in; or not at all."""

import os
import re
import shutil
from abc import ABC, abstractmethod
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from vsr_adapter.errors import UserError

BT709 = 1  # of AVColorPrimaries and AVColorTransferCharacteristic


class Writer(ABC):
    """Writes frames beside the target, and renames at the end.

    Args:
        target: what to write.
        overwrite: whether an existing target may be replaced.

    Raises:
        UserError: the target exists.
    """

    def __init__(self, target: Path, overwrite: bool = False):
        if target.exists() and not overwrite:
            raise UserError(f"{target}: exists; pass --overwrite to replace it, or another --output")
        self.target = target
        self.part = target.with_name(f".{target.name}.{os.getpid()}.part")
        self.frames = 0
        target.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.close()
            if kind is None and self.frames:
                self.commit()
        finally:
            self.discard()

    def write(self, frame: np.ndarray) -> None:
        """Appends a frame: 8-bit RGB, shape (H, W, 3)."""
        self.append(frame)
        self.frames += 1

    @abstractmethod
    def append(self, frame: np.ndarray) -> None:
        """Writes one frame into the part."""

    @abstractmethod
    def close(self) -> None:
        """Completes the part."""

    @abstractmethod
    def commit(self) -> None:
        """Gives the part its name."""

    @abstractmethod
    def discard(self) -> None:
        """Removes the part, where it still is."""


class VideoWriter(Writer):
    """H.264 in MP4.

    Args:
        target: an .mp4 file.
        width: pixels, even.
        height: pixels, even.
        rate: frames per second.
        crf: x264's quality, 0 to 51, lower is better.
        overwrite: whether an existing target may be replaced.

    Raises:
        UserError: the target exists, or a side is odd.
    """

    def __init__(self, target: Path, width: int, height: int, rate: Fraction, crf: int = 16, overwrite: bool = False):
        if width % 2 or height % 2:
            raise UserError(
                f"{target}: {width}x{height}, but H.264 in 4:2:0 takes even sides; pass --output_format png"
            )
        if target.is_dir():
            raise UserError(f"{target}: is a folder, and the video needs that name; move it, or pass another --output")
        super().__init__(target, overwrite)
        self.container = av.open(f"file:{self.part}", "w", format="mp4")
        self.stream = self.container.add_stream("libx264", rate=rate, options={"crf": str(crf)})
        self.stream.width, self.stream.height, self.stream.pix_fmt = width, height, "yuv420p"
        # players take an untagged video of this size for BT.709, and libav converts to BT.601 unless told
        codec = self.stream.codec_context
        codec.colorspace, codec.color_primaries, codec.color_trc = Colorspace.ITU709, BT709, BT709
        codec.color_range = ColorRange.MPEG

    def append(self, frame: np.ndarray) -> None:
        """Encodes one frame."""
        video = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        self.container.mux(self.stream.encode(video))

    def close(self) -> None:
        """Flushes the encoder."""
        if self.frames:
            self.container.mux(self.stream.encode(None))
        self.container.close()

    def commit(self) -> None:
        """Renames."""
        self.part.replace(self.target)

    def discard(self) -> None:
        """Deletes the part."""
        self.part.unlink(missing_ok=True)


class FrameWriter(Writer):
    """A folder of ``00000000.png``, ``00000001.png`` ...

    Args:
        target: the folder.
        overwrite: whether an existing target may be replaced.

    Raises:
        UserError: the target exists, or holds other things than such frames.
    """

    def __init__(self, target: Path, overwrite: bool = False):
        super().__init__(target, overwrite)
        if target.is_file():
            raise UserError(f"{target}: is a file, and frames need a folder of that name; pass another --output")
        others = (
            [] if not target.exists() else [p.name for p in target.iterdir() if not re.fullmatch(r"\d{8}\.png", p.name)]
        )
        if others:
            raise UserError(f"{target}: holds {others[0]}, which we did not write; move it, or pass another --output")
        shutil.rmtree(self.part, ignore_errors=True)  # of a killed run: process numbers repeat in containers
        self.part.mkdir()

    def append(self, frame: np.ndarray) -> None:
        """Writes one PNG."""
        path = self.part / f"{self.frames:08d}.png"
        if not cv2.imwrite(str(path), cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)):
            raise UserError(f"{path}: cannot be written; check permissions and free space")

    def close(self) -> None:
        """Each frame was closed when it was written."""

    def commit(self) -> None:
        """Renames; an old folder of frames is removed only once the new one is complete."""
        old = self.part.with_suffix(".old")
        if self.target.exists():
            self.target.replace(old)
        self.part.replace(self.target)
        shutil.rmtree(old, ignore_errors=True)

    def discard(self) -> None:
        """Deletes the part."""
        shutil.rmtree(self.part, ignore_errors=True)


def open_writer(
    target: Path, output_format: Literal["mp4", "png"], width: int, height: int, rate: Fraction, overwrite: bool = False
) -> Writer:
    """The writer for an output format."""
    if output_format == "png":
        return FrameWriter(target, overwrite)
    return VideoWriter(target, width, height, rate, overwrite=overwrite)
