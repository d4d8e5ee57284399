import pytest
import torch

from tests.stacks import model
from vsr_adapter.diffusion import EncodedNoiseStart, ForwardProcess, GaussianStart, NoisedLowResStart, Sampler
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_upscale


@pytest.fixture(scope="module")
def stack():
    return model()


LR = torch.rand(1, 2, 3, 16, 16, generator=torch.Generator().manual_seed(5))


def noise(shape):
    assert shape[1] == 2
    return torch.randn(1, *shape, generator=torch.Generator().manual_seed(6))


def started(stack, start, steps=10):
    scheduler = Sampler(steps=steps).schedule(stack.backbone.capabilities.unet.scheduler_config)
    z, timesteps = start(stack.backbone, LR, 4, scheduler, noise)
    return z, timesteps, scheduler


def test_gaussian_start_is_the_noise(stack):
    z, timesteps, scheduler = started(stack, GaussianStart())
    assert torch.equal(z, noise((4, 2, 16, 16)))
    assert torch.equal(timesteps, scheduler.timesteps)


def test_encoded_noise_is_the_posterior_mode_of_noise_pixels_times_the_scaling_factor(stack):
    z, _, _ = started(stack, EncodedNoiseStart())
    pixels = noise((3, 2, 64, 64)).transpose(1, 2).flatten(0, 1)
    vae = stack.backbone.vae.network
    with torch.no_grad():
        expected = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
    torch.testing.assert_close(z.transpose(1, 2).flatten(0, 1), expected)


def test_low_res_start_noises_the_encoded_bicubic_clip_to_the_chosen_time(stack):
    z, timesteps, scheduler = started(stack, NoisedLowResStart(0.5))
    assert timesteps.max() < 500
    assert torch.equal(timesteps, scheduler.timesteps[scheduler.timesteps < 500])
    unet = stack.backbone.capabilities.unet
    process = ForwardProcess(unet.scheduler_config, unet.prediction_type)
    z_0 = stack.backbone.encode(bicubic_upscale(LR, 4))
    torch.testing.assert_close(z, process.noised(z_0, noise((4, 2, 16, 16)), timesteps[:1]))


def test_less_strength_stays_nearer_to_the_clip(stack):
    z_0 = stack.backbone.encode(bicubic_upscale(LR, 4))
    distances = [(started(stack, NoisedLowResStart(s))[0] - z_0).square().mean() for s in (0.2, 0.5, 1.0)]
    assert distances[0] < distances[1] < distances[2]


def test_impossible_strengths_are_refused(stack):
    with pytest.raises(UserError, match=r"strength 0: .* \(0, 1\]"):
        NoisedLowResStart(0)
    with pytest.raises(UserError, match="no sampling time is that early with 2 steps"):
        started(stack, NoisedLowResStart(0.001), steps=2)
