"""What `vsr predict` says before it starts and at its end."""

import json
import sys
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from vsr_adapter.jobs import journal
from vsr_adapter.jobs.job import Job
from vsr_adapter.jobs.plan import Plan
from vsr_adapter.model import VSRModel
from vsr_adapter.video.index import index


def say_what_is_random(model: VSRModel, trained: bool) -> None:
    """One line where the output cannot be good: a part of the stack has random weights.

    Args:
        model: the stack.
        trained: whether a checkpoint will bring the adapter's weights.
    """
    parts = {"UNet": model.backbone.unet, "VAE": model.backbone.vae}
    random = [name for name, part in parts.items() if part.random]
    if model.sampling.condition != "off":  # else neither the ViT nor the adapter is asked
        random += ["ViT"] * model.encoder.random
        random += ["adapter"] * (not trained and model.made_by is None)
    if random:
        print(f"vsr: note: random weights in {', '.join(random)}: the output shows that the program runs, no more")


def outline(job: Job) -> str:
    """What a job will do, and what it takes of memory and disk, in one line."""
    info = index(job.source).info
    height, width = job.size
    windows = len({window for stretch in job.stretches for window in stretch.windows})
    done = journal.state(journal.current(job))
    begun = f", {len(done.committed)} segments are there" if done.committed and done.done is None else ""
    notes = "".join(f"; {note}" for note in job.notes)
    return (
        f"{job.source}: {info.width}x{info.height} -> {width}x{height}, {len(job.frames)} frames, {windows} windows, "
        f"{len(job.stretches)} segment{'s' * (len(job.stretches) > 1)}{begun}"
        f"{f', {job.cost}' if job.cost else ''}{notes}"
    )


def alive(folder: Path, rank: int) -> FileLock:
    """Held by each process while it lives: the system frees it when it dies."""
    return FileLock(folder / f"alive-{rank}")


def wait_for_others(folder: Path, world_size: int, plan: Plan) -> None:
    """Until every job is settled, or no other process is left to settle it: no barrier that a dead one would hang."""
    for rank in range(1, world_size):
        while any(not is_over(journal.current(job)) for job in plan.jobs):
            try:
                with alive(folder, rank).acquire(timeout=0.5):
                    break
            except Timeout:
                continue


def is_over(job: Job) -> bool:
    """Whether there is nothing left to do for a job."""
    now = journal.state(job)
    left = {stretch.number for stretch in job.stretches} - set(now.committed) - set(now.failed)
    return now.done is not None or (bool(now.failed) and not left)


def outcome(job: Job, skipped: bool) -> dict[str, Any]:
    """What became of a job, as plain values."""
    planned, job = job, journal.current(job)
    now = journal.state(job)
    notes = list(job.notes)
    if job.tiles != planned.tiles:
        notes.append(f"out of memory: done with tiles of {job.tiles.size}")
    values: dict[str, Any] = {"source": str(job.source), "target": str(job.target), "notes": notes}
    if now.done is not None:
        for key, what in [("dropped", "left out"), ("repeated", "replaced by a neighbour")]:
            if now.done[key]:
                notes.append(f"damaged frames {what}: {', '.join(map(str, now.done[key]))}")
        status = "skipped" if skipped else "done"
        return {**values, "status": status, "frames": now.done["frames"], "seconds": now.done["seconds"]}
    left = len(job.stretches) - len(now.committed)
    error = next(iter(now.failed.values()), f"{left} of {len(job.stretches)} segments are missing; run it again")
    return {**values, "status": "failed", "error": error}


def summarise(plan: Plan, as_json: bool = False) -> int:
    """Prints what became of each video; returns the exit code, 1 if any failed."""
    found = [outcome(job, job.source in plan.skipped) for job in plan.jobs]
    found += [{"source": str(one.source), "status": "failed", "error": one.error, "notes": []} for one in plan.refused]
    counts = {status: sum(one["status"] == status for one in found) for status in ("done", "skipped", "failed")}
    if as_json:
        print(json.dumps({**counts, "videos": found}, indent=1))
        return 1 if counts["failed"] else 0
    for one in found:
        notes = "".join(f"; {note}" for note in one["notes"])
        if one["status"] == "failed":
            error = one["error"]
            print(f"vsr: error: {error if one['source'] in error else one['source'] + ': ' + error}", file=sys.stderr)
        elif one["status"] == "skipped":
            print(f"{one['target']}: is done already{notes}")
        else:
            print(f"{one['target']}: {one['frames']} frames{notes}")
    print(", ".join(f"{number} {status}" for status, number in counts.items() if number or status != "skipped"))
    return 1 if counts["failed"] else 0


def unfinished(plan: Plan) -> str:
    """What an interrupted run leaves, and how to go on."""
    jobs = [journal.current(job) for job in plan.jobs]
    states = [(journal.state(job), len(job.stretches)) for job in jobs]
    committed = sum(number if now.done is not None else len(now.committed) for now, number in states)
    total = sum(len(job.stretches) for job in jobs)
    return f"vsr: interrupted: {committed} of {total} segments are kept; run the same command again to go on"
