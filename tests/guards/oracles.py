"""What guards are held against: diffusers' schedulers and autoencoder, and sums by hand."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, DDPMScheduler
from torch import Tensor

from tests.guards.door import DDIM, LOW_RES, Pass, piece

SCALING = 0.18215  # of tiny_ali_kl's VAE


def scheduler(steps: int, kind: Any = DDIMScheduler, config: dict[str, Any] = DDIM, **options: Any) -> Any:
    made = kind.from_config({**config, **options})
    made.set_timesteps(steps)
    return made


def replayed(passes: list[Pass], scheduler: Any, **extra: Any) -> Tensor:
    """The latents after the last pass, by diffusers' steps; each step leads to the next pass's input."""
    times = scheduler.timesteps[-len(passes) :]
    assert [one.t.flatten()[0].item() for one in passes] == [float(t) for t in times]
    z = passes[0].z / scheduler.scale_model_input(torch.ones(1), times[0])  # it is linear
    for one, t in zip(passes, times, strict=True):
        torch.testing.assert_close(one.z, scheduler.scale_model_input(z, t), atol=1e-4, rtol=1e-4)
        z = scheduler.step(one.prediction, t, z, **extra).prev_sample
    return z


def vae(seed: int = 0) -> AutoencoderKL:
    """tiny_ali_kl's autoencoder, by diffusers alone."""
    torch.manual_seed(seed)
    return AutoencoderKL.from_config(piece("tiny_ali_kl")["init_args"]["vae"]["init_args"]["config"]).eval()


@torch.no_grad()
def encoded(pixels: Tensor, seed: int = 0) -> Tensor:
    """Scaled latents (B, C, T, h, w) of pixels (B, 3, T, H, W) in [-1, 1]."""
    frames = pixels.transpose(1, 2).flatten(0, 1)
    z = vae(seed).encode(frames).latent_dist.mode() * SCALING
    return z.unflatten(0, (pixels.shape[0], -1)).transpose(1, 2)


@torch.no_grad()
def decoded(z: Tensor, seed: int = 0) -> np.ndarray:
    """Frames (T, H, W, 3) in [0, 1] of one clip's scaled latents."""
    pixels = vae(seed).decode(z[0].transpose(0, 1) / SCALING).sample
    return ((pixels + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1).numpy()


def alpha_bar(config: dict[str, Any], t: Any) -> Tensor:
    """By diffusers, at times t, shaped for clips."""
    table = DDPMScheduler.from_config(config).alphas_cumprod
    return table[torch.as_tensor(t).long().flatten()].reshape(-1, 1, 1, 1, 1)


def low_res_noise(one: Pass, frames: Tensor, level: int, schedule: dict[str, Any] = LOW_RES) -> Tensor:
    """The noise in the clip that a network was given; ``frames`` in [-1, 1], shape (B, 3, T, h, w)."""
    assert one.level is not None
    assert one.low_res is not None
    assert (one.level == level).all()
    bar = alpha_bar(schedule, level)
    return (one.low_res - bar.sqrt() * frames) / (1 - bar).sqrt()


def assert_standard_normal(noise: Tensor) -> None:
    """To what a sample of its size allows."""
    wide = 5 / noise.numel() ** 0.5
    assert abs(noise.mean()) < wide
    assert abs(noise.std() - 1) < wide


def correlation(a: Tensor, b: Tensor) -> float:
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def bicubic(frames: np.ndarray, factor: int = 4) -> Tensor:
    """MATLAB's imresize of frames (T, H, W, 3), shape (T, 3, H', W'), in [0, 1]."""
    pad = 4
    wide = np.pad(frames, [(0, 0), (pad, pad), (pad, pad), (0, 0)], mode="symmetric")
    large = F.interpolate(
        torch.from_numpy(wide).permute(0, 3, 1, 2), scale_factor=factor, mode="bicubic", antialias=True
    )
    cut = slice(pad * factor, -pad * factor)
    return large[..., cut, cut].clamp(0, 1)


def ramped(parts: list[tuple[int, np.ndarray]], axis: int = 0) -> np.ndarray:
    """Parts with their starts, joined: where two overlap by n, the later one's weights are 1/(n+1) ... n/(n+1)."""
    start, joined = parts[0]
    assert start == 0
    for start, part in parts[1:]:
        shared = joined.shape[axis] - start
        before, old = np.split(joined, [start], axis)
        new, after = np.split(part, [shared], axis)
        weight = (np.arange(1, shared + 1) / (shared + 1)).reshape(
            [-1 if a == axis % part.ndim else 1 for a in range(part.ndim)]
        )
        joined = np.concatenate([before, old * (1 - weight) + new * weight, after], axis)
    return joined
