"""Jobs: one for each video, planned before anything is computed. The plan alone decides the bits."""

import json
import os
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from vsr_adapter.identity import deciding
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.sampling import Tiling
from vsr_adapter.video.find import frame_files
from vsr_adapter.video.index import Index
from vsr_adapter.windows import ANY, TimeGrid, Window, plan_windows

SAMPLED = 1 << 20  # bytes of the head and of the tail of a file that name it


class Stretch(NamedTuple):
    """A segment of a result.

    Attributes:
        number: of the segment.
        begin: number of its first frame, in the source.
        end: number after its last.
        windows: all that touch it, in the source's frames: also those of its neighbour that it overlaps.
    """

    number: int
    begin: int
    end: int
    windows: list[Window]


class Job(NamedTuple):
    """A video with all that decides the bits of its result.

    Attributes:
        source: a video file or a folder of frames.
        target: file or folder to write.
        size: height and width of its frames.
        folder: holds its segments and its journal; named by a hash of settings and input.
        stretches: its segments.
        tiles: of its frames.
        settings: all that decides the bits, as plain values.
        options: how it is read and written.
        notes: what is to be said of it.
        cost: what it takes of memory and disk, in words; None where that was not asked for.
    """

    source: Path
    target: Path
    size: tuple[int, int]
    folder: Path
    stretches: list[Stretch]
    tiles: Tiling
    settings: Mapping[str, Any]
    options: PredictOptions
    notes: tuple[str, ...] = ()
    cost: str | None = None

    @property
    def frames(self) -> range:
        """Numbers of the source's frames that are wanted."""
        return range(self.stretches[0].begin, self.stretches[-1].end)

    def with_tiles(self, tiles: Tiling) -> "Job":
        """The same in other tiles, in another folder."""
        settings = {**self.settings, "sampling": {**self.settings["sampling"], "tiles": deciding(tiles)}}
        return self._replace(tiles=tiles, settings=settings, folder=folder_of(self.target, settings))


class Unit(NamedTuple):
    """The unit of work of a process: a segment of a job."""

    job: Job
    stretch: Stretch

    @property
    def frames(self) -> int:
        """How many it makes."""
        return self.stretch.end - self.stretch.begin


def plan_stretches(
    first: int, last: int, cuts: Sequence[int], window: int, overlap: int, each: int, grid: TimeGrid = ANY
) -> list[Stretch]:
    """Segments of frames ``first`` to ``last``.

    Args:
        first: number of the first frame.
        last: number after the last frame.
        cuts: numbers of frames that begin a scene: no window holds frames of two.
        window: frames of a window.
        overlap: frames that neighbours share.
        each: windows of a segment.
        grid: that windows keep to, from the start of each scene on.
    """
    borders = [first, *(cut for cut in sorted(set(cuts)) if first < cut < last), last]
    windows = [
        Window(begin + start, begin + stop)
        for begin, end in pairwise(borders)
        for start, stop in plan_windows(end - begin, window, overlap, grid)
    ]
    begins = [windows[i].start for i in range(0, len(windows), each)]
    return [
        Stretch(number, begin, end, [w for w in windows if w.start < end and w.stop > begin])
        for number, (begin, end) in enumerate(zip(begins, [*begins[1:], last], strict=True))
    ]


def content_of(source: Path, known: Index) -> dict[str, Any]:
    """What names the content of a source: its size, its times, and the head and tail of its bytes."""
    digest = blake2b(repr(known.times).encode(), digest_size=16)
    files = frame_files(source) if source.is_dir() else [source]
    for file in files:
        size = file.stat().st_size
        digest.update(f"{file.name if source.is_dir() else ''}{size}".encode(errors="surrogateescape"))
        with file.open("rb") as content:
            digest.update(content.read(SAMPLED))
            content.seek(max(size - SAMPLED, 0))
            digest.update(content.read(SAMPLED))
    return {"content": digest.hexdigest(), "frames": known.info.frames}


def folder_of(target: Path, settings: Mapping[str, Any]) -> Path:
    """Where the segments of a result lie, beside it: named by all that decides its bits."""
    text = json.dumps(settings, sort_keys=True, default=str)
    digest = blake2b(text.encode(errors="surrogateescape"), digest_size=6).hexdigest()
    return target.parent / ".vsr" / f"{target.name}-{digest}"


def other_folders(job: Job, own: Collection[Path]) -> list[Path]:
    """Folders of earlier runs for the same target with other settings than those that made ``own``."""
    parent = job.folder.parent
    if not parent.is_dir():
        return []
    begin = f"{job.target.name}-"
    return sorted(
        Path(entry.path)
        for entry in os.scandir(parent)
        if entry.is_dir() and entry.name.startswith(begin) and len(entry.name) == len(begin) + 12
        and Path(entry.path) not in own
    )  # fmt: skip
