"""Training: what the network is given in `vsr fit`, and the loss that is logged for it, by hand."""

import math

import pytest
import torch
from safetensors.torch import load_file

from tests.clips import real_clips
from tests.guards.door import UPSCALE, Step, V, fitted, guards, of, of_class, restored, trainer_run
from tests.guards.oracles import alpha_bar, assert_standard_normal, correlation, encoded, low_res_noise, scheduler
from vsr_adapter.cli import main

GRID = [float(t) for t in scheduler(3).timesteps]


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Two clips to train on, and one of them to validate on."""
    folder = tmp_path_factory.mktemp("few")
    real_clips(folder / "train", 2, size=32)
    real_clips(folder / "val", 1, size=32)
    return folder


@pytest.fixture(scope="module")
def two_epochs(few):
    return fitted(few, epochs=2, backbone=UPSCALE, noise_level=200)


def training(steps: list[Step], kind: str = "fit") -> list[Step]:
    return [step for step in steps if step.kind == kind]


def by_clip(steps: list[Step], epoch: int) -> dict[str, Step]:
    return {step.name[0]: step for step in training(steps) if step.epoch == epoch}


def noise_of(step: Step, level: int = 200) -> torch.Tensor:
    """Of the low-resolution clip."""
    return low_res_noise(step.passes[0], step.lr.transpose(1, 2) * 2 - 1, level)


def latents_and_noise(step: Step) -> tuple[torch.Tensor, torch.Tensor]:
    """z_0, by diffusers' autoencoder, and the epsilon that z_t was made with."""
    one = step.passes[0]
    z_0, bar = encoded(step.hr.transpose(1, 2) * 2 - 1), alpha_bar(V, one.t)
    return z_0, (one.z - bar.sqrt() * z_0) / (1 - bar).sqrt()


@guards("noise_level")
def test_training_noises_the_low_resolution_clip_to_the_level(two_epochs):
    for step in two_epochs:
        assert_standard_normal(noise_of(step))
    first = by_clip(two_epochs, 0)
    assert len(first) == 2
    assert abs(correlation(*map(noise_of, first.values()))) < 0.1, "each clip has noise of its own"


@guards("seed")
def test_each_epoch_and_clip_has_times_and_noise_of_its_own(two_epochs):
    for name, step in by_clip(two_epochs, 0).items():
        later = by_clip(two_epochs, 1)[name]
        assert torch.equal(later.hr, step.hr)
        assert abs(correlation(noise_of(step), noise_of(later))) < 0.1
        assert abs(correlation(latents_and_noise(step)[1], latents_and_noise(later)[1])) < 0.1
    times = [step.passes[0].t.item() for step in training(two_epochs)]
    assert len(set(times)) == len(times)


@guards("seed")
def test_validation_noise_is_that_of_the_clip_in_every_epoch(two_epochs):
    first, second = training(two_epochs, "val")
    assert (first.epoch, second.epoch) == (0, 1)
    one, other = first.passes[0], second.passes[0]
    assert torch.equal(one.t, other.t)
    assert torch.equal(one.z, other.z)
    assert torch.equal(one.low_res, other.low_res)
    assert not torch.equal(one.tokens, other.tokens), "the adapter has learned"
    of_training = by_clip(two_epochs, 0)[first.name[0]]
    assert abs(correlation(noise_of(first), noise_of(of_training))) < 0.1


@guards("seed")
def test_another_seed_has_other_noise_and_times(two_epochs, few):
    other = fitted(few, backbone=UPSCALE, noise_level=200, seed=1)
    for kind in ("fit", "val"):
        ours, theirs = (training(steps, kind)[0] for steps in (two_epochs, other))
        theirs = next(step for step in training(other, kind) if step.name == ours.name)
        assert torch.equal(ours.hr, theirs.hr)
        assert abs(correlation(noise_of(ours), noise_of(theirs))) < 0.1
        assert abs(correlation(latents_and_noise(ours)[1], latents_and_noise(theirs)[1])) < 0.1
        assert ours.passes[0].t.item() != theirs.passes[0].t.item()


def squared_errors(step: Step) -> tuple[float, float]:
    """Of epsilon and of v, by hand."""
    one, (z_0, epsilon) = step.passes[0], latents_and_noise(step)
    assert_standard_normal(epsilon)
    bar = alpha_bar(V, one.t)
    implied = (1 - bar).sqrt() * one.z + bar.sqrt() * one.prediction
    target = bar.sqrt() * epsilon - (1 - bar).sqrt() * z_0
    return (implied - epsilon).square().mean().item(), (one.prediction - target).square().mean().item()


