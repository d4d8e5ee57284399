"""Sampler and start: the passes through the network against diffusers' own schedulers, step by step."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import DPMSolverMultistepScheduler, EulerDiscreteScheduler

from tests.guards.door import Run, clip, guards, of, of_class, restored, video
from tests.guards.oracles import (
    DDIM,
    alpha_bar,
    assert_standard_normal,
    correlation,
    decoded,
    encoded,
    replayed,
    scheduler,
)


def start(name: str, **init_args):
    return of_class(f"diffusion.{name}", **init_args)


def assert_gives(run: Run, z_0: torch.Tensor):
    np.testing.assert_allclose(run.frames, decoded(z_0), atol=1e-4)


@guards("sampler", "Sampler", "Sampler.steps")
@pytest.mark.parametrize("steps", [1, 3])
def test_steps_are_the_passes_of_a_clip_along_diffusers_times(steps):
    run = restored(sampler__steps=steps)
    assert len(run.passes) == steps
    assert_gives(run, replayed(run.passes, scheduler(steps)))


@guards("Sampler.scheduler")
@pytest.mark.parametrize("kind", [DPMSolverMultistepScheduler, EulerDiscreteScheduler])
def test_the_scheduler_is_the_one_that_is_named(kind):
    run = restored(sampler__steps=4, sampler__scheduler=f"diffusers.{kind.__name__}")
    assert_gives(run, replayed(run.passes, scheduler(4, kind)))


@guards("Sampler.options")
def test_options_replace_entries_of_the_backbones_schedule():
    options = {"timestep_spacing": "trailing", "beta_end": 0.02, "set_alpha_to_one": True}
    run = restored(sampler__steps=3, sampler__options=options)
    assert run.passes[0].t.item() == 999
    assert_gives(run, replayed(run.passes, scheduler(3, **options)))


def step_noise(run: Run, eta: float) -> list[torch.Tensor]:
    """What each step but the last added to diffusers' noiseless one, over what it should be multiplied by."""
    ddim, found = scheduler(len(run.passes)), []
    for one, later, t in zip(run.passes, run.passes[1:], ddim.timesteps, strict=False):
        still = torch.zeros_like(one.z)
        mean = ddim.step(one.prediction, t, one.z, eta=eta, variance_noise=still).prev_sample
        deviation = ddim.step(one.prediction, t, one.z, eta=eta, variance_noise=still + 1).prev_sample - mean
        found.append((later.z - mean) / deviation)
    return found


@guards("Sampler.eta")
def test_eta_is_the_share_of_named_noise_that_each_step_adds():
    """DDPM's chain is DDIM's with eta 1 (section 4.1 of its paper)."""
    whole = step_noise(restored(sampler__steps=3, sampler__eta=1), 1)
    for noise in whole:
        assert_standard_normal(noise)
    assert abs(correlation(*whole)) < 0.1, "each step has noise of its own"
    half = step_noise(restored(sampler__steps=3, sampler__eta=0.5), 0.5)
    torch.testing.assert_close(half[0], whole[0], atol=2e-3, rtol=1e-3)
    ddpm = restored(sampler__steps=3, sampler__scheduler="diffusers.DDPMScheduler")
    torch.testing.assert_close(step_noise(ddpm, 1), whole, atol=2e-3, rtol=1e-3)


@guards("Sampler.eta")
def test_without_eta_a_step_is_diffusers_own():
    run = restored(sampler__steps=2, sampler__eta=0)
    replayed(run.passes, scheduler(2))


@guards("start", "GaussianStart")
def test_the_gaussian_start_is_noise_times_the_initial_sigma():
    run = restored(sampler__steps=1, start=start("GaussianStart"))
    z = run.passes[0].z
    assert_standard_normal(z)
    assert abs(correlation(z[:, :, 0], z[:, :, 1])) < 0.1, "each frame has noise of its own"
    euler = restored(
        sampler__steps=1, start=start("GaussianStart"), sampler__scheduler="diffusers.EulerDiscreteScheduler"
    )
    made = scheduler(1, EulerDiscreteScheduler)
    expected = made.scale_model_input(z * made.init_noise_sigma, made.timesteps[0])
    torch.testing.assert_close(euler.passes[0].z, expected)


@guards("EncodedNoiseStart")
def test_the_encoded_noise_start_is_noise_in_pixels_through_the_vae():
    run = restored(sampler__steps=1, start=start("EncodedNoiseStart"))
    pixels = torch.cat([call.inputs[0] for call in of(run.calls, "Encoder")])
    assert pixels.shape == (8, 3, 64, 64)
    assert_standard_normal(pixels)
    torch.testing.assert_close(run.passes[0].z, encoded(pixels.transpose(0, 1)[None]), atol=1e-4, rtol=1e-4)


@guards("NoisedLowResStart", "NoisedLowResStart.strength")
def test_the_noised_low_res_start_denoises_the_upscaled_clip_from_a_fraction_of_the_times():
    noises = []
    for strength, expected in [(0.35, [301, 201, 101, 1]), (0.6, [501, 401, 301, 201, 101, 1])]:
        run = restored(sampler__steps=10, start=start("NoisedLowResStart", strength=strength))
        assert [one.t.item() for one in run.passes] == expected
        pixels = torch.cat([call.inputs[0] for call in of(run.calls, "Encoder")]).transpose(0, 1)[None]
        upscaled = F.interpolate(clip(video())[0].transpose(0, 1), scale_factor=4, mode="bicubic", antialias=True)
        inner = (..., slice(16, -16), slice(16, -16))  # borders are extended in another way
        torch.testing.assert_close(pixels[0].transpose(0, 1)[inner], upscaled[inner].clamp(-1, 1), atol=1e-3, rtol=0)
        bar = alpha_bar(DDIM, expected[0])
        noises.append((run.passes[0].z - bar.sqrt() * encoded(pixels)) / (1 - bar).sqrt())
        assert_standard_normal(noises[-1])
        assert_gives(run, replayed(run.passes, scheduler(10)))
    torch.testing.assert_close(*noises, atol=1e-3, rtol=1e-3)
