"""From the command line to jobs: every video is looked at once, and what cannot be done is refused before it starts."""

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from vsr_adapter.errors import UserError
from vsr_adapter.frozen import SAMPLED, fingerprint
from vsr_adapter.identity import deciding
from vsr_adapter.inference.memory import fitting_tiles
from vsr_adapter.jobs.estimate import afforded
from vsr_adapter.jobs.job import Job, Unit, content_of, folder_of, other_folders, plan_stretches
from vsr_adapter.jobs.journal import begin, current, done_record, tilings
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.jobs.targets import Video, target_of, videos_of
from vsr_adapter.model import VSRModel
from vsr_adapter.video.index import Index, index
from vsr_adapter.video.join import copied
from vsr_adapter.video.scenes import can_detect, scene_cuts


class Refused(NamedTuple):
    """A video that cannot be done.

    Attributes:
        source: it.
        error: why, in one line.
    """

    source: Path
    error: str


class Plan(NamedTuple):
    """All that a run has to do.

    Attributes:
        jobs: what can be done, and what is done already.
        refused: what cannot.
        skipped: sources of the jobs whose results are there already.
    """

    jobs: list[Job]
    refused: list[Refused]
    skipped: list[Path]

    @property
    def units(self) -> list[Unit]:
        """Segments of all jobs, in order."""
        return [Unit(job, stretch) for job in self.jobs for stretch in job.stretches]


def plan(
    model: VSRModel, inputs: Iterable[Path], output: Path, options: PredictOptions, settings: Mapping[str, Any]
) -> Plan:
    """Jobs of all videos that can be done; nothing is written, no network runs and no picture is encoded.

    Args:
        model: with its weights loaded; its sampling is part of the plan.
        inputs: videos, folders of frames, or folders of either.
        output: folder for the results, or the file of one.
        options: of the run.
        settings: what else decides the bits, of `made_with`.

    Raises:
        UserError: what no video has to do with: no such input, or an output that cannot be.
    """
    found = Plan([], [], [])
    for video in videos_of(inputs, output):
        try:
            job = job_of(model, video, options, settings)
            if done_record(current(job)) is not None:
                found.skipped.append(job.source)
            elif options.estimate:
                job = job._replace(cost=afforded(model, job))
            found.jobs.append(job)
        except UserError as error:
            found.refused.append(Refused(video.source, str(error)))
    return found


def made_with(model: VSRModel, networks: Any, device: str, precision: str) -> dict[str, Any]:
    """What decides the bits beside input, sampling and options.

    Args:
        model: with its weights loaded: they are looked at.
        networks: what the config says of them, as plain values.
        device: kind of device.
        precision: of the run.
    """
    return {
        "networks": networks,
        "adapter": fingerprint(model.adapter),
        "frozen": [fingerprint(part, SAMPLED) for part in (model.backbone, model.encoder)],
        "device": device,
        "precision": precision,
        "versions": [version(name) for name in ("vsr-adapter", "torch", "av")],
    }


def output_size(known: Index, scale: int, options: PredictOptions) -> tuple[int, int]:
    """Height and width of the result; the width goes with the height, and is even."""
    height, width = known.info.height * scale, known.info.width * scale
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
    target, said = target_of(video, options.encoding)
    height, width = output_size(known, model.scale, options)
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
    job = Job(video.source, target, (height, width), folder, stretches, tiles, decides, options, tuple(notes))
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
        own = tilings(job)
        with suppress(OSError):  # said again, with its reason, when the first segment is written
            begin(own[-1])
        for folder in other_folders(job, [one.folder for one in own]):
            if job.options.clean:
                shutil.rmtree(folder)
                lines.append(f"{folder}: deleted")
            elif any(path.suffix != ".json" for path in folder.glob("[0-9]*")):  # of a finished job only records stay
                lines.append(
                    f"{job.target}: settings, input or version changed; what was done before is in {folder} (--clean)"
                )
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
        ours = any(done_record(job, folder) is not None for folder in other_folders(job, []))
        said = " (made with other settings, input or version)" if ours else ""
        raise UserError(f"{target}: exists{said}; pass --overwrite to replace it, or another --output")
    strangers = [] if not images else [p.name for p in target.iterdir() if not p.stem.isdecimal() or p.suffix != ".png"]
    if strangers:
        raise UserError(f"{target}: holds {strangers[0]}, which we did not write; move it, or pass another --output")
