"""What became of each segment, on disk: any process can read it, and summary, exit code and final join come from it.

A job's folder holds ``job.json`` (what decides its bits), the committed segments, a record beside each, ``failed-*``
records, ``retiled.json`` where memory ran out, and ``done.json`` once the result has its name.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from vsr_adapter.jobs.job import Job, Stretch
from vsr_adapter.sampling import Tiling
from vsr_adapter.video.join import Segment


class State(NamedTuple):
    """What a job's journal says.

    Attributes:
        done: the record of its result, or None.
        committed: numbers of its committed segments.
        failed: errors, by number of the segment.
    """

    done: dict[str, Any] | None
    committed: list[int]
    failed: dict[int, str]


def synced(path: Path) -> None:
    """Makes the system write a file, or a folder's list of names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_record(path: Path, values: Mapping[str, Any]) -> None:
    """A record, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(values, indent=1, default=str))
    synced(part)
    part.replace(path)
    synced(path.parent)


def read_record(path: Path) -> dict[str, Any] | None:
    """A record, or None."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return None


def tilings(job: Job) -> list[Job]:
    """The job, then itself in the tiles of half the size that followed each time that memory ran out."""
    found = [job]
    while (record := read_record(found[-1].folder / "retiled.json")) is not None:
        found.append(job.with_tiles(Tiling(**record)))
    return found


def current(job: Job) -> Job:
    """The job in the tiles that count, the last ones."""
    return tilings(job)[-1]


def lock(job: Job) -> FileLock:
    """Held while a segment is committed or the result joined; the system frees it when its holder dies."""
    return FileLock(job.folder / "lock")


def begin(job: Job) -> None:
    """Makes the folder; old failures are forgotten, so that what failed is tried again."""
    job.folder.mkdir(parents=True, exist_ok=True)
    if read_record(job.folder / "job.json") is None:
        write_record(job.folder / "job.json", {"source": job.source, "target": job.target, **job.settings})
    for old in job.folder.glob("failed-*.json"):
        old.unlink()


def record_of(job: Job, stretch: Stretch) -> Path:
    """The record of a committed segment."""
    return job.folder / f"{stretch.number:05d}.json"


def segment_path(job: Job, stretch: Stretch) -> Path:
    """A committed segment."""
    return job.folder / f"{stretch.number:05d}{job.options.encoding.segment_suffix}"


def commit(job: Job, stretch: Stretch, part: Path, values: Mapping[str, Any]) -> None:
    """Gives a segment its name, then its record: it counts once the record stands.

    Args:
        job: of the segment.
        stretch: the segment.
        part: what was written.
        values: ``dropped`` and ``repeated`` frame numbers, ``seconds`` ...
    """
    path = segment_path(job, stretch)
    for file in part.iterdir() if part.is_dir() else [part]:
        synced(file)
    if path.is_dir():
        shutil.rmtree(path)
    part.replace(path)
    synced(path.parent)
    write_record(record_of(job, stretch), values)


def fail(job: Job, stretch: Stretch, error: str) -> None:
    """Says why a segment, or what only the last one does, failed."""
    job.folder.mkdir(parents=True, exist_ok=True)
    write_record(job.folder / f"failed-{stretch.number:05d}.json", {"error": error})


def segments(job: Job) -> list[Segment] | None:
    """All segments, or None while some are missing."""
    found = []
    for stretch in job.stretches:
        record = read_record(record_of(job, stretch))
        if record is None:
            return None
        dropped = set(record["dropped"])
        numbers = [number for number in range(stretch.begin, stretch.end) if number not in dropped]
        found.append(Segment(segment_path(job, stretch), numbers))
    return found


def done_record(job: Job, folder: Path | None = None) -> dict[str, Any] | None:
    """The record of a result that is still what this job wrote, or None; of another job's ``folder`` likewise."""
    record = read_record((folder or job.folder) / "done.json")
    return record if record is not None and record["result"] == stamp(job.target) else None


def stamp(target: Path) -> list[Any] | None:
    """What tells a result from another file of its name."""
    if target.is_dir():
        return [[path.name, path.stat().st_size] for path in sorted(target.iterdir())]
    return [target.stat().st_size, target.stat().st_mtime_ns] if target.exists() else None


def state(job: Job) -> State:
    """What the journal says now."""
    committed = [stretch.number for stretch in job.stretches if record_of(job, stretch).is_file()]
    failed = {
        int(path.stem.split("-")[1]): json.loads(path.read_text())["error"]
        for path in sorted(job.folder.glob("failed-*.json"))
    }
    return State(done_record(job), committed, failed)
