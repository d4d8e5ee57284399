"""What a job will take of memory and disk, before it starts."""

import resource
import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from vsr_adapter.errors import UserError
from vsr_adapter.memory import activations, frame_buffers, free
from vsr_adapter.model import VSRModel
from vsr_adapter.predict.jobs import Job
from vsr_adapter.predict.plan import output_size
from vsr_adapter.predict.run import resized
from vsr_adapter.video.encode import open_encoder
from vsr_adapter.video.index import index
from vsr_adapter.video.read import read
from vsr_adapter.video.resize import bicubic_upscale

TRIED = 8  # frames that are encoded to see how large they become
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


def disk(model: VSRModel, job: Job) -> int:
    """Bytes of segments and result together, by encoding the first frames upscaled bicubically; detail makes more."""
    known = index(job.source)
    height, width = output_size(model, known, job.options)
    encoding = job.options.encoding
    look = encoding.look(known.look)
    count = min(TRIED, len(job.frames))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"tried{encoding.segment_suffix}"
        with open_encoder(path, 0, width, height, known.info.rate, encoding, look) as encoder:
            for frame in read(job.source, job.frames[0], count, "repeat"):
                small = torch.from_numpy(frame.rgb).permute(2, 0, 1)[None]
                large = bicubic_upscale(small, model.scale)[0].permute(1, 2, 0).numpy()
                encoder.write(resized(large, frame.alpha, model.scale, height, width))
        size = sum(file.stat().st_size for file in (path.iterdir() if path.is_dir() else [path]))
    links = 1 if encoding.images else 2  # PNG segments are linked, videos copied, until the result has its name
    return links * size * len(job.frames) // count


def checked(model: VSRModel, job: Job) -> str:
    """The estimates, in words.

    Raises:
        UserError: there is not as much.
    """
    main, gpu = memory(model, job)
    space = disk(model, job)
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
    left = shutil.disk_usage(existing(job.folder)).free
    if space > left:
        raise UserError(
            f"{job.source}: needs about {space / 1e9:.1f} GB of disk, {left / 1e9:.1f} GB are free; pass another "
            "--output, or a larger --crf"
        )
    graphics = f" and {gpu / 1e9:.1f} GB on the GPU" if gpu else ""
    return f"about {main / 1e9:.1f} GB of memory{graphics}, at least {space / 1e6:.0f} MB of disk"


def existing(path: Path) -> Path:
    """The nearest folder above that is there."""
    return path if path.exists() else existing(path.parent)
