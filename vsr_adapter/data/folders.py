"""Folders of frames: kinds of image that would change silently, gaps, and twins whose names do not match."""

import re
from itertools import pairwise
from pathlib import Path

from vsr_adapter.errors import UserError
from vsr_adapter.types import VideoInfo
from vsr_adapter.video.find import frame_files

PNG = b"\x89PNG\r\n\x1a\n"
PALETTE = 3  # colour type in a PNG's header


def check_image(path: Path) -> None:
    """Refuses what is read as something else than it holds.

    Raises:
        UserError: a PNG of 16 bit, which would be cut to 8, or with a palette, whose colours are not a video's.
    """
    with path.open("rb") as file:
        header = file.read(26)  # signature, length, IHDR, width, height, bit depth, colour type
    if header[:8] != PNG or len(header) < 26:
        return
    depth, colour = header[24], header[25]
    if depth != 8:
        raise UserError(f"{path}: PNG of {depth} bit, frames have 8; convert it")
    if colour == PALETTE:
        raise UserError(f"{path}: PNG with a palette, frames are RGB; convert it")


def number_of(path: Path) -> int | None:
    """The last number in a frame's name, but for a scale at its end (``0000x4``); None without any."""
    found = re.findall(r"\d+", re.sub(r"x\d$", "", path.stem))
    return int(found[-1]) if found else None


def check_frames(folder: Path) -> None:
    """Refuses folders with gaps.

    Raises:
        UserError: the numbers in the frames' names have steps that differ.
    """
    files = frame_files(folder)
    numbers = [number for number in map(number_of, files) if number is not None]
    if len(numbers) < len(files) or len(files) < 2:
        return
    steps = [after - before for before, after in pairwise(numbers)]
    usual = min(steps)
    for file, step in zip(files, steps, strict=False):
        if step != usual:
            raise UserError(
                f"{file}: the next frame is {step} later, the others are {usual}; add those that are missing"
            )


def check_same_frames(lr: Path, hr: Path) -> None:
    """Refuses twins whose frames have other numbers; videos have none.

    Raises:
        UserError: the first that differs.
    """
    if not (lr.is_dir() and hr.is_dir()):
        return
    for small, large in zip(frame_files(lr), frame_files(hr), strict=False):
        if number_of(small) != number_of(large):
            raise UserError(f"{small}: stands beside {large}: twins have frames of the same numbers; rename them")


def check_twin(lr: VideoInfo, hr: VideoInfo, scale: int) -> None:
    """Refuses low-resolution twins that do not fit.

    Raises:
        UserError: sizes, counts or names of frames that do not match.
    """
    if (lr.width * scale, lr.height * scale) != (hr.width, hr.height):
        raise UserError(
            f"{lr.path}: {lr.width}x{lr.height}, HR is {hr.width}x{hr.height}: sizes must differ by x{scale}; "
            "pair it with the right HR, or set --data.scale"
        )
    if lr.frames != hr.frames:
        raise UserError(f"{lr.path}: {lr.frames} frames, HR has {hr.frames}: must be equal; export both again")
    check_same_frames(lr.path, hr.path)
