"""What a job will take of memory and disk, before it starts."""

import resource
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from typing import NamedTuple

import torch

from vsr_adapter.errors import UserError
from vsr_adapter.inference.memory import activations, frame_buffers, free
from vsr_adapter.inference.streaming import upscale_stretch
from vsr_adapter.inference.tiles import plan_tiles
from vsr_adapter.jobs.jobs import Job
from vsr_adapter.jobs.plan import output_size
from vsr_adapter.jobs.run import at_size, out_of_memory
from vsr_adapter.model import VSRModel
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.video.encode import open_encoder
from vsr_adapter.video.index import index, packet_sizes
from vsr_adapter.video.read import Frame, read

PLACES, TRIED = 4, 36  # stretches of a video, and their frames, that are encoded to see how large they become
WORTH = 20  # tiles, over all windows, from which on one is upscaled for it: at most a twentieth of the work
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
    height, width = output_size(model, known, job.options)
    tiles = activations(model, job.tiles, known.info.height, known.info.width)
    pixels = height * width * (1 if job.options.encoding.look(known.look).depth == 8 else 2)
    around = frame_buffers(model, known.info.height, known.info.width) + LOOKAHEAD * 3 * pixels // 2
    if model.backbone.device.type == "cpu":
        return held() + tiles + around, 0
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    return held() + around, weights + tiles


class Size(NamedTuple):
    """What frames take, in bytes.

    Attributes:
        first: the frame that a file begins with.
        others: each other one, on average.
    """

    first: float
    others: float


class Disk(NamedTuple):
    """Bytes of a job's segments and result together.

    Attributes:
        space: how many.
        detail: whether the detail that the stack adds is counted in.
    """

    space: int
    detail: bool


def encoded(job: Job, frames: Iterable[Frame], height: int, width: int) -> Size:
    """What frames of a result take; one is held at a time."""
    encoding, known = job.options.encoding, index(job.source)
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"tried{encoding.segment_suffix}"
        look = encoding.look(known.look)
        with open_encoder(path, 0, width, height, known.info.rate, encoding, look) as encoder:
            for frame in frames:
                encoder.write(frame)
        sizes = [file.stat().st_size for file in sorted(path.iterdir())] if encoding.images else packet_sizes(path)
    return Size(sizes[0], mean(sizes[1:] or sizes))


def bicubic(frames: Iterable[Frame], scale: int, height: int, width: int) -> Iterator[Frame]:
    """Frames upscaled without the stack."""
    for frame in frames:
        large = bicubic_upscale(torch.from_numpy(frame.rgb).permute(2, 0, 1)[None], scale)[0]
        yield at_size(large.permute(1, 2, 0).numpy(), frame.alpha, scale, height, width)


def detail(model: VSRModel, job: Job, height: int, width: int) -> Size | None:
    """How much larger the stack's results are than bicubic ones, from one tile of the window in the middle.

    Args:
        model: with its weights loaded.
        job: planned.
        height: of the result.
        width: likewise.

    Returns:
        Ratios; None for a job so short that this would be a good part of it, or where memory runs out.
    """
    info = index(job.source).info
    windows = sorted({window for stretch in job.stretches for window in stretch.windows})
    tiles = plan_tiles(info.height, info.width, job.tiles, model.lr_multiple).places
    if len(windows) * len(tiles) < WORTH:
        return None
    assert job.tiles.size != "auto"
    window = windows[len(windows) // 2]
    side = [min(job.tiles.size, extent) for extent in (info.height, info.width)]
    top, left = ((extent - one) // 2 for extent, one in zip((info.height, info.width), side, strict=True))
    part = [
        Frame(frame.rgb[top : top + side[0], left : left + side[1]], None)
        for frame in read(job.source, window.start, window.stop - window.start, "repeat")
    ]
    # as the result: even, for chroma of half the size
    out = [
        max(2, round(one * whole / extent / 2) * 2)
        for one, whole, extent in zip(side, (height, width), (info.height, info.width), strict=True)
    ]
    try:
        upscaled = upscale_stretch(model, (frame.rgb for frame in part), [window], *window, job.tiles)
        ours = encoded(job, (at_size(rgb, None, model.scale, *out) for rgb in upscaled), *out)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return None
    plain = encoded(job, bicubic(part, model.scale, *out), *out)
    return Size(ours.first / plain.first, ours.others / plain.others)


@torch.no_grad()
def disk(model: VSRModel, job: Job) -> Disk:
    """By encoding frames of several places upscaled bicubically, and one tile by the stack.

    Args:
        model: with its weights loaded.
        job: planned.
    """
    height, width = output_size(model, index(job.source), job.options)
    count = min(TRIED, len(job.frames))
    step = (len(job.frames) - count) / (PLACES - 1)
    starts = {job.frames[0] + round(place * step) for place in range(PLACES)}
    found = [
        encoded(job, bicubic(read(job.source, start, count, "repeat"), model.scale, height, width), height, width)
        for start in sorted(starts)
    ]
    ratio = detail(model, job, height, width)
    more = ratio or Size(1, 1)
    begins = len(job.stretches)
    size = begins * more.first * mean(one.first for one in found)
    size += (len(job.frames) - begins) * more.others * mean(one.others for one in found)
    links = 1 if job.options.encoding.images else 2  # PNG segments are linked, videos copied, until the result is named
    return Disk(round(links * size), ratio is not None)


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
    space, exact = disk(model, job)
    left = shutil.disk_usage(existing(job.folder)).free
    if space > left:
        raise UserError(
            f"{job.source}: needs about {space / 1e9:.1f} GB of disk, {left / 1e9:.1f} GB are free; pass another "
            "--output, or a larger --crf"
        )
    graphics = f" and {gpu / 1e9:.1f} GB on the GPU" if gpu else ""
    bound = "about" if exact else "at least"
    return f"about {main / 1e9:.1f} GB of memory{graphics}, {bound} {space / 1e6:.3g} MB of disk"


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return path if path.exists() else existing(path.parent)
