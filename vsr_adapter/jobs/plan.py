"""From the command line to jobs: every video is looked at once, and what cannot be done is refused before it starts."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from vsr_adapter.errors import UserError
from vsr_adapter.identity import deciding
from vsr_adapter.inference.memory import fitting_tiles
from vsr_adapter.jobs.jobs import Job, Stretch, content_of, folder_of, other_folders, plan_stretches
from vsr_adapter.jobs.journal import begin, current, done_record, plans
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.jobs.targets import Video, named
from vsr_adapter.model import VSRModel
from vsr_adapter.video.index import Index, index
from vsr_adapter.video.join import copied
from vsr_adapter.video.scenes import can_detect, scene_cuts


class Unit(NamedTuple):
    """The unit of work of a process: a segment."""

    job: Job
    stretch: Stretch


class Refused(NamedTuple):
    """A video that cannot be done.

    Attributes:
        source: it.
        error: why, in one line.
    """

    source: Path
    error: str


class Plan(NamedTuple):
    """All that a run has to do."""

    jobs: list[Job]
    refused: list[Refused]

    @property
    def units(self) -> list[Unit]:
        """Segments of all jobs, in order."""
        return [Unit(job, stretch) for job in self.jobs for stretch in job.stretches]


def plan(model: VSRModel, videos: Iterable[Video], options: PredictOptions, settings: Mapping[str, Any]) -> Plan:
    """Jobs of all videos that can be done.

    Args:
        model: its window, tiles and seed are part of the plan.
        videos: sources and targets.
        options: of the run.
        settings: what else decides the bits: networks and their weights, precision, versions.
    """
    found = Plan([], [])
    for video in videos:
        try:
            found.jobs.append(job_of(model, video, options, settings))
        except UserError as error:
            found.refused.append(Refused(video.source, str(error)))
    return found


def output_size(model: VSRModel, known: Index, options: PredictOptions) -> tuple[int, int]:
    """Height and width of the result; the width goes with the height, and is even."""
    height, width = known.info.height * model.scale, known.info.width * model.scale
    if options.height is None or options.height == height:
        return height, width
    if options.height > height:
        raise UserError(
            f"height {options.height}: {known.info.path} gives {height} at most; pass a height up to that, or none"
        )
    return options.height, max(round(width * options.height / height / 2) * 2, 2)


def job_of(model: VSRModel, video: Video, options: PredictOptions, settings: Mapping[str, Any]) -> Job:
    """The job of one video.

    Raises:
        UserError: it cannot be read, its result cannot be written, or something else has the result's name.
    """
    known = index(video.source)
    frames = known.info.frames
    last = frames if options.frames is None else min(options.start + options.frames, frames)
    if options.start >= last:
        raise UserError(f"{video.source}: has {frames} frames, --start {options.start} is after them; start earlier")
    target, said = named(video, options.encoding)
    height, width = output_size(model, known, options)
    options.encoding.check(known.look, width, height)
    detect = options.cuts == "on" or (options.cuts == "auto" and can_detect())
    cuts = scene_cuts(video.source, options.start, last - options.start, model.window) if detect else []
    stretches = plan_stretches(options.start, last, cuts, model.window, model.overlap, options.segment, model.time)
    tiles = fitting_tiles(model, known.info.height, known.info.width)  # once, before all that follows from it
    # as it is done, so that two ways to ask for the same result are one
    done = replace(options, frames=last - options.start, height=height, cuts="on" if detect else "off")
    decides = {
        **settings,
        "input": content_of(video.source, known),
        "sampling": deciding(replace(model.sampling, tiles=tiles)),
        "options": deciding(done),
        "cuts": cuts,
    }
    notes = [said] if said else []
    notes += notes_on(video, known, options, target)
    folder = folder_of(target, decides)
    job = Job(video.source, target, folder, stretches, tiles, decides, options, tuple(notes))
    check_target(job)
    return job


def notes_on(video: Video, known: Index, options: PredictOptions, target: Path) -> list[str]:
    """What the user should know of a result before it is computed."""
    look, said = known.look, []
    if look.hdr:
        said.append(f"{look.hdr}: values and tags are kept as they are; networks know only SDR")
    if look.interlaced:
        said.append("interlaced: upscaled as whole frames; deinterlace it first for a clean picture")
    lost = options.encoding.lost(look)
    lost += [] if options.encoding.images else list(copied(video.source, target.suffix[1:]).dropped)
    if options.encoding.images and not video.source.is_dir():
        said.append("frames only: no sound, no times")
    return said + ([f"without {', '.join(lost)}"] if lost else [])


def prepare(jobs: Iterable[Job]) -> list[str]:
    """Before a run, in one process: folders are made, old failures forgotten, old folders named or deleted.

    Returns:
        Lines to print.
    """
    lines = []
    for job in jobs:
        own = plans(job)
        with suppress(OSError):  # said again, with its reason, when the first segment is written
            begin(own[-1])
        for folder in other_folders(job, [one.folder for one in own]):
            if job.options.clean:
                shutil.rmtree(folder)
                lines.append(f"{folder}: deleted")
            elif any(folder.glob("[0-9]*.json")):
                lines.append(f"{job.target}: settings or input changed; what was done before is in {folder} (--clean)")
    return lines


def check_target(job: Job) -> None:
    """Refuses to replace what this job did not write.

    Raises:
        UserError: the target exists, or another kind of thing has its name.
    """
    target, images = job.target, job.options.encoding.images
    if not target.exists() or done_record(current(job)) is not None:
        return
    if target.is_dir() != images:
        kind = "folder" if target.is_dir() else "file"
        raise UserError(f"{target}: is a {kind}, and the result needs that name; move it, or pass another --output")
    if not job.options.overwrite:
        raise UserError(f"{target}: exists; pass --overwrite to replace it, or another --output")
    strangers = [] if not images else [p.name for p in target.iterdir() if not p.stem.isdecimal() or p.suffix != ".png"]
    if strangers:
        raise UserError(f"{target}: holds {strangers[0]}, which we did not write; move it, or pass another --output")
