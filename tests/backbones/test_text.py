"""Null tokens and prompts, by a tiny CLIP text encoder beside the weights."""

from dataclasses import replace

import pytest
import torch

from tests.backbones.test_upscale import SMALL
from tests.published import add_text_encoder, error, publish
from vsr_adapter.backbones import Backbone, UpscaleUNetPart, VideoVAEPart
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import GuidedDenoiser
from vsr_adapter.model import VSRModel
from vsr_adapter.sampling import Sampling


@torch.no_grad()
def empty_prompt(encoder):
    """What it makes of the begin of a text, then its end, which also pads."""
    return encoder(torch.tensor([[0, 1, 1, 1, 1, 1, 1]])).last_hidden_state


def test_null_tokens_are_the_encoded_empty_prompt_and_are_kept_beside_the_weights(tmp_path):
    publish(tmp_path)
    encoder = add_text_encoder(tmp_path)
    backbone = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    torch.testing.assert_close(backbone.null_tokens, empty_prompt(encoder))
    assert (tmp_path / "null_tokens.safetensors").is_file()
    for name in ("text_encoder", "tokenizer"):
        (tmp_path / name).rename(tmp_path / f"no_{name}")
    again = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    assert torch.equal(again.null_tokens, backbone.null_tokens)


def test_without_a_text_encoder_the_null_tokens_are_zeros_and_that_is_said(tmp_path):
    publish(tmp_path)
    with pytest.warns(UserWarning, match="no text_encoder/ and tokenizer/ beside it, so the null tokens are zeros"):
        backbone = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    assert torch.equal(backbone.null_tokens, torch.zeros(1, 77, 24))


def text_stack(folder, **settings):
    """A published folder with a text encoder, as a whole model."""
    backbone = Backbone(UpscaleUNetPart(str(folder)), VideoVAEPart(str(folder)))
    return VSRModel(backbone, FrozenViT("test_vit"), sampling=Sampling(**settings)).load()


@torch.no_grad()
def test_a_prompt_follows_the_adapters_tokens_and_a_negative_one_is_what_guidance_leaves(tmp_path):
    publish(tmp_path)
    encoder = add_text_encoder(tmp_path)
    ab, b = (encoder(torch.tensor([[0, *ids, 1, 1, 1, 1]])).last_hidden_state for ids in ([2, 29], [29, 1]))
    lr = torch.rand(2, 8, 3, 8, 8)
    torch.manual_seed(0)
    plain = text_stack(tmp_path)
    torch.manual_seed(0)
    told = text_stack(tmp_path, prompt="ab", negative_prompt="b", guidance_scale=2.0)
    tokens = told.condition(lr, lr).tokens
    torch.testing.assert_close(tokens[:, :100], plain.condition(lr, lr).tokens)
    torch.testing.assert_close(tokens[:, 100:], ab.expand(2, -1, -1))
    guided = told.guided(told.condition(lr, torch.randn_like(lr)))
    assert isinstance(guided, GuidedDenoiser)
    torch.testing.assert_close(guided.null.condition.tokens, b.expand(2, -1, -1))
    for stack in (told, plain):
        stack.sampling = replace(stack.sampling, condition="off")
    torch.testing.assert_close(told.condition(lr, lr).tokens, ab.expand(2, -1, -1))
    torch.testing.assert_close(plain.condition(lr, lr).tokens, empty_prompt(encoder).expand(2, -1, -1))


def test_prompts_that_cannot_be_used_are_refused(tmp_path):
    publish(tmp_path)
    assert "random weights have no text encoder" in error(lambda: UpscaleUNetPart(config=SMALL).prompt_tokens("ab"))
    assert "has no text_encoder/" in error(lambda: UpscaleUNetPart(str(tmp_path)).prompt_tokens("ab"))
    add_text_encoder(tmp_path)
    assert "10 tokens, the text encoder reads 7" in error(lambda: UpscaleUNetPart(str(tmp_path)).prompt_tokens("a" * 8))
    assert "does nothing at guidance_scale 1" in error(lambda: text_stack(tmp_path, negative_prompt="b"))


def test_another_networks_text_encoder_is_refused(tmp_path):
    publish(tmp_path)
    add_text_encoder(tmp_path, dim=16)
    assert "gives tokens of width 16, the UNet takes 24" in error(lambda: UpscaleUNetPart(str(tmp_path)).null_tokens())


def test_a_hub_id_with_a_revision_loads_with_its_null_tokens(hub):
    unet = publish(hub)
    encoder = add_text_encoder(hub)
    where = {"source": "lab/upscaler", "revision": "v1"}
    loaded = Backbone(UpscaleUNetPart(**where), VideoVAEPart(**where)).load()
    state = loaded.unet.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in unet.state_dict().items())
    torch.testing.assert_close(loaded.null_tokens, empty_prompt(encoder))
    assert (hub / "null_tokens.safetensors").is_file()
    assert loaded.unet.prompt_tokens("ab").shape == (1, 7, 24)
    other = {**where, "revision": "v2"}
    assert "is not on disk, and the Hub cannot be reached" in error(lambda: UpscaleUNetPart(**other))
