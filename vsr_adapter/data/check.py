"""`vsr data check`: what a folder holds, clip by clip, and what is wrong with it."""

from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from vsr_adapter.data.alignment import align
from vsr_adapter.data.folders import check_frames, check_image, check_twin
from vsr_adapter.data.layouts import Split, recognise, videos_by_name
from vsr_adapter.errors import UserError
from vsr_adapter.frames import to_video
from vsr_adapter.types import VideoInfo
from vsr_adapter.video.find import frame_files
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames


class Report(NamedTuple):
    """What was found.

    Attributes:
        lines: a table of the clips, and the problems.
        problems: how many.
    """

    lines: list[str]
    problems: int


class Row(NamedTuple):
    """A clip's line; the last cell is of every LR origin."""

    name: str
    frames: str
    size: str
    twins: tuple[str, ...]


def check(root: Path, lr_root: Path | None = None, split: Split = "test", scale: int = 4) -> Report:
    """Looks at every clip of a set as distributed, or of any folder.

    Args:
        root: the set, or a folder of high-resolution clips.
        lr_root: twins of any folder.
        split: which of a set's clips.
        scale: HR pixels per LR pixel.

    Raises:
        UserError: nothing there.
    """
    layout = recognise(root, split) if lr_root is None and root.is_dir() else None
    if layout is not None:
        clips, name = layout.find(root, layout.hr), f"{layout.name}, {split}"
        twins = {origin: layout.find(root, layout.lr[origin]) for origin in layout.origins(root)}
    else:
        clips, name = videos_by_name(root), "a folder of clips"
        twins = {} if lr_root is None else {str(lr_root): videos_by_name(lr_root)}
    problems: list[str] = []
    rows = [Row("clip", "frames", "HR", tuple(f"LR {origin}" for origin in twins))]
    for clip, path in clips.items():
        rows.append(check_clip(clip, path, {o: found.get(clip) for o, found in twins.items()}, scale, problems))
    counted = layout is not None and layout.counted(root)
    if layout is not None:
        frames = {row.name: int(row.frames) if row.frames.isdecimal() else None for row in rows[1:]}
        problems += [f"{root}: {line}" for line in layout.missing(root, frames)]
    number = f"{len(clips)} clips" + ("" if counted else " (count not checked)")
    head = f"{root}: {name}: {number}, LR {', '.join(twins) or 'none, it will be made'}"
    return Report([head, *table(rows), *(f"! {problem}" for problem in problems)], len(problems))


def check_clip(name: str, path: Path, twins: dict[str, Path | None], scale: int, problems: list[str]) -> Row:
    """A clip's line; what is wrong is added to ``problems``."""
    try:
        hr = check_video(path)
    except UserError as error:
        problems.append(str(error))
        return Row(name, "-", "-", ())
    cells = []
    for origin, twin in twins.items():
        if twin is None:
            problems.append(f"{name}: has no LR of {origin}; copy it again, or score another origin")
            cells.append("-")
            continue
        try:
            cells.append(check_pair(hr, twin, scale, problems))
        except UserError as error:
            problems.append(str(error))
            cells.append("does not fit")
    return Row(name, str(hr.frames), f"{hr.width}x{hr.height}", tuple(cells))


def check_video(path: Path) -> VideoInfo:
    """Size and frames of a video, all of whose images are of a kind that is read as it is.

    Raises:
        UserError: an image that is not, a gap, or no video.
    """
    if path.is_dir():
        for file in frame_files(path):
            check_image(file)
        check_frames(path)
    return probe(path)


def check_pair(hr: VideoInfo, twin: Path, scale: int, problems: list[str]) -> str:
    """Size and place of a twin.

    Raises:
        UserError: it does not fit.
    """
    lr = check_video(twin)
    check_twin(lr, hr, scale)
    middle = hr.frames // 2
    place = align(frame(twin, middle), frame(hr.path, middle), scale)
    if place.centred:
        return f"{lr.width}x{lr.height} centred"
    problems.append(
        f"{twin}: fits {place.gain:.1f} dB better ({place.dx:g}, {place.dy:g}) HR pixels away; take another LR"
    )
    return f"{lr.width}x{lr.height} at ({place.dx:g}, {place.dy:g})"


def frame(path: Path, number: int) -> Tensor:
    """A frame in [0, 1], shape (3, H, W)."""
    return to_video(list(read_frames(path, number, 1)))[0]


def table(rows: list[Row]) -> list[str]:
    """The rows in columns."""
    cells = [(row.name, row.frames, row.size, *row.twins) for row in rows]
    widths = [max(len(line[i]) for line in cells if i < len(line)) for i in range(max(map(len, cells)))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=False)).rstrip() for line in cells]
