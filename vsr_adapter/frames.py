"""Where frames become tensors and back: arrays (H, W, 3) of 8 bits or floats, video (..., 3, H, W) in [0, 1]."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def to_video(frames: Sequence[np.ndarray]) -> Tensor:
    """Frames as a video.

    Args:
        frames: RGB, each of shape (H, W, 3), all alike: uint8, or floats in [0, 1].

    Returns:
        Float32 in [0, 1], shape (T, 3, H, W), contiguous.
    """
    pixels = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    return pixels / 255 if pixels.dtype == torch.uint8 else pixels.float()


def to_8_bit(video: Tensor) -> np.ndarray:
    """A video as frames of 8 bits, rounded.

    Args:
        video: in [0, 1] (what lies outside is clamped), shape (..., 3, H, W).

    Returns:
        uint8, shape (..., H, W, 3), contiguous.
    """
    codes = (video.clamp(0, 1) * 255).round().to(torch.uint8).movedim(-3, -1)
    return codes.contiguous().cpu().numpy()


def rounded(video: Tensor) -> Tensor:
    """A video of any shape with the values that 8 bits have: multiples of 1 / 255 in [0, 1]."""
    return (video.clamp(0, 1) * 255).round() / 255
