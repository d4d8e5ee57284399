from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from vsr_adapter.adapters import (
    Adapter,
    ConstantTokens,
    CrossAttentionLinearLinear,
    CrossAttentionTransformerLinear,
    LinearLinear,
)
from vsr_adapter.adapters.files import load_adapter
from vsr_adapter.errors import UserError

DATA = Path(__file__).parents[1] / "data" / "adapters"
MORE = {CrossAttentionLinearLinear: {"heads": 2}, CrossAttentionTransformerLinear: {"heads": 2, "layers": 1}}

LOOKING = [LinearLinear, CrossAttentionTransformerLinear, CrossAttentionLinearLinear]
ALL = [*LOOKING, ConstantTokens]


def small(kind: type[Adapter], **settings) -> Adapter:
    torch.manual_seed(0)
    return kind(frames=4, tokens=9, in_dim=16, text_dim=12, **settings)


def test_the_default_has_the_thesis_number_of_parameters():
    parameters = {name: p.numel() for name, p in LinearLinear().named_parameters()}
    assert parameters["fusion.weight"] + parameters["fusion.bias"] == 307_524
    assert sum(parameters.values()) == 2_144_580


@pytest.mark.parametrize("kind", ALL)
def test_defaults_are_the_thesis_sizes(kind):
    adapter = kind()
    assert (adapter.frames, adapter.tokens, adapter.in_dim, adapter.text_dim) == (8, 196, 768, 1024)
    assert adapter(torch.randn(1, 8, 196, 768)).shape == (1, 196, 1024)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("frames", [1, 2, 4, 8, 90])
def test_any_number_of_frames(kind, frames):
    tokens = small(kind)(torch.randn(2, frames, 9, 16))
    assert tokens.shape == (2, 9, 12)
    assert tokens.isfinite().all()


@pytest.mark.parametrize("kind", ALL)
def test_clips_of_a_batch_do_not_mix(kind):
    adapter, features = small(kind).eval(), torch.randn(3, 4, 9, 16)
    together = adapter(features)
    alone = torch.cat([adapter(one[None]) for one in features])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ALL)
def test_every_parameter_gets_a_gradient(kind):
    adapter = small(kind)
    adapter(torch.randn(1, 4, 9, 16)).square().sum().backward()
    # the bias of attention's keys shifts all scores of a query alike, and so never matters
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in adapter.parameters())


@pytest.mark.parametrize("kind", LOOKING)
def test_frames_in_another_order_are_another_clip(kind):
    adapter, features = small(kind).eval(), torch.randn(1, 4, 9, 16)
    assert not torch.allclose(adapter(features), adapter(features.flip(1)), atol=1e-4)


def test_constant_tokens_know_nothing_of_the_clip():
    adapter = small(ConstantTokens)
    first, second = (adapter(torch.randn(1, frames, 9, 16)) for frames in (4, 2))
    assert torch.equal(first, second)


def test_linear_linear_is_one_linear_over_tokens_and_two_over_channels():
    adapter, features = small(LinearLinear), torch.randn(2, 4, 9, 16)
    frame_major = features.reshape(2, 4 * 9, 16)
    fused = torch.einsum("ln,bnd->bld", adapter.fusion.weight, frame_major) + adapter.fusion.bias[:, None]
    expected = adapter.mapping[2](adapter.mapping[0](fused))
    torch.testing.assert_close(adapter(features), expected, atol=1e-5, rtol=1e-5)


def test_the_fusion_weight_is_resampled_over_time():
    adapter = small(LinearLinear)
    assert adapter.fusion_weight(4) is adapter.fusion.weight
    weight = adapter.fusion.weight.view(9, 4, 9)
    for length in (1, 2, 7, 8):
        ours = adapter.fusion_weight(length).view(9, length, 9)
        for query, token in [(0, 0), (3, 8)]:
            curve = F.interpolate(weight[query, :, token][None, None], size=length, mode="linear")[0, 0]
            torch.testing.assert_close(ours[query, :, token], curve * 4 / length)


def test_twice_the_frames_of_a_still_clip_give_the_same_tokens():
    adapter, frame = small(LinearLinear), torch.randn(1, 1, 9, 16)
    torch.testing.assert_close(
        adapter(frame.expand(-1, 4, -1, -1)), adapter(frame.expand(-1, 8, -1, -1)), atol=1e-5, rtol=1e-5
    )


def test_an_activation_can_stand_between_the_mapping_layers():
    plain, active = small(LinearLinear), small(LinearLinear, activation=nn.GELU())
    features = torch.randn(1, 4, 9, 16)
    assert not torch.allclose(plain(features), active(features))


@pytest.mark.parametrize("kind", ALL)
def test_features_of_another_encoder_are_refused(kind):
    with pytest.raises(UserError, match=r"features of 10 tokens x 16: the adapter takes 9 x 16; set"):
        small(kind)(torch.randn(1, 4, 10, 16))


def test_impossible_sizes_are_refused():
    with pytest.raises(UserError, match=r"adapter.frames 0: must be positive"):
        LinearLinear(frames=0)
    with pytest.raises(UserError, match=r"adapter.heads 5: must divide in_dim 768"):
        CrossAttentionLinearLinear(heads=5)


@torch.no_grad()
@pytest.mark.parametrize("kind", ALL)
def test_adapters_that_were_exported_before_give_what_they_gave(kind):
    """To rounding; on the machine that wrote them, to the bit."""
    known = load_file(DATA / "outputs.safetensors")
    loaded = kind(2, 4, 8, 6, **MORE.get(kind, {}))
    assert load_adapter(loaded, DATA / f"{kind.__name__}.safetensors") == {"step": 1}
    torch.testing.assert_close(loaded.tell(known["features"]).tokens, known[kind.__name__], atol=1e-6, rtol=1e-6)
