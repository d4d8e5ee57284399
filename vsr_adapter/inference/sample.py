"""One clip, or the tiles of one: start, steps, decode."""

from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from vsr_adapter.diffusion import Denoiser, JointDenoiser
from vsr_adapter.model import VSRModel
from vsr_adapter.postprocess import postprocess
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.seeds import NoiseField
from vsr_adapter.windows import Window, blend_tiles


def begin(model: VSRModel, lr: Tensor, fields: list[NoiseField]) -> tuple[Denoiser, Tensor, Any, Tensor]:
    """All that stands before the first step.

    Returns:
        The denoiser of these clips, their first latents, a scheduler and the times left to denoise.
    """
    low_res_noise = noise(fields, lr, "low_res", (lr.shape[2], lr.shape[1], *lr.shape[3:])).transpose(1, 2)
    denoise = model.guided(model.condition(lr, low_res_noise))
    scheduler = model.sampler.schedule(model.backbone.capabilities.unet.scheduler_config)
    z, timesteps = model.start(
        model.backbone, lr, model.scale, scheduler, lambda shape: noise(fields, lr, "start", shape)
    )
    return denoise, z, scheduler, timesteps


@torch.no_grad()
def sample(model: VSRModel, lr: Tensor, fields: list[NoiseField]) -> Tensor:
    """Upscales clips.

    Args:
        model: with its weights loaded.
        lr: low-resolution video in [0, 1], shape (B, T, 3, h, w); h and w times the scale must be multiples of the
            backbone's ``size_multiple``.
        fields: noise of each clip.

    Returns:
        Video in [0, 1], shape (B, T, 3, h * scale, w * scale).
    """
    denoise, z, scheduler, timesteps = begin(model, lr, fields)
    shape = tuple(z.shape[1:])
    z_0 = model.sampler.run(denoise, z, scheduler, timesteps, lambda i: noise(fields, lr, "step", shape, i))
    return model.decode(z_0, lr)


@torch.no_grad()
def sample_jointly(
    model: VSRModel, tiles: list[Tensor], fields: list[NoiseField], rows: list[Window], columns: list[Window]
) -> Tensor:
    """Upscales a clip whose tiles agree after every step: their predictions are blended in latent space.

    Args:
        model: with its weights loaded.
        tiles: row by row, each in [0, 1], shape (1, T, 3, h, w).
        fields: noise of each tile.
        rows: of the plan, in low-resolution pixels.
        columns: likewise.

    Returns:
        Video in [0, 1], shape (1, T, 3, H * scale, W * scale).
    """
    cells = Fraction(model.scale, model.backbone.capabilities.vae.spatial_factor)
    begun = [begin(model, tile, [field]) for tile, field in zip(tiles, fields, strict=True)]
    _, _, scheduler, timesteps = begun[0]
    # of equal noise, blending leaves the noise as it is
    z = blend_tiles((one[1] for one in begun), rows, columns, cells)
    denoise = JointDenoiser([one[0] for one in begun], rows, columns, cells)
    shape = tuple(begun[0][1].shape[1:])

    def steps(i: int) -> Tensor:
        each = (noise([field], tile, "step", shape, i) for field, tile in zip(fields, tiles, strict=True))
        return blend_tiles(each, rows, columns, cells)

    z_0 = model.sampler.run(denoise, z, scheduler, timesteps, steps)
    places = ((row.times(cells), column.times(cells)) for row in rows for column in columns)
    decoded = (
        model.decode(z_0[..., y.start : y.stop, x.start : x.stop], tile)
        for (y, x), tile in zip(places, tiles, strict=True)
    )
    return blend_tiles(decoded, rows, columns, model.scale)


def finished(model: VSRModel, video: Tensor, lr: Tensor) -> Tensor:
    """Whole frames after all post-processing, shape (B, T, 3, H, W); ``lr`` has shape (B, T, 3, h, w)."""
    steps = model.sampling.postprocess
    return postprocess(steps, video, bicubic_upscale(lr, model.scale)) if steps else video


def noise(fields: list[NoiseField], like: Tensor, kind: str, shape: tuple[int, ...], step: int = 0) -> Tensor:
    """Noise of each clip for its shape (C, T, h, w): (B, C, T, h, w), on the device of ``like``."""
    channels, length, *size = shape
    each = [field(kind, (channels, *size), step, length).transpose(0, 1) for field in fields]
    return torch.stack(each).to(like)
