"""Backward warping along a flow, and where the flow can be trusted (Lai et al. 2018, Ruder et al. 2016)."""

import torch
from kornia.geometry.transform import remap
from torch import Tensor


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """The image seen along the flow: out(x) = image(x + flow(x)), bilinear, clamped at the border.

    Args:
        image: shape (C, H, W), float64: in float32, zero flow would not give the image back to the last digits.
        flow: in pixels, x before y, shape (2, H, W).

    Returns:
        Shape (C, H, W).
    """
    height, width = flow.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device), torch.arange(width, device=flow.device), indexing="ij"
    )
    # align_corners: pixel centres are the grid's corners, so that whole-pixel flow reads whole pixels
    return remap(image[None], (x + flow[0])[None], (y + flow[1])[None], padding_mode="border", align_corners=True)[0]


def squared_gradient(flow: Tensor) -> Tensor:
    """|grad u|^2 + |grad v|^2 by forward differences, zero at the far border; shape (H, W)."""
    along_x = flow.diff(dim=2, append=flow[:, :, -1:])
    along_y = flow.diff(dim=1, append=flow[:, -1:])
    return (along_x.square() + along_y.square()).sum(dim=0)


def trusted(forward: Tensor, backward: Tensor) -> Tensor:
    """Pixels whose flow there and back agree, and that lie on no motion boundary.

    With w(x) = backward(x + forward(x)), a pixel is dropped where |w + f|^2 > 0.01 (|w|^2 + |f|^2) + 0.5, or where
    |grad u|^2 + |grad v|^2 > 0.01 |f|^2 + 0.002.

    Args:
        forward: flow f = (u, v) from t to t + 1, in pixels, shape (2, H, W).
        backward: flow from t + 1 to t.

    Returns:
        Booleans, shape (H, W).
    """
    back = warp(backward, forward)
    length, back_length = forward.square().sum(dim=0), back.square().sum(dim=0)
    occluded = (back + forward).square().sum(dim=0) > 0.01 * (back_length + length) + 0.5
    boundary = squared_gradient(forward) > 0.01 * length + 0.002
    return ~(occluded | boundary)
