"""Schedules of the class that a config names, against diffusers' own numbers."""

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
)

from tests.stacks import backbone, model
from vsr_adapter.backbones import Backbone
from vsr_adapter.backbones.modelscope import MODELSCOPE_SCHEDULER
from vsr_adapter.backbones.wan import WAN_SCHEDULER
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import ForwardProcess, Sampler
from vsr_adapter.errors import UserError
from vsr_adapter.model import VSRModel
from vsr_adapter.sampling import Sampling

# CogVideoX-2b's scheduler/scheduler_config.json
COG = {
    "_class_name": "CogVideoXDDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "beta_end": 0.012, "num_train_timesteps": 1000, "prediction_type": "v_prediction", "clip_sample": False,
    "rescale_betas_zero_snr": True, "set_alpha_to_one": True, "snr_shift_scale": 3.0, "timestep_spacing": "trailing",
}  # fmt: skip
EULER = {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1000, "shift": 3.0}


def test_alpha_bar_is_that_of_the_named_class():
    process = ForwardProcess(COG, "v_prediction")
    assert process.alpha[500].square().item() == pytest.approx(0.095, abs=5e-4)
    z, noise, index = torch.randn(3, 2, 1, 4, 4), torch.randn(3, 2, 1, 4, 4), torch.tensor([0, 500, 999])
    theirs = CogVideoXDDIMScheduler.from_config(COG)
    torch.testing.assert_close(process.noised(z, noise, index), theirs.add_noise(z, noise, index))
    rebuilt = DDIMScheduler.from_config(COG).alphas_cumprod[500].item()
    assert rebuilt == pytest.approx(0.241, abs=5e-4), "what a process of another class would have"


def shifted(sigma, shift=3.0):
    return shift * sigma / (1 + (shift - 1) * sigma)


@pytest.mark.parametrize("config", [WAN_SCHEDULER, EULER])
def test_a_flow_has_the_shift_of_its_config_and_times_that_are_not_whole(config):
    process = ForwardProcess(config, "flow_prediction")
    assert process.sigma[499].item() == pytest.approx(0.75, abs=1e-3)
    straight = torch.linspace(0, 1, 1001)[1:]
    torch.testing.assert_close(process.sigma, shifted(straight), atol=3e-3, rtol=0)
    torch.testing.assert_close(process.times, 1000 * process.sigma)
    torch.testing.assert_close(process.alpha, 1 - process.sigma)
    assert process.times[-1].item() == pytest.approx(1000, abs=1e-2)
    assert (process.times != process.times.round()).float().mean() > 0.9


@pytest.mark.parametrize(
    ("config", "kind"), [(WAN_SCHEDULER, UniPCMultistepScheduler), (EULER, FlowMatchEulerDiscreteScheduler)]
)
def test_a_sampler_visits_the_times_of_training_that_have_its_sigmas(config, kind):
    process, scheduler = ForwardProcess(config, "flow_prediction"), Sampler(steps=7).schedule(config)
    assert type(scheduler) is kind
    visited = process.visited(scheduler)
    assert (visited[1:] < visited[:-1]).all()
    torch.testing.assert_close(process.sigma[visited], scheduler.sigmas[:7].float(), atol=2e-3, rtol=0)


@pytest.mark.parametrize(
    ("config", "kind"), [(MODELSCOPE_SCHEDULER, DDIMScheduler), (COG, CogVideoXDDIMScheduler)]
)  # fmt: skip
def test_without_a_choice_it_is_the_class_that_the_config_names_and_ddim_where_it_names_none(config, kind):
    assert type(Sampler(steps=3).schedule(config)) is kind


def test_a_config_that_names_ddpm_is_sampled_with_its_noise():
    scheduler = Sampler(steps=3).schedule({**MODELSCOPE_SCHEDULER, "_class_name": "DDPMScheduler"})
    drawn = []

    def noise(i):
        drawn.append(i)
        return torch.randn(1, 4, 1, 2, 2)

    Sampler(steps=3).run(lambda z, t: z, torch.randn(1, 4, 1, 2, 2), scheduler, scheduler.timesteps, noise)
    assert drawn == [0, 1, 2]


@pytest.mark.parametrize(("config", "kind"), [(COG, "v_prediction"), (WAN_SCHEDULER, "flow_prediction")])
def test_a_denoiser_that_knows_the_answer_finds_it_by_the_named_class(config, kind):
    answer, process = torch.randn(1, 4, 3, 8, 8), ForwardProcess(config, kind)
    scheduler = Sampler(steps=10).schedule(config)
    left = iter(process.visited(scheduler))

    def perfect(z_t, t):
        alpha, sigma = process.coefficients(next(left).reshape(1), z_t)
        epsilon = (z_t - alpha * answer) / sigma
        return epsilon - answer if process.flow else alpha * epsilon - sigma * answer

    z = Sampler(steps=10).run(perfect, torch.randn_like(answer), scheduler, scheduler.timesteps, torch.zeros)
    assert (z - answer).abs().max() < 0.02


def stack_of(config, sampler=None):
    """A tiny stack with another schedule, not loaded."""
    name = "tiny_wan" if config["_class_name"] in ("UniPCMultistepScheduler", EULER["_class_name"]) else "tiny_ali_kl"
    parts = backbone(name)
    parts.unet.scheduler = config
    return VSRModel(Backbone(parts.unet, parts.vae), FrozenViT("test_vit"), adapter_of(), sampling=Sampling(sampler))


def adapter_of():
    return model().adapter


@pytest.mark.parametrize(
    ("config", "sampler", "said"),
    [
        (
            {**COG, "_class_name": "CogVideoXDPMScheduler"},
            None,
            "step wants old_pred_original_sample and timestep_back",
        ),
        ({**COG, "_class_name": "NoSuchScheduler"}, None, "_class_name NoSuchScheduler: diffusers has no"),
        (COG, Sampler(DDIMScheduler), r"DDIMScheduler: its sigma is 0.87\d in the middle.* trained with 0.95\d; leave"),
        (
            WAN_SCHEDULER,
            Sampler(FlowMatchEulerDiscreteScheduler),
            r"sigma is 0.50\d in the middle.* with 0.75\d; leave",
        ),
        (WAN_SCHEDULER, Sampler(DDIMScheduler), "DDIMScheduler: knows no flow; choose one with use_flow_sigmas"),
        ({**WAN_SCHEDULER, "use_dynamic_shifting": True}, None, "use_dynamic_shifting true: .* set a scheduler config"),
        ({**EULER, "use_dynamic_shifting": True}, None, "use_dynamic_shifting true: .* set a scheduler config"),
    ],
)
def test_what_the_loop_or_training_cannot_follow_is_refused_when_the_stack_is_built(config, sampler, said):
    with pytest.raises(UserError, match=said):
        stack_of(config, sampler)


def test_a_scheduler_whose_step_wants_more_is_refused_where_it_is_chosen():
    with pytest.raises(UserError, match=r"CogVideoXDPMScheduler: its step wants .*timestep_back.* set model.sampling"):
        Sampler(CogVideoXDPMScheduler)


def test_another_class_with_the_options_that_make_it_the_same_schedule_is_taken():
    sampler = Sampler(FlowMatchEulerDiscreteScheduler, options={"shift": 3.0})
    assert stack_of(WAN_SCHEDULER, sampler).sampler is sampler