@guards("objective")
def test_the_objective_is_the_squared_error_of_epsilon_or_of_what_the_network_predicts(two_epochs, few):
    for step in training(two_epochs):
        assert step.logged["train/loss"] == pytest.approx(squared_errors(step)[0], rel=1e-3)
    for step in training(two_epochs, "val"):
        assert step.logged["val/loss"] == pytest.approx(squared_errors(step)[0], rel=1e-3)
    for step in training(fitted(few, backbone=UPSCALE, noise_level=200, objective="prediction")):
        assert step.logged["train/loss"] == pytest.approx(squared_errors(step)[1], rel=1e-3)


def times(steps: list[Step]) -> list[list[float]]:
    return [[one.t.item() for one in step.passes] for step in training(steps)]


@guards("time_steps", "UniformTimeSteps")
def test_uniform_times_are_any_of_the_training_times(few):
    found = times(fitted(few, epochs=4, time_steps=of_class("diffusion.UniformTimeSteps"), sampler__steps=3))
    assert {len(each) for each in found} == {1}
    drawn = [each[0] for each in found]
    assert len(set(drawn)) == len(drawn) == 8
    assert not set(drawn) & set(GRID)
    assert min(drawn) < 500 < max(drawn)


@guards("InferenceGridTimeSteps")
def test_times_of_the_inference_grid_are_those_that_the_sampler_visits(few):
    settings = {"time_steps": of_class("diffusion.InferenceGridTimeSteps"), "sampler__steps": 3}
    found = times(fitted(few, epochs=4, **settings))
    assert {len(each) for each in found} == {1}
    drawn = {each[0] for each in found}
    assert drawn <= set(GRID)
    assert len(drawn) > 1


@guards("WholeGridTimeSteps")
def test_the_whole_grid_is_all_times_that_the_sampler_visits_in_each_step(few):
    whole = {"time_steps": of_class("diffusion.WholeGridTimeSteps"), "sampler__steps": 3}
    steps = fitted(few, **whole)
    assert times(steps) == [GRID, GRID]
    noises = []
    for step in training(steps):
        errors = []
        for i in range(3):
            one = step._replace(passes=step.passes[i : i + 1])
            epsilon = latents_and_noise(one)[1]
            noises.append(epsilon)
            errors.append((step.passes[i].prediction - epsilon).square().mean().item())
        assert step.logged["train/loss"] == pytest.approx(sum(errors) / 3, rel=1e-3)
    assert abs(correlation(noises[0], noises[1])) < 0.1, "each time has noise of its own"


@guards("optimizer", "warmup_steps")
@pytest.mark.parametrize("warmup", [0, 3])
def test_the_optimizer_gets_the_adapters_parameters_and_its_rate_warms_up_and_follows_a_cosine(few, warmup):
    optimizer = {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.5, "momentum": 0.25}}
    steps = training(fitted(few, epochs=4, optimizer=optimizer, warmup_steps=warmup))
    made = steps[0].optimizer
    assert type(made).__name__ == "SGD"
    assert made.param_groups[0]["momentum"] == 0.25
    trained = [p for p in steps[0].module.parameters() if p.requires_grad]
    assert {id(p) for p in made.param_groups[0]["params"]} == {id(p) for p in trained}
    ramp = [0.5 * (i + 1) / (warmup + 1) for i in range(warmup)]
    total = len(steps) - warmup
    cosine = [0.25 * (1 + math.cos(math.pi * i / total)) for i in range(total)]
    assert [step.rates[0] for step in steps] == pytest.approx(ramp + cosine)


@guards("adapter_file", "adapter", "LinearLinear")
def test_an_exported_adapter_is_what_a_run_starts_from(few, tmp_path, two_epochs):
    more = ["--trainer.enable_checkpointing=true", f"--trainer.default_root_dir={tmp_path}"]
    fitted(few, *more)
    checkpoint = next(tmp_path.rglob("*.ckpt"))
    file = tmp_path / "adapter.safetensors"
    assert main(["export", str(checkpoint), str(file)]) == 0
    weights = load_file(file)
    trained = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(weights[name], trained[name]) for name in trained)
    given = of(restored(adapter_file=str(file), sampler__steps=1).calls, "LinearLinear")[0].module.state_dict()
    fresh = of(restored(sampler__steps=1).calls, "LinearLinear")[0].module.state_dict()
    for name, tensor in weights.items():
        assert torch.equal(given[name], tensor)
        assert not torch.equal(fresh[name], tensor)
    for command, data in [("validate", "val"), ("test", "test")]:
        metrics = {"metrics": [of_class("metrics.PSNR")], "sampler__steps": 1} if command == "test" else {}
        step = trainer_run(command, f"--data.{data}={few / 'val'}", adapter_file=str(file), **metrics)[0]
        adapter = next(module for module in step.module.modules() if type(module).__name__ == "LinearLinear")
        assert all(torch.equal(adapter.state_dict()[name], tensor) for name, tensor in weights.items())
