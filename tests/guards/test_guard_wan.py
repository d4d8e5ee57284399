"""Arguments of Wan's halves: which network is built, of which weights, and how it is called."""

import json
import warnings
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from torch import nn

from tests.guards.door import Call, guards, of, piece, restored, video, watch
from tests.stacks import backbone
from vsr_adapter.backbones.wan import WAN_SCHEDULER

NETWORKS = {"unet": "WanTransformer3DModel", "vae": "WanDecoder3d"}
PARTS = {"unet": "WanTransformerPart", "vae": "WanVAE"}
each_half = pytest.mark.parametrize("half", NETWORKS)


def both(*arguments: str) -> list[str]:
    return [f"{part}.{argument}" for part in PARTS.values() for argument in arguments]


def calls_with(half: str = "unet", more: dict[str, Any] | None = None, **init_args: Any) -> list[Call]:
    """Of both networks, in five frames."""
    config = piece("tiny_wan")
    # said, as jsonargparse keeps what tiny.yaml says of it
    config["init_args"]["unet"]["init_args"]["latent_factor"] = 8
    config["init_args"][half]["init_args"] |= init_args
    with watch(*NETWORKS.values()) as calls:
        settings = {"window": 5, "overlap": 1, "sampler__steps": 1, "backbone": config, **(more or {})}
        run = restored(video(5), **settings)
    assert run.frames.shape == (5, 64, 64, 3)
    return calls


def network(calls: list[Call], half: str) -> nn.Module:
    return of(calls, NETWORKS[half])[0].module


def same(module: nn.Module, other: nn.Module) -> bool:
    ours, theirs = module.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def config_of(half: str) -> dict[str, Any]:
    return piece("tiny_wan")["init_args"][half]["init_args"]["config"]


@guards(*PARTS.values(), *both("seed", "config"))
@each_half
def test_random_weights_are_those_of_the_seed_and_the_config(half):
    config = {**config_of(half), **({"num_layers": 1} if half == "unet" else {"num_res_blocks": 2})}
    torch.manual_seed(7)
    made = (WanTransformer3DModel if half == "unet" else AutoencoderKLWan).from_config(config)
    found = network(calls_with(half, config=config, seed=7), half)
    assert same(found, made if half == "unet" else made.decoder)


@guards(*both("source"))
@each_half
def test_a_source_has_the_weights_and_the_config(half, tmp_path):
    parts = backbone("tiny_wan")
    for part in (parts.unet, parts.vae):
        part.seed = 3
    parts.load()
    parts.unet.network.save_pretrained(tmp_path / "wan" / "transformer")
    parts.vae.network.save_pretrained(tmp_path / "wan" / "vae")
    (tmp_path / "wan" / "scheduler").mkdir()
    (tmp_path / "wan" / "scheduler" / "scheduler_config.json").write_text(json.dumps(WAN_SCHEDULER))
    found = network(calls_with(half, source=str(tmp_path / "wan"), config=None), half)
    assert same(found, parts.unet.network if half == "unet" else parts.vae.network.decoder)


@guards("WanTransformerPart.scheduler")
def test_the_schedule_has_the_shift_of_its_config():
    schedule = {**WAN_SCHEDULER, "flow_shift": 7.0}
    calls = of(calls_with(scheduler=schedule, more={"sampler__steps": 4}), "WanTransformer3DModel")
    told = [call.inputs[1].item() for call in calls]
    theirs = UniPCMultistepScheduler.from_config(schedule)
    theirs.set_timesteps(4)
    assert told == theirs.timesteps.tolist()


@guards("WanTransformerPart.text_length")
def test_the_null_tokens_of_random_weights_are_as_many_as_the_text_has():
    calls = calls_with(text_length=5, more={"condition": "off"})
    assert of(calls, "WanTransformer3DModel")[0].inputs[2].shape == (1, 5, 32)


@guards("WanTransformerPart.latent_factor")
def test_a_vae_of_another_factor_than_the_transformer_was_trained_on_is_said():
    with pytest.warns(UserWarning, match="WanTransformerPart was trained on f16 latents, WanVAE gives f8"):
        calls_with(latent_factor=16)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "latent mismatch")
        calls_with()


@guards(*both("precision"))
@each_half
def test_the_precision_is_that_of_the_weights_but_of_those_that_stay_whole(half):
    calls = calls_with(half, precision="bfloat16")
    whole = WanTransformer3DModel._keep_in_fp32_modules if half == "unet" else []
    for name, parameter in network(calls, half).named_parameters():
        kept = any(part in name for part in whole)
        assert parameter.dtype == (torch.float32 if kept else torch.bfloat16), name
    other = network(calls, "vae" if half == "unet" else "unet")
    assert {parameter.dtype for parameter in other.parameters()} == {torch.float32}
