"""What networks that see the low-resolution clip demand of it."""

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from vsr_adapter.errors import UserError

MAX_NOISE_LEVEL = 350  # the most that Stable Diffusion's x4 upscaler and its descendants were trained on


def check_low_res(low_res: Tensor, z_t: Tensor) -> None:
    """Refuses a clip of another size than the latents; both have shape (..., T, h, w).

    Raises:
        UserError: sizes differ.
    """
    if low_res.shape[-3:] != z_t.shape[-3:]:
        raise UserError(
            f"low_res of {tuple(low_res.shape[-3:])}, latents of {tuple(z_t.shape[-3:])}: frames, height and width "
            "must be equal; the UNet works at the size of the low-resolution clip"
        )


def has_values(tensor: Tensor) -> bool:
    """Whether it holds numbers: on the meta device and in fake mode, where costs are counted, it does not."""
    return not tensor.is_meta and not isinstance(tensor, FakeTensor)


def each_noise_level(noise_level: Tensor | int, batch: int, device: torch.device, levels: int = 1000) -> Tensor:
    """The noise level of each clip, shape (B,).

    Args:
        noise_level: training time of the noise in the low-resolution clip, shape (B,) or ().
        batch: B.
        device: of the result.
        levels: that the network has embeddings for.

    Raises:
        UserError: it lies outside what the network was trained on.
    """
    level = torch.as_tensor(noise_level, device=device).expand(batch)
    most = min(MAX_NOISE_LEVEL, levels - 1)
    if has_values(level) and (int(level.max()) > most or int(level.min()) < 0):
        raise UserError(f"noise_level {level.tolist()}: must lie in 0 to {most}; pass a lower noise_level")
    return level
