"""Encoder and adapters: their dimensions, weights and arithmetic, as the networks see them."""

import json
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from tests.guards.door import Call, Run, guards, of, of_class, restored, stack, video, watch
from vsr_adapter.errors import UserError

ADAPTERS = ["LinearLinear", "ConstantTokens", "CrossAttentionLinearLinear", "CrossAttentionTransformerLinear"]
ATTENTION = ADAPTERS[2:]
OTHER = "test_vit3"  # of other dimensions than tiny.yaml's
each_adapter = pytest.mark.parametrize("kind", ADAPTERS)


def every(classes: list[str], *arguments: str) -> list[str]:
    return [f"{name}.{argument}" for name in classes for argument in arguments]


def adapter(kind: str, **init_args: Any) -> dict[str, Any]:
    return of_class(f"adapters.{kind}", **{"frames": 2, "tokens": 100, "in_dim": 64, "text_dim": 32, **init_args})


def run(frames: Any = None, **settings: Any) -> Run:
    return restored(video(2) if frames is None else frames, **{"overlap": 0, "sampler__steps": 1, **settings})


def called(kind: str, frames: Any = None, **init_args: Any) -> tuple[Call, list[Call]]:
    """The adapter's call, and those of its layers."""
    layers = ("MultiheadAttention", "TransformerEncoderLayer")
    with watch(kind, *layers) as calls:
        run(frames, adapter=adapter(kind, **init_args))
    return of(calls, kind)[0], [call for call in calls if call.name in layers]


@guards(*ADAPTERS, *every(ADAPTERS, "frames", "tokens", "in_dim", "text_dim"))
@each_adapter
def test_an_adapter_goes_between_an_encoder_and_a_unet_of_other_dimensions(kind):
    vit = timm.create_model(OTHER)
    tokens, width = vit.patch_embed.num_patches, vit.num_features
    assert tokens != 100 or width != 64
    unet = stack("tiny_ali_kl", "tiny_ali_kl")
    unet["init_args"]["unet"]["init_args"]["config"]["cross_attention_dim"] = 24
    made = adapter(kind, frames=3, tokens=tokens, in_dim=width, text_dim=24)
    with watch(kind) as calls:
        result = run(video(3), adapter=made, encoder=of_class("conditioning.FrozenViT", name=OTHER), backbone=unet)
    assert result.passes[0].z.shape[2] == 3, "the window is the adapter's frames"
    assert result.passes[0].tokens.shape == (1, tokens, 24)
    assert calls[0].inputs[0].shape == (1, 3, tokens, width)
    assert torch.equal(result.passes[0].tokens, calls[0].output)


@guards(*every(ADAPTERS, "tokens", "in_dim", "text_dim"))
@each_adapter
@pytest.mark.parametrize("name", ["tokens", "in_dim", "text_dim"])
def test_dimensions_that_are_not_those_of_the_neighbours_are_refused(kind, name):
    with pytest.raises(UserError, match=rf"adapter.{name} 128: the .* has .*; set --model.adapter.{name}"):
        run(adapter=adapter(kind, **{name: 128}))


@guards("LinearLinear", "LinearLinear.activation")
@pytest.mark.parametrize(("activation", "between"), [(None, lambda x: x), ("torch.nn.Tanh", torch.tanh)])
def test_linear_linear_is_a_product_over_the_tokens_of_all_frames_and_two_over_channels(activation, between):
    given = {} if activation is None else {"activation": {"class_path": activation}}
    call, _ = called("LinearLinear", **given)
    features = call.inputs[0]
    weights = call.module.state_dict()
    assert weights["fusion.weight"].shape == (100, 2 * 100)
    fused = torch.einsum("lk,bkd->bld", weights["fusion.weight"], features.flatten(1, 2))
    fused = fused + weights["fusion.bias"][:, None]
    hidden = between(F.linear(fused, weights["mapping.0.weight"], weights["mapping.0.bias"]))
    expected = F.linear(hidden, weights["mapping.2.weight"], weights["mapping.2.bias"])
    torch.testing.assert_close(call.output, expected, atol=1e-5, rtol=1e-4)


@guards("ConstantTokens")
def test_constant_tokens_know_nothing_of_the_clip():
    grey = video(2) * 0 + 0.5
    for kind, equal in [("ConstantTokens", True), ("LinearLinear", False), (ATTENTION[0], False)]:
        assert torch.equal(called(kind)[0].output, called(kind, grey)[0].output) == equal


@guards(*every(ATTENTION, "heads"))
@pytest.mark.parametrize("kind", ATTENTION)
@pytest.mark.parametrize("heads", [2, 8])
def test_heads_are_those_of_all_attention(kind, heads):
    _, layers = called(kind, heads=heads)
    attention = [layer.module.self_attn if hasattr(layer.module, "self_attn") else layer.module for layer in layers]
    assert {one.num_heads for one in attention if isinstance(one, nn.MultiheadAttention)} == {heads}
    with pytest.raises(UserError, match=r"^adapter.heads 7: must divide in_dim 64"):
        run(adapter=adapter(kind, heads=7))


@guards("CrossAttentionTransformerLinear.layers")
@pytest.mark.parametrize("layers", [1, 3])
def test_layers_are_those_of_the_transformer(layers):
    _, calls = called("CrossAttentionTransformerLinear", layers=layers)
    assert len(of(calls, "TransformerEncoderLayer")) == layers


def embedding(name: str, seed: int) -> dict[str, torch.Tensor]:
    """timm's own."""
    torch.manual_seed(seed)
    return timm.create_model(name).patch_embed.state_dict()


def patches(result: Run) -> dict[str, torch.Tensor]:
    return of(result.calls, "PatchEmbed")[0].module.state_dict()


def equal(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@guards("encoder", "FrozenViT", "FrozenViT.name", "FrozenViT.seed")
def test_the_encoder_is_timms_of_that_name_with_random_weights_of_that_seed():
    assert equal(patches(run(encoder__seed=5)), embedding("test_vit", 5))
    assert equal(patches(run()), embedding("test_vit", 0))
    assert not equal(embedding("test_vit", 5), embedding("test_vit", 0))
    vit = timm.create_model(OTHER)
    fits = adapter("LinearLinear", tokens=vit.patch_embed.num_patches, in_dim=vit.num_features)
    assert equal(patches(run(encoder__name=OTHER, adapter=fits)), embedding(OTHER, 0))


@guards("FrozenViT.weights")
def test_the_encoders_weights_are_a_file_or_a_folder_that_says_whose_they_are(tmp_path):
    torch.manual_seed(7)
    state = timm.create_model("test_vit").state_dict()
    (tmp_path / "encoder").mkdir()
    save_file(state, tmp_path / "encoder" / "model.safetensors")
    (tmp_path / "encoder" / "config.json").write_text(json.dumps({"name": "test_vit"}))
    for weights in (tmp_path / "encoder" / "model.safetensors", tmp_path):
        assert equal(patches(run(encoder__weights=str(weights))), embedding("test_vit", 7))
    with pytest.raises(UserError, match=r"a test_vit's, not a test_vit3's; set encoder.name test_vit"):
        run(encoder__weights=str(tmp_path), encoder__name=OTHER, adapter=adapter("LinearLinear", **dimensions()))


def dimensions() -> dict[str, int]:
    vit = timm.create_model(OTHER)
    return {"tokens": vit.patch_embed.num_patches, "in_dim": vit.num_features}
