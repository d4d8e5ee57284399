"""What a job will take of memory and disk, before it starts: no network runs, and no picture is encoded."""

import resource
import shutil
import sys
from pathlib import Path

import torch

from vsr_adapter.errors import UserError
from vsr_adapter.inference.memory import activations, frame_buffers, free
from vsr_adapter.jobs.job import Job
from vsr_adapter.model import VSRModel
from vsr_adapter.video.index import index
from vsr_adapter.video.sizes import Bounds, size

LOOKAHEAD = 60  # frames that x264 and x265 hold at their default presets


def held() -> int:
    """The most bytes of main memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory(model: VSRModel, job: Job) -> tuple[int, int]:
    """Peak bytes of main memory, and of the GPU (0 without one), of a process that does the job.

    Args:
        model: with its weights loaded.
        job: planned.
    """
    known = index(job.source)
    height, width = job.size
    tiles = activations(model, job.tiles, known.info.height, known.info.width)
    pixels = height * width * (1 if job.options.encoding.look(known.look).depth == 8 else 2)
    around = frame_buffers(model, known.info.height, known.info.width) + LOOKAHEAD * 3 * pixels // 2
    if model.backbone.device.type == "cpu":
        return held() + tiles + around, 0
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return held() + around, weights + tiles


def disk(job: Job) -> Bounds:
    """Bytes of a job's segments and result together, as they lie for a moment before the segments go.

    By rule (`vsr_adapter.video.sizes`). What is copied from the source, its sound above all, is less than the source.
    """
    known, encoding = index(job.source), job.options.encoding
    look = encoding.look(known.look)
    segments = size(encoding, look, *job.size, len(job.frames), len(job.stretches))
    if encoding.images:
        return segments  # PNG are linked until the result is named
    copied = 0 if job.source.is_dir() else job.source.stat().st_size
    return Bounds(2 * segments.least, 2 * segments.most + copied)


def afforded(model: VSRModel, job: Job) -> str:
    """The estimates, in words.

    Raises:
        UserError: there is not as much.
    """
    main, gpu = memory(model, job)
    room = free(torch.device("cpu")) + held()
    if main > room:
        raise UserError(
            f"{job.source}: needs about {main / 1e9:.1f} GB of memory, {room / 1e9:.1f} GB are free; pass a smaller "
            "--tile, or --height for a smaller result"
        )
    if gpu and gpu > free(model.backbone.device) + torch.cuda.memory_reserved(model.backbone.device):
        raise UserError(
            f"{job.source}: needs about {gpu / 1e9:.1f} GB on the GPU; pass a smaller --tile, or --tile auto"
        )
    space = disk(job)
    left = shutil.disk_usage(existing(job.folder)).free
    if space.least > left:
        raise UserError(
            f"{job.source}: needs {words(space.least)} of disk at least, {words(left)} are free; pass another "
            "--output, or another --codec"
        )
    graphics = f" and {gpu / 1e9:.1f} GB on the GPU" if gpu else ""
    return (
        f"about {main / 1e9:.1f} GB of memory{graphics}, between {words(space.least)} and {words(space.most)} of disk"
    )


def words(size: float) -> str:
    """Bytes in words."""
    unit, name = next((one for one in ((1e9, "GB"), (1e6, "MB")) if size >= one[0]), (1e3, "kB"))
    return f"{size / unit:.1f} {name}"


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return path if path.exists() else existing(path.parent)
