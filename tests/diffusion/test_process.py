import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from vsr_adapter.backbones.modelscope import MODELSCOPE_SCHEDULER
from vsr_adapter.diffusion import ForwardProcess, epsilon_loss, prediction_loss

CONFIGS = {
    "epsilon": MODELSCOPE_SCHEDULER,
    "v_prediction": {**MODELSCOPE_SCHEDULER, "prediction_type": "v_prediction"},
    "flow_prediction": {"num_train_timesteps": 1000, "shift": 3.0},
}


@pytest.fixture(params=list(CONFIGS))
def process(request):
    return ForwardProcess(CONFIGS[request.param], request.param)


def latents(seed):
    return torch.randn(3, 4, 2, 5, 5, generator=torch.Generator().manual_seed(seed))


INDEX = torch.tensor([0, 400, 999])


def test_signal_to_noise_falls_with_time(process):
    snr = (process.alpha / process.sigma).square()
    assert len(process) == 1000
    assert (snr[1:] < snr[:-1]).all()


def test_variance_is_preserved_or_the_path_is_straight(process):
    if process.prediction_type == "flow_prediction":
        torch.testing.assert_close(process.alpha + process.sigma, torch.ones(1000))
    else:
        torch.testing.assert_close(process.alpha**2 + process.sigma**2, torch.ones(1000))


def test_noising_equals_diffusers():
    z, noise = latents(0), latents(1)
    for kind in ("epsilon", "v_prediction"):
        expected = DDIMScheduler.from_config(CONFIGS[kind]).add_noise(z, noise, INDEX)
        torch.testing.assert_close(ForwardProcess(CONFIGS[kind], kind).noised(z, noise, INDEX), expected)
    flow = FlowMatchEulerDiscreteScheduler.from_config(CONFIGS["flow_prediction"])
    process = ForwardProcess(CONFIGS["flow_prediction"], "flow_prediction")
    expected = flow.scale_noise(z, process.times[INDEX], noise)
    torch.testing.assert_close(process.noised(z, noise, INDEX), expected)


def target(process, z, noise):
    """What a perfect network predicts; v from diffusers."""
    if process.prediction_type == "epsilon":
        return noise
    if process.prediction_type == "v_prediction":
        return DDIMScheduler.from_config(CONFIGS["v_prediction"]).get_velocity(z, noise, INDEX)
    return noise - z


def test_a_perfect_prediction_implies_the_noise_and_costs_nothing(process):
    z, noise = latents(0), latents(1)
    prediction = target(process, z, noise)
    z_t = process.noised(z, noise, INDEX)
    torch.testing.assert_close(process.epsilon(prediction, z_t, INDEX), noise, atol=2e-5, rtol=1e-4)
    loss = epsilon_loss(lambda z_t, t: prediction, process, z, noise, INDEX)
    assert loss.shape == (3,)
    assert loss.max() < 1e-9


def test_the_loss_of_a_v_prediction_is_alpha_bar_times_its_squared_error():
    process = ForwardProcess(CONFIGS["v_prediction"], "v_prediction")
    z, noise, error = latents(0), latents(1), latents(2)
    off = target(process, z, noise) + error
    loss = epsilon_loss(lambda z_t, t: off, process, z, noise, INDEX)
    alpha_bar = DDIMScheduler.from_config(CONFIGS["v_prediction"]).alphas_cumprod[INDEX]
    torch.testing.assert_close(loss, alpha_bar * error.square().flatten(1).mean(1), atol=1e-6, rtol=1e-4)


def test_a_networks_own_loss_is_the_squared_error_of_what_it_predicts(process):
    z, noise, error = latents(0), latents(1), latents(2)
    off = target(process, z, noise) + error
    loss = prediction_loss(lambda z_t, t: off, process, z, noise, INDEX)
    torch.testing.assert_close(loss, error.square().flatten(1).mean(1), atol=1e-5, rtol=1e-4)


def test_at_zero_terminal_snr_the_networks_own_loss_alone_teaches():
    process = ForwardProcess({**CONFIGS["v_prediction"], "rescale_betas_zero_snr": True}, "v_prediction")
    z, noise, last = latents(0), latents(1), torch.full((3,), len(process) - 1)
    assert epsilon_loss(lambda z_t, t: torch.zeros_like(z), process, z, noise, last).max() < 1e-9
    assert prediction_loss(lambda z_t, t: torch.zeros_like(z), process, z, noise, last).min() > 0.1


def test_the_denoiser_is_told_the_times_of_the_training_schedule(process):
    told = []
    epsilon_loss(lambda z_t, t: told.append(t) or z_t, process, latents(0), latents(1), INDEX)
    if process.prediction_type == "flow_prediction":
        assert told[0][-1] == 1000
        assert (told[0][1:] > told[0][:-1]).all()
    else:
        assert told[0].tolist() == INDEX.tolist()


def test_index_inverts_times(process):
    torch.testing.assert_close(process.index(process.times[INDEX]), INDEX)
