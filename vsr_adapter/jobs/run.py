"""One segment: read, upscale, encode, commit; and the last one of a video joins them."""

import os
import shutil
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from vsr_adapter.errors import UserError
from vsr_adapter.inference.streaming import upscale_stretch
from vsr_adapter.jobs import journal
from vsr_adapter.jobs.job import Job, Stretch, Unit
from vsr_adapter.jobs.plan import check_target
from vsr_adapter.model import VSRModel
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.video.encode import open_encoder
from vsr_adapter.video.index import index
from vsr_adapter.video.join import join
from vsr_adapter.video.read import Frame, read

Tick = Callable[[int], object]


def ignore(frames: int) -> None:
    """Tells nobody."""


class Written(NamedTuple):
    """A segment that is not committed yet."""

    part: Path
    values: dict[str, Any]


def run_unit(model: VSRModel, unit: Unit, tick: Tick = ignore) -> None:
    """Does a segment, and joins the video if it was the last one missing.

    Every error ends in the journal: the other segments are still done, and the exit code says that one failed.

    Args:
        model: with its weights loaded.
        unit: what to do.
        tick: told of frames as they are written.
    """
    job, stretch = unit
    try:
        job = journal.current(job)
        if journal.done_record(job) is None:
            complete(model, job, stretch, tick)
            finish(journal.current(job))
        else:
            tick(unit.frames)
    except UserError as error:
        say_failed(job, stretch, str(error))
    except OSError as error:
        say_failed(job, stretch, f"{job.target}: {error.strerror or error}; check permissions and free space")
    except Exception as error:
        traceback.print_exc()  # a bug of ours: the reason must not be lost
        said = str(error).splitlines()[0] if str(error) else ""
        say_failed(job, stretch, f"{type(error).__name__}: {said}")


def say_failed(job: Job, stretch: Stretch, error: str) -> None:
    """To the journal; where even that cannot be written, to the terminal."""
    try:
        journal.fail(journal.current(job), stretch, error)
    except OSError as full:
        print(f"vsr: error: {error} ({full.strerror} in {job.folder})", file=sys.stderr)


def complete(model: VSRModel, job: Job, stretch: Stretch, tick: Tick) -> None:
    """Commits a segment in the tiles that count."""
    while not journal.record_of(job := journal.current(job), stretch).is_file():
        try:
            written = compute(model, job, stretch, tick)
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            for other in retile(model, job):
                complete(model, job, other, ignore)
            continue
        with journal.lock(job):
            if journal.current(job).folder == job.folder:
                journal.commit(job, stretch, *written)
            else:  # another process ran out of memory meanwhile
                discard(written.part)


def compute(model: VSRModel, job: Job, stretch: Stretch, tick: Tick) -> Written:
    """Writes a segment into a file that has no name yet."""
    known, options, begun = index(job.source), job.options, time.perf_counter()
    height, width = job.size
    part = job.folder / f"{stretch.number:05d}.{os.getpid()}.part{options.encoding.segment_suffix}"
    discard(part)  # of a killed run: process numbers repeat in containers
    look = options.encoding.look(known.look)
    source: deque[Frame] = deque()
    first, last = stretch.windows[0].start, stretch.windows[-1].stop
    frames = remembered(read(job.source, first, last - first, options.damaged), stretch.begin - first, source)
    dropped: list[int] = []
    repeated: list[int] = []
    try:
        with open_encoder(part, stretch.begin, width, height, known.info.rate, options.encoding, look) as encoder:
            upscaled = upscale_stretch(model, frames, stretch.windows, stretch.begin, stretch.end, job.tiles)
            for number, rgb in enumerate(upscaled, stretch.begin):
                original = source.popleft()
                if original.damaged:
                    (dropped if options.damaged == "skip" else repeated).append(number)
                if not original.damaged or options.damaged != "skip":
                    encoder.write(at_size(rgb, original.alpha, model.scale, height, width))
                tick(1)
    except BaseException:
        discard(part)
        raise
    values = {"dropped": dropped, "repeated": repeated, "seconds": round(time.perf_counter() - begun, 3)}
    return Written(part, values)


