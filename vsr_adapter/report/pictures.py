"""A picture of a clip: what went in, what came out, and what should have."""

import torch
from torch import Tensor

from vsr_adapter.types import Clip
from vsr_adapter.video.resize import bicubic_upscale

ZOOM = 4  # of the crop


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
    return torch.cat(frames_of(clip, output, scale), dim=-1)


def panel(clip: Clip, output: Tensor, scale: int) -> Tensor:
    """`strip`, and under each frame its middle, enlarged.

    Returns:
        Image in [0, 1], shape (3, 2 H, 4 W); heights and widths that are no multiples of 4 give up to 3 black pixels.
    """
    frames = frames_of(clip, output, scale)
    height, width = frames[0].shape[-2:]
    rows, columns = middle_part(height), middle_part(width)
    under = torch.zeros(4, 3, height, width)
    crops = enlarged(torch.stack(frames)[:, :, rows, columns], ZOOM)
    under[..., : crops.shape[-2], : crops.shape[-1]] = crops
    return torch.cat([torch.cat(frames, dim=-1), torch.cat(list(under), dim=-1)], dim=-2)


def middle_part(size: int) -> slice:
    """The middle quarter of an axis."""
    start = size // 2 - size // ZOOM // 2
    return slice(start, start + size // ZOOM)


def frames_of(clip: Clip, output: Tensor, scale: int) -> list[Tensor]:
    """The middle frames of LR, bicubic, output and HR, at the size of HR, on the CPU."""
    middle = clip.lr.shape[1] // 2
    videos = [enlarged(clip.lr, scale), bicubic_upscale(clip.lr, scale), output, clip.hr]
    return [video[0, middle].float().cpu() for video in videos]
