"""Our loop against diffusers' own pipeline, and against what is known of an ideal denoiser."""

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    TextToVideoSDPipeline,
)

from tests.stacks import backbone
from vsr_adapter.diffusion import ConditionedDenoiser, ForwardProcess, GuidedDenoiser, Sampler
from vsr_adapter.errors import UserError
from vsr_adapter.types import Condition

SHAPE = (1, 4, 3, 8, 8)


@pytest.fixture(scope="module")
def ali():
    return backbone().load()


def noise(seed=0):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def tokens(ali, seed=1):
    return torch.randn(1, 7, ali.capabilities.unet.text_dim, generator=torch.Generator().manual_seed(seed))


def pipeline(ali, scheduler, **call):
    """Latents of diffusers' own text-to-video pipeline on the same network."""
    pipe = TextToVideoSDPipeline(
        vae=ali.vae.network, text_encoder=None, tokenizer=None, unet=ali.unet.network, scheduler=scheduler
    )
    pipe.set_progress_bar_config(disable=True)
    factor = pipe.vae_scale_factor
    return pipe(height=8 * factor, width=8 * factor, num_frames=3, latents=noise(), output_type="latent", **call).frames


def ours(ali, sampler, denoiser, step_noise=lambda i: torch.zeros(SHAPE)):
    scheduler = sampler.schedule(ali.capabilities.unet.scheduler_config)
    return sampler.run(denoiser, noise() * scheduler.init_noise_sigma, scheduler, scheduler.timesteps, step_noise)


@pytest.mark.parametrize("scheduler", [DDIMScheduler, DPMSolverMultistepScheduler])
def test_our_loop_is_the_pipelines(ali, scheduler):
    theirs = pipeline(
        ali,
        scheduler.from_config(ali.capabilities.unet.scheduler_config),
        num_inference_steps=30,
        prompt_embeds=tokens(ali),
        guidance_scale=1.0,
    )
    z = ours(ali, Sampler(scheduler, 30), ConditionedDenoiser(ali, Condition(tokens(ali))))
    assert (z - theirs).abs().max() <= 1e-5


def test_our_guided_loop_is_the_pipelines(ali):
    theirs = pipeline(
        ali,
        DDIMScheduler.from_config(ali.capabilities.unet.scheduler_config),
        num_inference_steps=5,
        prompt_embeds=tokens(ali),
        negative_prompt_embeds=tokens(ali, 2),
        guidance_scale=6.0,
    )
    conditioned = ConditionedDenoiser(ali, Condition(tokens(ali)))
    guided = GuidedDenoiser(conditioned, conditioned._replace(condition=Condition(tokens(ali, 2))), 6.0)
    z = ours(ali, Sampler(steps=5), guided)
    assert (z - theirs).abs().max() <= 1e-5 * max(1, theirs.abs().max())


def test_guidance_of_one_is_the_condition_and_of_zero_the_null(ali):
    conditioned = ConditionedDenoiser(ali, Condition(tokens(ali)))
    null = conditioned._replace(condition=Condition(ali.null_tokens))
    z, t = noise(), torch.tensor(500)
    with torch.no_grad():
        torch.testing.assert_close(GuidedDenoiser(conditioned, null, 1.0)(z, t), conditioned(z, t))
        torch.testing.assert_close(GuidedDenoiser(conditioned, null, 0.0)(z, t), null(z, t))
        assert not torch.allclose(conditioned(z, t), null(z, t), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("epsilon", {"beta_schedule": "scaled_linear", "prediction_type": "epsilon", "clip_sample": False}),
        ("v_prediction", {"beta_schedule": "scaled_linear", "prediction_type": "v_prediction", "clip_sample": False}),
        ("flow_prediction", {"num_train_timesteps": 1000}),
    ],
)
def test_a_denoiser_that_knows_the_answer_finds_it(kind, config):
    answer, process = noise(3), ForwardProcess(config, kind)

    def perfect(z_t, t):
        alpha, sigma = process.coefficients(process.index(t.reshape(1)), z_t)
        epsilon = (z_t - alpha * answer) / sigma
        return {
            "epsilon": epsilon,
            "v_prediction": alpha * epsilon - sigma * answer,
            "flow_prediction": epsilon - answer,
        }[kind]

    kinds = (
        [FlowMatchEulerDiscreteScheduler] if kind == "flow_prediction" else [DDIMScheduler, DPMSolverMultistepScheduler]
    )
    for scheduler_class in kinds:
        sampler = Sampler(scheduler_class, 10)
        scheduler = sampler.schedule(config)
        z = sampler.run(perfect, noise(), scheduler, scheduler.timesteps, lambda i: torch.zeros(SHAPE))
        assert (z - answer).abs().max() < 0.05


def test_ddpm_is_diffusers_ddpm(ali):
    """DDPM runs as DDIM with eta 1; the oracle is DDPMScheduler, its own noise replaced by ours in each step."""
    drawn = [noise(10 + i) for i in range(4)]
    sampler = Sampler(DDPMScheduler, 4, options={"set_alpha_to_one": True})  # as DDPMScheduler ends
    z = ours(ali, sampler, ConditionedDenoiser(ali, Condition(tokens(ali))), lambda i: drawn[i])
    scheduler = DDPMScheduler.from_config(ali.capabilities.unet.scheduler_config)
    scheduler.set_timesteps(4)
    expected = noise()
    with torch.no_grad():
        for i, t in enumerate(scheduler.timesteps):
            epsilon = ali.denoise(expected, t, Condition(tokens(ali)))
            stepped = scheduler.step(epsilon, t, expected, generator=torch.Generator().manual_seed(0)).prev_sample
            if t > 0:
                std = scheduler._get_variance(t).sqrt()
                stepped += std * (drawn[i] - torch.randn(SHAPE, generator=torch.Generator().manual_seed(0)))
            expected = stepped
    torch.testing.assert_close(z, expected, atol=1e-4, rtol=1e-4)


def test_stochastic_samplers_take_their_noise_from_outside(ali):
    denoiser = ConditionedDenoiser(ali, Condition(tokens(ali)))
    sampler = Sampler(eta=1.0, steps=3)
    first, again, other = (ours(ali, sampler, denoiser, lambda i, s=seed: noise(s + i)) for seed in (10, 10, 20))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_wrong_settings_are_refused():
    with pytest.raises(UserError, match=r"steps 0: .* at least 1"):
        Sampler(steps=0)
    with pytest.raises(UserError, match=r"eta 2: .* \[0, 1\]"):
        Sampler(eta=2)
    with pytest.raises(UserError, match=r"steps 1001: the backbone has 1000"):
        Sampler(steps=1001).schedule({"num_train_timesteps": 1000})
