"""Whether a video shows the truth where and when the truth does."""

import torch
from torch import Tensor

from vsr_adapter.data.alignment import CLEAR, align_upscaled
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale

LATE = 2  # frames that are searched on each side


def check_place(who: str, video: Tensor, truth: Tensor, lr: Tensor) -> None:
    """Refuses what is shifted in space or in time: it would score badly, and nothing would say why.

    Args:
        who: the method and the clip.
        video: in [0, 1], shape (T, 3, H, W), on the CPU.
        truth: likewise.
        lr: what it was made from, shape (T, 3, h, w).

    Raises:
        UserError: it fits better elsewhere.
    """
    scale = truth.shape[-1] // lr.shape[-1]
    late, gain = delay(bicubic_downscale(video, scale), bicubic_downscale(truth, scale))
    if late and gain >= CLEAR:
        raise UserError(f"{who}: fits {gain:.1f} dB better {late:+d} frames later; write its frames in time")
    place = align_upscaled(video[0], truth[0], bicubic_upscale(lr[0], scale), scale)
    if not place.centred:
        raise UserError(
            f"{who}: fits {place.gain:.1f} dB better ({place.dx:g}, {place.dy:g}) HR pixels away; "
            "it was made from another LR"
        )


def delay(video: Tensor, truth: Tensor) -> tuple[int, float]:
    """Frames by which a clip shows what the truth shows later, and the dB by which it fits better so."""
    reach = min(LATE, (len(video) - 1) // 2)
    middle = range(reach, len(video) - reach)
    errors = [
        torch.stack([(video[t] - truth[t + late]).square().mean() for t in middle]).mean()
        for late in range(-reach, reach + 1)
    ]
    best = min(range(len(errors)), key=lambda i: errors[i].item())
    gain = 10 * (errors[reach].clamp(min=1e-12) / errors[best].clamp(min=1e-12)).log10()
    return best - reach, gain.item()
