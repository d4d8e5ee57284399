"""Pictures of a clip: what went in, what came out, and what should have."""

from pathlib import Path

import torch
from torch import Tensor

from vsr_adapter.frames import to_8_bit
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.types import Clip
from vsr_adapter.video.images import write_png

ZOOM = 4  # of the crop
NAMES = ("lr", "bicubic", "output", "gt")


def enlarged(image: Tensor, factor: int) -> Tensor:
    """Pixels as squares; image (..., H, W)."""
    return image.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def strip(clip: Clip, output: Tensor, scale: int) -> Tensor:
    """LR | bicubic | output | HR of the middle frame, side by side at the size of HR.

    Args:
        clip: a batch of one.
        output: video in [0, 1], shape (1, T, 3, H, W).
        scale: upscaling factor.

    Returns:
        Image in [0, 1], shape (3, H, 4 W).
    """
    return torch.cat(list(frames_of(clip, output, scale).values()), dim=-1)


def panel(clip: Clip, output: Tensor, scale: int) -> Tensor:
    """`strip`, and under each frame its middle, enlarged.

    Returns:
        Image in [0, 1], shape (3, 2 H, 4 W); heights and widths that are no multiples of 4 give up to 3 black pixels.
    """
    frames = list(frames_of(clip, output, scale).values())
    under = torch.zeros(4, *frames[0].shape)
    crops = torch.stack([middle_part(frame) for frame in frames])
    under[..., : crops.shape[-2], : crops.shape[-1]] = crops
    return torch.cat([torch.cat(frames, dim=-1), torch.cat(list(under), dim=-1)], dim=-2)


def middle_part(image: Tensor) -> Tensor:
    """The middle quarter of each side, enlarged to about the size of the whole; image (3, H, W)."""
    rows, columns = (
        slice(size // 2 - size // ZOOM // 2, size // 2 - size // ZOOM // 2 + size // ZOOM) for size in image.shape[-2:]
    )
    return enlarged(image[:, rows, columns], ZOOM)


def frames_of(clip: Clip, output: Tensor, scale: int) -> dict[str, Tensor]:
    """The middle frames of LR, bicubic, output and HR, at the size of HR, on the CPU."""
    middle = clip.lr.shape[1] // 2
    videos = [enlarged(clip.lr, scale), bicubic_upscale(clip.lr, scale), output, clip.hr]
    return {name: video[0, middle].float().cpu() for name, video in zip(NAMES, videos, strict=True)}


def write_pictures(path: Path, clip: Clip, output: Tensor, scale: int) -> None:
    """Writes ``path.png``, the `panel`, and its parts for a page or a paper into the folder ``path``.

    The folder gets ``lr.png`` at its own size, ``bicubic.png``, ``output.png`` and ``gt.png``, and their enlarged
    middles as ``lr_crop.png`` and so on.

    Args:
        path: without an ending.
        clip: a batch of one.
        output: video in [0, 1], shape (1, T, 3, H, W).
        scale: upscaling factor.

    Raises:
        UserError: they cannot be written.
    """
    frames = frames_of(clip, output, scale)
    images = {f"{name}_crop": middle_part(frame) for name, frame in frames.items()}
    images |= frames | {"lr": frames["lr"][:, ::scale, ::scale]}
    path.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        write_png(path / f"{name}.png", to_8_bit(image))
    write_png(path.with_name(f"{path.name}.png"), to_8_bit(panel(clip, output, scale)))
