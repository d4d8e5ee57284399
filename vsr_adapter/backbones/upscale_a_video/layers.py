"""Layers on video features (B, C, T, h, w); diffusers' 2-D blocks wherever they are the same mathematics."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers.models.resnet import ResnetBlock2D, TemporalResnetBlock
from torch import Tensor, nn

TEMPORAL_GROUPS = 32  # whatever the config says of the other norms
TEMPORAL_EPS = 1e-6


def per_frame(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Applies a 2-D layer to each frame of features (B, C, T, h, w)."""
    frames = layer(x.transpose(1, 2).flatten(0, 1))
    return frames.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


class VideoConv(nn.Conv3d):
    """A 3-D convolution that keeps the number of frames; on CPUs, the same sum as a 2-D one.

    torch has no fast 3-D convolution on CPUs (``slow_conv3d``): over time alone it is a 2-D one on pictures of T by
    h * w pixels, else one over each frame's neighbours, which took a third of the time.

    Args:
        channels: entering and leaving.
        kernel: extent in time, height and width, odd.
    """

    def __init__(self, channels: int, kernel: tuple[int, int, int]):
        time, height, width = kernel
        super().__init__(channels, channels, kernel, padding=(time // 2, height // 2, width // 2))

    def forward(self, x: Tensor) -> Tensor:
        """Shape of ``x`` (B, C, T, h, w)."""
        if x.device.type != "cpu":
            return super().forward(x)
        taps, margin = self.kernel_size[0], self.kernel_size[0] // 2
        if self.kernel_size[1:] == (1, 1):
            weight = self.weight.flatten(3)  # (C, C, taps, 1)
            return F.conv2d(x.flatten(3), weight, self.bias, padding=(margin, 0)).unflatten(3, x.shape[3:])
        padded = F.pad(x, (0, 0, 0, 0, margin, margin))
        neighbours = torch.cat([padded[:, :, tap : tap + x.shape[2]] for tap in range(taps)], dim=1)
        weight = self.weight.transpose(1, 2).flatten(1, 2)  # (C, taps * C, kh, kw)
        return per_frame(lambda frames: F.conv2d(frames, weight, self.bias, padding=self.padding[1:]), neighbours)


class VideoResnetBlock(ResnetBlock2D):
    """diffusers' residual block: its convolutions see frames, but its norms pool their statistics over time."""

    def forward(self, x: Tensor, temb: Tensor | None = None) -> Tensor:
        """Features of shape (B, C_out, T, h, w); ``temb`` has shape (B, temb_channels)."""
        h = per_frame(self.conv1, F.silu(self.norm1(x)))
        if temb is not None and self.time_emb_proj is not None:
            h = h + self.time_emb_proj(F.silu(temb))[:, :, None, None, None]
        h = per_frame(self.conv2, F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else per_frame(self.conv_shortcut, x))


class VideoResnetBlockPlus(VideoResnetBlock):
    """With a 3x3x3 convolution that acts after the residual sum ("ResnetBlock3D_plus")."""

    def __init__(self, in_channels: int, out_channels: int, groups: int, groups_out: int, eps: float):
        super().__init__(
            in_channels=in_channels,
            out_channels=out_channels,
            temb_channels=None,
            groups=groups,
            groups_out=groups_out,
            eps=eps,
        )
        self.norm_3d = nn.GroupNorm(groups_out, out_channels, eps=eps)
        self.conv_3d = VideoConv(out_channels, (3, 3, 3))

    def forward(self, x: Tensor, temb: Tensor | None = None) -> Tensor:
        """Features of shape (B, C_out, T, h, w)."""
        h = super().forward(x)
        return h + self.conv_3d(F.silu(self.norm_3d(h)))


def temporal_resnet(channels: int, temb_channels: int | None, reach: int = 3) -> TemporalResnetBlock:
    """The residual block over time, diffusers' with convolutions that are fast on CPUs.

    Args:
        channels: entering and leaving.
        temb_channels: of the time embedding; None for none.
        reach: frames that the first convolution sees; the second sees 3.
    """
    block = TemporalResnetBlock(channels, temb_channels=temb_channels, eps=TEMPORAL_EPS)
    block.conv1, block.conv2 = VideoConv(channels, (reach, 1, 1)), VideoConv(channels, (3, 1, 1))
    return block


class TemporalBlock(nn.Module):
    """What stands after each whole block: x + shift_conv(spatial(temporal(x, temb), temb)).

    Args:
        channels: of x, a multiple of 32.
        temb_channels: of the time embedding.
    """

    def __init__(self, channels: int, temb_channels: int):
        super().__init__()
        self.resblocks_3d_temporal = temporal_resnet(channels, temb_channels, reach=5)
        self.resblocks_3d_spatial = VideoResnetBlock(
            in_channels=channels, temb_channels=temb_channels, groups=TEMPORAL_GROUPS, eps=TEMPORAL_EPS
        )
        self.shift_conv = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        """Shape of ``x`` (B, C, T, h, w); ``temb`` has shape (B, temb_channels)."""
        h = self.resblocks_3d_temporal(x, temb[:, None])  # one embedding for all frames
        return x + per_frame(self.shift_conv, self.resblocks_3d_spatial(h, temb))