def remembered(frames: Iterator[Frame], skip: int, source: deque[Frame]) -> Iterator[np.ndarray]:
    """Their pictures; what else they are waits in ``source`` until they are written, but for the first ``skip``."""
    for number, frame in enumerate(frames):
        if number >= skip:  # those before belong to the segment before, and only blend in
            source.append(frame._replace(rgb=frame.rgb[:0]))
        yield frame.rgb


def at_size(rgb: np.ndarray, alpha: np.ndarray | None, scale: int, height: int, width: int) -> Frame:
    """An upscaled frame at the size wanted: smaller with antialiasing; alpha is upscaled bicubically.

    Args:
        rgb: upscaled, shape (H * scale, W * scale, 3).
        alpha: the source's, shape (H, W), or None.
        scale: upscaling factor.
        height: of the result.
        width: likewise.
    """
    opacity = None if alpha is None else bicubic_upscale(torch.from_numpy(alpha)[None, None], scale)[0]
    if rgb.shape[:2] == (height, width):
        return Frame(rgb, None if opacity is None else opacity[0].numpy())

    def smaller(image: torch.Tensor) -> np.ndarray:
        out = F.interpolate(image[None], (height, width), mode="bicubic", antialias=True)[0]
        return out.clamp(0, 1).permute(1, 2, 0).numpy()

    picture = smaller(torch.from_numpy(rgb).permute(2, 0, 1))
    return Frame(picture, None if opacity is None else smaller(opacity)[..., 0])


def discard(part: Path) -> None:
    """Deletes what was written of a segment."""
    if part.is_dir():
        shutil.rmtree(part)
    else:
        part.unlink(missing_ok=True)


def out_of_memory(error: BaseException) -> bool:
    """Whether an allocator said so: CUDA's, or the CPU's, which has no class of its own."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)


def retile(model: VSRModel, job: Job) -> list[Stretch]:
    """Halves the tiles of a job; returns its segments that were committed in those before.

    Raises:
        UserError: the tiles are as small as can be.
    """
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with journal.lock(job):
        if journal.read_record(job.folder / "retiled.json") is not None:
            return []  # another process came first, and does them
        tiles = job.tiles.halved(model.lr_multiple)
        journal.begin(job.with_tiles(tiles))
        journal.write_record(job.folder / "retiled.json", asdict(tiles))
        return [stretch for stretch in job.stretches if journal.record_of(job, stretch).is_file()]


def finish(job: Job) -> None:
    """Joins a video whose segments are all committed, and gives the result its name; whoever comes first does it.

    Raises:
        UserError: a segment is damaged, or the result's name was taken meanwhile.
    """
    with journal.lock(job):
        segments = journal.segments(job)
        if segments is None or journal.done_record(job) is not None:
            return
        check_target(job)
        part = job.folder / f"joined{job.target.suffix if not job.options.encoding.images else ''}"
        discard(part)
        known = index(job.source)
        if job.options.encoding.images:
            part.mkdir()
            for segment in segments:
                for file in sorted(segment.path.iterdir()):
                    os.link(file, part / file.name)
        else:
            join(segments, part, job.target.suffix[1:], job.source, known, job.options.preview)
            count = index(part).info.frames
            wanted = sum(len(segment.numbers) for segment in segments)
            if count != wanted:
                raise UserError(f"{part}: {count} frames, must be {wanted}; please report this with the input")
            journal.synced(part)
        old = job.folder / "replaced"
        if job.target.is_dir():
            discard(old)
            job.target.replace(old)
        part.replace(job.target)
        journal.synced(job.target.parent)
        records = [journal.read_record(journal.record_of(job, stretch)) or {} for stretch in job.stretches]
        values = {
            "result": journal.stamp(job.target),
            "frames": sum(len(segment.numbers) for segment in segments),
            "seconds": sum(record["seconds"] for record in records),
            **{key: [n for record in records for n in record[key]] for key in ("dropped", "repeated")},
        }
        journal.write_record(job.folder / "done.json", values)
        discard(old)
        for segment in segments:
            discard(segment.path)
