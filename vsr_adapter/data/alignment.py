"""Whether a low-resolution clip lies where its high-resolution twin does."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 3.0  # HR pixels that are searched on each side: DUF's phase is 1.5 off
STEP = 0.5
SIDE = 64  # of the part that is compared, in LR pixels
SIGMAS = (0.25, 0.4)  # of the blur, in LR pixels: near BI's, and BD's
CLEAR = 1.0  # dB by which another place must fit better: shifts of real frames gave 10 and more, real-world noise 0.3


class Alignment(NamedTuple):
    """How a low-resolution clip lies.

    Attributes:
        dx: HR pixels by which it shows what lies to the right (left, if negative) of where it should; halves.
        dy: the same, below.
        gain: dB by which it fits better there than where it should be.
    """

    dx: float
    dy: float
    gain: float

    @property
    def centred(self) -> bool:
        """Whether it lies where it should, as far as its content tells."""
        return (self.dx, self.dy) == (0, 0) or self.gain < CLEAR


def align(lr: Tensor, hr: Tensor, scale: int = 4) -> Alignment:
    """The shift, in half HR pixels, at which a low-resolution frame is made from its truth best.

    LR pixels belong at the centres of the blocks of HR pixels that they stand for. The truth is blurred and sampled at
    every shift, and compared in low resolution: to compare the upsampled frame with the truth would mostly measure
    what low resolution cannot show, whose aliasing pulls the best place by half a pixel.

    Args:
        lr: frame in [0, 1], shape (3, h, w).
        hr: its truth, shape (3, h * scale, w * scale).
        scale: HR pixels per LR pixel.
    """
    height, width = (min(SIDE, size) for size in lr.shape[-2:])
    top, left = (lr.shape[-2] - height) // 2, (lr.shape[-1] - width) // 2
    small = lr[:, top : top + height, left : left + width].mean(dim=0)
    rows, columns = (slice(start * scale, (start + size) * scale) for start, size in ((top, height), (left, width)))
    truth = hr[:, rows, columns].mean(dim=0)
    errors = torch.stack([errors_of(small, truth, sigma * scale, scale) for sigma in SIGMAS])
    fitting = errors[errors.flatten(1).amin(dim=1).argmin()]  # the blur that explains LR better
    row, column = divmod(int(fitting.argmin()), len(fitting))
    middle = len(fitting) // 2
    gain = 10 * (fitting[middle, middle] / fitting[row, column].clamp(min=1e-12)).log10()
    return Alignment(column * STEP - REACH, row * STEP - REACH, gain.item())


def errors_of(small: Tensor, truth: Tensor, sigma: float, scale: int) -> Tensor:
    """Mean squared error at each shift, rows by dy and columns by dx.

    Args:
        small: grey frame, shape (h, w).
        truth: grey frame, shape (h * scale, w * scale).
        sigma: of the blur, in HR pixels.
        scale: HR pixels per LR pixel.
    """
    shifts = torch.arange(-REACH, REACH + STEP, STEP)
    radius = 3 * scale
    taps = torch.arange(-radius, radius + 1)
    blur = (-0.5 * ((taps - (scale - 1) / 2 - shifts[:, None]) / sigma).square()).exp()
    blur = (blur / blur.sum(dim=1, keepdim=True))[:, None]  # (shifts, 1, taps)
    padded = F.pad(truth[None, None], [radius] * 4, mode="replicate")
    by_row = F.conv2d(padded, blur[..., None], stride=(scale, 1)).transpose(0, 1)
    seen = F.conv2d(by_row, blur[:, :, None], stride=(1, scale))  # (dy, dx, h, w)
    rows, columns = (slice(border, size - border) for size in small.shape for border in [min(3, (size - 1) // 2)])
    return (seen - small)[..., rows, columns].square().mean(dim=(2, 3))
