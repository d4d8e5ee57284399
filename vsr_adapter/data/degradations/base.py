"""What makes the low-resolution twin of a clip."""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from kornia.filters import get_gaussian_kernel1d
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.frames import rounded
from vsr_adapter.resize import bicubic_downscale


class Degradation(ABC):
    """Low resolution from high.

    Attributes:
        name: what a table calls it, for x4: two degradations give two numbers.
    """

    name: str

    @abstractmethod
    def __call__(self, hr: Tensor, scale: int, key: tuple[object, ...]) -> Tensor:
        """The low-resolution clip.

        Args:
            hr: clip in [0, 1], shape (T, 3, H, W), on any device.
            scale: HR pixels per LR pixel.
            key: names the clip's random numbers, (seed, clip, epoch): the result is a function of it and of ``hr``.

        Returns:
            Shape (T, 3, H / scale, W / scale), multiples of 1 / 255.

        Raises:
            UserError: H or W is no multiple of ``scale``, or the scale is none that is defined.
        """


class Bicubic(Degradation):
    """BI: MATLAB's imresize(x, 1 / scale), to the bit."""

    name = "BI"

    def __call__(self, hr: Tensor, scale: int, key: tuple[object, ...] = ()) -> Tensor:
        """No random numbers."""
        return bicubic_downscale(hr, scale)


class BlurDown(Degradation):
    """BD: blur by a Gaussian of sigma 1.6, and every fourth pixel; in the phase of MATLAB's script.

    The script's kernel has 12 x 12 taps and no middle one: pixels are sampled at the centres of 4 x 4 blocks, where BI
    samples too. Borders are replicated.
    """

    name = "BD"
    taps = 12
    first = 1  # HR pixel under the kernel's (left) middle tap in the first sample: MATLAB's s / 2, counted from 0
    border = "replicate"

    def __call__(self, hr: Tensor, scale: int, key: tuple[object, ...] = ()) -> Tensor:
        """No random numbers."""
        height, width = hr.shape[-2:]
        if scale != 4 or height % 4 or width % 4:
            raise UserError(
                f"{self.name} of {width}x{height} by {scale}: is defined by 4, of multiples of 4; crop, or take BI"
            )
        before = (self.taps - 1) // 2 - self.first
        pad = [before, self.taps - 4 - before] * 2
        line = get_gaussian_kernel1d(self.taps, 1.6, force_even=self.taps % 2 == 0, device=hr.device, dtype=hr.dtype)[0]
        kernel = torch.outer(line, line).expand(3, 1, -1, -1)
        small = F.conv2d(F.pad(hr, pad, mode=self.border), kernel, stride=4, groups=3)
        return rounded(small)


class DUFBlurDown(BlurDown):
    """BD in the phase of DUF's code: 13 x 13 taps about pixels 0, 4, 8 ..., borders reflected.

    It lies 1.5 HR pixels to the upper left of `BlurDown`: networks trained on one fail on the other.
    """

    name = "BD-DUF"
    taps = 13
    first = 0
    border = "reflect"
