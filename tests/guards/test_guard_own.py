"""Own keys and values: what the networks are given of them, and that untrained they change nothing."""

from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from tests.guards.door import Run, guards, of, of_class, restored, stack, video, watch
from vsr_adapter.errors import UserError

KIND = "DecoupledCrossAttention"
TILES = {"size": 16, "overlap": 4}


def own(**init_args: Any) -> dict[str, Any]:
    return of_class(f"adapters.{KIND}", **{"frames": 2, "tokens": 100, "in_dim": 64, "own_tokens": 3, **init_args})


def run(frames: Any = None, **settings: Any) -> Run:
    settings = {"adapter": own(), "overlap": 0, "sampler__steps": 1, **settings}
    return restored(video(2) if frames is None else frames, **settings)


@guards(KIND, *(f"{KIND}.{name}" for name in ("frames", "tokens", "in_dim", "own_tokens")))
def test_own_tokens_go_between_an_encoder_and_a_unet_of_other_dimensions_and_the_text_stays():
    vit = timm.create_model("test_vit3")
    unet = stack("tiny_ali_kl", "tiny_ali_kl")
    unet["init_args"]["unet"]["init_args"]["config"]["cross_attention_dim"] = 24
    made = own(frames=3, tokens=vit.patch_embed.num_patches, in_dim=vit.num_features, own_tokens=5)
    with watch(KIND) as calls:
        result = run(
            video(3), adapter=made, encoder=of_class("conditioning.FrozenViT", name="test_vit3"), backbone=unet
        )
    assert result.passes[0].z.shape[2] == 3, "the window is the adapter's frames"
    assert calls[0].inputs[0].shape == (1, 3, vit.patch_embed.num_patches, vit.num_features)
    assert result.passes[0].own.shape == (1, 5, 24)
    assert torch.equal(result.passes[0].own, calls[0].output)
    assert torch.equal(result.passes[0].tokens, torch.zeros(3, 7, 24)[:1].expand_as(result.passes[0].tokens))


@guards(f"{KIND}.tokens", f"{KIND}.in_dim")
@pytest.mark.parametrize("name", ["tokens", "in_dim"])
def test_dimensions_that_are_not_the_encoders_are_refused(name):
    with pytest.raises(UserError, match=rf"adapter.{name} 128: the encoder has .*; set --model.adapter.{name}"):
        run(adapter=own(**{name: 128}))


@guards(f"{KIND}.heads")
@pytest.mark.parametrize("heads", [2, 8])
def test_heads_are_those_of_the_attention_over_the_vits_tokens(heads):
    with watch("MultiheadAttention") as calls:
        run(adapter=own(heads=heads))
    assert {call.module.num_heads for call in calls if isinstance(call.module, nn.MultiheadAttention)} == {heads}
    with pytest.raises(UserError, match=r"^adapter.heads 7: must divide in_dim 64"):
        run(adapter=own(heads=7))


@guards("condition")
def test_off_tells_the_network_nothing_of_the_adapter_and_untrained_nothing_follows_from_what_it_tells():
    on, off = run(), run(condition="off")
    assert on.passes[0].own is not None
    assert off.passes[0].own is None
    assert not of(off.calls, KIND)
    assert np.array_equal(on.frames, off.frames)


@guards("condition")
def test_shuffled_numbers_are_the_same_in_another_order():
    on, shuffled = (run(condition=condition).passes[0].own for condition in ("on", "shuffled"))
    assert not torch.equal(on, shuffled)
    assert torch.equal(on.flatten().sort().values, shuffled.flatten().sort().values)


@guards("guidance_scale")
def test_the_null_branch_of_guidance_is_told_nothing_of_the_adapter():
    null, conditioned = run(guidance_scale=3.0).passes
    assert null.own is None
    assert conditioned.own is not None
    assert torch.equal(null.z, conditioned.z)


@guards("tiles.mode")
@pytest.mark.parametrize("mode", ["blend", "joint"])
def test_each_tile_brings_its_own_at_every_step(mode):
    result = run(video(2, 16, 28), tiles=TILES | {"mode": mode}, sampler__steps=2)
    told = [call.output for call in of(result.calls, KIND)]
    assert len(told) == 2
    assert not torch.allclose(*told)
    order = [0, 1, 0, 1] if mode == "joint" else [0, 0, 1, 1]
    assert len(result.passes) == 4
    assert all(torch.equal(one.own, told[tile]) for one, tile in zip(result.passes, order, strict=True))
