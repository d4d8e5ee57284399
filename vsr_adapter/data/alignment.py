"""Whether a low-resolution clip lies where its high-resolution twin does."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

REACH = 3.0  # HR pixels that are searched on each side: DUF's phase is 1.5 off
STEP = 0.5
SIDE = 64  # of the part that is compared, in LR pixels
SIGMAS = (0.25, 0.4)  # of the blur, in LR pixels: near BI's, and BD's
LIKE = 0.5  # of the truth's variance: the largest error of what shows the truth at all
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
    small, truth = middle(lr, height, width), middle(hr, height * scale, width * scale)
    errors = [squared_errors(small, views(truth, sigma * scale, scale)) for sigma in SIGMAS]
    return best_place(min(errors, key=torch.Tensor.min))  # of the blur that explains LR better


def align_upscaled(video: Tensor, truth: Tensor, bicubic: Tensor, scale: int = 4) -> Alignment:
    """The shift, in half pixels, at which an upscaled frame fits its truth best; both are blurred alike, and sampled.

    What bicubic of the same LR gains there as well is the content's: of small crops, whose few pixels may fit better
    elsewhere. What shows the truth nowhere, as a network that has learned nothing, lies where it should.

    Args:
        video: frame in [0, 1], shape (3, H, W).
        truth: same shape.
        bicubic: of the LR that the frame was made from, same shape.
        scale: by which it was enlarged.
    """
    height, width = (min(SIDE, size // scale) * scale for size in truth.shape[-2:])
    seen = [views(middle(frame, height, width), SIGMAS[1] * scale, scale) for frame in (video, bicubic, truth)]
    at = len(seen[0]) // 2
    ours, usual, grey = (squared_errors(one, seen[2]) for one in (seen[0][at, at], seen[1][at, at], seen[2].mean()))
    place = best_place(ours)
    if ours.min() > LIKE * grey[at, at]:
        return Alignment(0, 0, 0)
    row, column = (int((shift + REACH) / STEP) for shift in (place.dy, place.dx))
    return place._replace(gain=place.gain - max(gain_at(usual, row, column), 0))


def middle(frame: Tensor, height: int, width: int) -> Tensor:
    """The middle part of a frame, grey, shape (height, width)."""
    top, left = (frame.shape[-2] - height) // 2, (frame.shape[-1] - width) // 2
    return frame[:, top : top + height, left : left + width].float().mean(dim=0)


def views(truth: Tensor, sigma: float, scale: int) -> Tensor:
    """A grey frame (H, W), blurred and sampled at the centres of blocks that are shifted.

    Args:
        truth: shape (h * scale, w * scale).
        sigma: of the blur, in pixels.
        scale: side of a block.

    Returns:
        Shape (shifts of dy, shifts of dx, h, w).
    """
    shifts = torch.arange(-REACH, REACH + STEP, STEP)
    radius = 3 * scale
    taps = torch.arange(-radius, radius + 1)
    blur = (-0.5 * ((taps - (scale - 1) / 2 - shifts[:, None]) / sigma).square()).exp()
    blur = (blur / blur.sum(dim=1, keepdim=True))[:, None]  # (shifts, 1, taps)
    padded = F.pad(truth[None, None], [radius] * 4, mode="replicate")
    by_row = F.conv2d(padded, blur[..., None], stride=(scale, 1)).transpose(0, 1)
    return F.conv2d(by_row, blur[:, :, None], stride=(1, scale))


def squared_errors(small: Tensor, seen: Tensor) -> Tensor:
    """Mean squared error of each view (dy, dx, h, w), away from the border, of which some views see the padding."""
    rows, columns = (slice(border, size - border) for size in seen.shape[2:] for border in [min(3, (size - 1) // 2)])
    return (seen - small)[..., rows, columns].square().mean(dim=(2, 3))


def best_place(errors: Tensor) -> Alignment:
    """Where the error is least; rows are dy, columns dx."""
    row, column = divmod(int(errors.argmin()), len(errors))
    return Alignment(column * STEP - REACH, row * STEP - REACH, gain_at(errors, row, column))


def gain_at(errors: Tensor, row: int, column: int) -> float:
    """The dB by which it fits better at that place than where it should be."""
    unshifted = len(errors) // 2
    here, there = (errors[at].clamp(min=1e-12) for at in ((unshifted, unshifted), (row, column)))
    return 10 * (here / there).log10().item()
