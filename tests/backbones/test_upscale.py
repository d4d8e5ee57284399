"""Upscale-A-Video's networks: published tensors, published keys, and laws at other sizes."""

import gzip
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from vsr_adapter.backbones import UpscaleUNet, VideoVAE
from vsr_adapter.backbones.upscale_a_video.transformer import RelativePositionBias, RotaryEmbedding
from vsr_adapter.errors import UserError

DATA = Path(__file__).parents[1] / "data"
TOLERANCE = 2e-4


def golden(name, network):
    """The network with the golden weights, its inputs and its outputs."""
    config = json.loads((DATA / "golden" / f"{name}.json").read_text())
    built = network.from_config(config).eval()
    weights = load_file(DATA / "golden" / f"{name}.weights.safetensors")
    built.load_state_dict({key: tensor.float() for key, tensor in weights.items()}, strict=True)
    return built, load_file(DATA / "golden" / f"{name}.io.safetensors")


def assert_golden(ours, theirs):
    assert (ours - theirs).abs().max() <= TOLERANCE


@torch.no_grad()
def test_the_unet_gives_the_published_output():
    unet, io = golden("upscale_unet_a", UpscaleUNet)
    output = unet(io["sample"], io["timestep"], io["encoder_hidden_states"], io["low_res"], io["class_labels"])
    assert_golden(output, io["output"])


@torch.no_grad()
@pytest.mark.parametrize("name", ["plain_vae_a", "sft_vae_a"])
def test_the_autoencoders_give_the_published_output(name):
    vae, io = golden(name, VideoVAE)
    mean, logvar = vae.encode_moments(io["pixels"])
    assert_golden(mean, io["moments_mean"])
    assert_golden(logvar, io["moments_logvar"])
    assert_golden(vae.decode(io["latents"], io["low_res"]), io["decoded"])
    if "decoded_w05" in io:
        assert_golden(vae.decode(io["latents"], io["low_res"], sft_weight=0.5), io["decoded_w05"])


@pytest.mark.parametrize(
    ("network", "config", "keys", "parameters"),
    [
        (UpscaleUNet, {}, "upscale_unet", 691_036_436),
        (VideoVAE, {"condition_img": True}, "upscale_vae_sft", 113_776_365),
        (VideoVAE, {}, "upscale_vae_plain", 55_325_927),
    ],
)
def test_the_full_width_networks_have_the_published_tensors(network, config, keys, parameters):
    with torch.device("meta"):
        full = network.from_config(config)
    published = json.loads(gzip.decompress((DATA / "keys" / f"{keys}.json.gz").read_bytes()))
    assert {name: list(tensor.shape) for name, tensor in full.state_dict().items()} == published
    assert sum(p.numel() for p in full.parameters()) == parameters


def test_the_rotary_frequencies_are_one_parameter_that_does_not_train():
    unet = small_unet()
    freqs = [tensor for name, tensor in unet.state_dict().items() if name.endswith("freqs")]
    assert len(freqs) == 1 + sum(name.endswith("attn_temporal") for name, _ in unet.named_modules())
    assert len({tensor.data_ptr() for tensor in freqs}) == 1
    assert not unet.temporal_rotary_emb.freqs.requires_grad


def test_the_epsilons_are_the_published_ones():
    """A golden tensor cannot see them."""
    unet, vae = small_unet(), small_vae(condition_img=True)
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.GroupNorm):
            temporal = "temp_block" in name or "resblock_temporal" in name or name.endswith(".norm")
            assert module.eps == (1e-6 if temporal else 1e-5), name
    assert {m.eps for m in vae.modules() if isinstance(m, torch.nn.GroupNorm)} == {1e-6}


SMALL = {
    "block_out_channels": [64, 64],
    "down_block_types": ["DownBlock3D", "CrossAttnDownBlock3D"],
    "up_block_types": ["CrossAttnUpBlock3D", "UpBlock3D"],
    "only_cross_attention": [True, False],
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "cross_attention_dim": 24,
}
CONFIGS = [
    SMALL,
    {**SMALL, "layers_per_block": 2, "attention_head_dim": 4, "only_cross_attention": False},
    {
        **SMALL,
        "block_out_channels": [32, 64, 96],
        "down_block_types": ["CrossAttnDownBlock3D", "DownBlock3D", "CrossAttnDownBlock3D"],
        "up_block_types": ["CrossAttnUpBlock3D", "UpBlock3D", "CrossAttnUpBlock3D"],
        "only_cross_attention": [True, True, False],
        "attention_head_dim": [1, 2, 3],
        "up_temporal_idx": [0, 2],
    },
    {**SMALL, "down_temporal_idx": [1], "mid_temporal": False, "up_temporal_idx": []},
]


def small_unet(config=SMALL):
    torch.manual_seed(0)
    return UpscaleUNet.from_config(config).eval()


def inputs(batch=1, frames=3, height=8, width=8, seed=0):
    g = torch.Generator().manual_seed(seed)
    z, low = (torch.randn(batch, c, frames, height, width, generator=g) for c in (4, 3))
    return z, torch.full((batch,), 300), torch.randn(batch, 5, 24, generator=g), low, torch.full((batch,), 20)


@torch.no_grad()
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 8, 8), (3, 7, 10), (8, 5, 4)])
def test_other_widths_depths_heads_frames_and_sizes(config, frames, height, width):
    unet = small_unet(config)
    z, t, tokens, low, level = inputs(2, frames, height, width)
    both = unet(z, t, tokens, low, level)
    assert both.shape == z.shape
    assert both.isfinite().all()
    for i in range(2):
        one = slice(i, i + 1)
        torch.testing.assert_close(
            unet(z[one], t[one], tokens[one], low[one], level[one]), both[one], atol=1e-4, rtol=1e-4
        )


@torch.no_grad()
def test_every_input_matters():
    unet = small_unet()
    z, t, tokens, low, level = inputs()
    base = unet(z, t, tokens, low, level)
    for changed in [(z, t + 300, tokens, low, level), (z, t, -tokens, low, level), (z, t, tokens, -low, level)]:
        assert not torch.allclose(unet(*changed), base, atol=1e-4)
    assert not torch.allclose(unet(z, t, tokens, low, level + 100), base, atol=1e-5)
    assert not torch.allclose(unet(z.flip(2), t, tokens, low.flip(2), level).flip(2), base, atol=1e-4), (
        "time has a direction"
    )


def test_rotary_positions_keep_lengths_and_depend_on_distance_alone():
    rotary, x = RotaryEmbedding(), torch.randn(2, 6, 48)
    rotated = rotary(x)
    assert torch.equal(rotated[:, 0], x[:, 0])
    assert torch.equal(rotated[..., 32:], x[..., 32:])
    torch.testing.assert_close(rotated.norm(dim=-1), x.norm(dim=-1))
    q, k = (rotary(torch.randn(48).expand(6, 48)) for _ in range(2))
    products = q @ k.T
    torch.testing.assert_close(products[:-1, :-1], products[1:, 1:], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        rotary(x[..., :16])[..., 0], x[..., 0] * torch.cos(torch.arange(6.0)) - x[..., 1] * torch.sin(torch.arange(6.0))
    )


def test_the_position_bias_is_that_of_transformers_t5():
    from transformers.models.t5.modeling_t5 import T5Attention

    bias = RelativePositionBias(1)
    bias.relative_attention_bias.weight.data = torch.arange(32.0)[:, None]
    position = torch.arange(40)
    expected = T5Attention._relative_position_bucket(position[None] - position[:, None], True, 32, 32)
    assert torch.equal(bias(40)[0], expected.float())


def test_bf16_weights_run():
    unet = small_unet().to(torch.bfloat16)
    z, t, tokens, low, level = inputs()
    output = unet(z, t, tokens, low, level)
    assert output.dtype == torch.float32
    assert (output - small_unet()(z, t, tokens, low, level)).abs().mean() < 0.05


def small_vae(**config):
    torch.manual_seed(0)
    small = {"block_out_channels": [16, 32], "layers_per_block": 1, "norm_num_groups": 8, "condition_channels": 16}
    return VideoVAE.from_config({**small, **config}).eval()


@torch.no_grad()
@pytest.mark.parametrize(
    "config", [{}, {"condition_img": True}, {"block_out_channels": [8, 8, 16, 16]}, {"layers_per_block": 3}]
)
@pytest.mark.parametrize("frames", [1, 5])
def test_autoencoders_of_other_sizes(config, frames):
    vae = small_vae(**config)
    factor = 2 ** (len(vae.config["block_out_channels"]) - 1)
    video = torch.rand(2, 3, frames, 3 * factor, 2 * factor) * 2 - 1
    mean, logvar = vae.encode_moments(video)
    assert mean.shape == logvar.shape == (2, 4, frames, 3, 2)
    assert logvar.min() >= -30
    low = torch.rand(2, 3, frames, 3, 2) if vae.config["condition_img"] else None
    decoded = vae.decode(mean, low)
    assert decoded.shape == video.shape
    torch.testing.assert_close(
        vae.decode(mean[:1], None if low is None else low[:1]), decoded[:1], atol=1e-4, rtol=1e-4
    )


@torch.no_grad()
def test_the_fusion_weight_scales_what_the_clip_adds():
    vae, z, low = small_vae(condition_img=True), torch.randn(1, 4, 2, 4, 4), torch.rand(1, 3, 2, 4, 4)
    assert torch.equal(vae.decode(z, low, sft_weight=0.0), vae.decode(z, -low, sft_weight=0.0))
    assert not torch.allclose(vae.decode(z, low), vae.decode(z, -low), atol=1e-4)


def test_what_does_not_fit_is_refused_in_one_line():
    z, t, tokens, low, level = inputs()
    with pytest.raises(UserError, match=r"low_res of \(3, 8, 7\), latents of \(3, 8, 8\)"):
        small_unet()(z, t, tokens, low[..., :-1], level)
    with pytest.raises(UserError, match=r"noise_level \[351\]: must lie in 0 to 350"):
        small_unet()(z, t, tokens, low, 351)
    vae = small_vae(condition_img=True)
    with pytest.raises(UserError, match="low_res is None: this VAE decodes with the clean low-resolution clip"):
        vae.decode(z)
    with pytest.raises(UserError, match=r"low_res of \(1, 3, 3, 8, 7\), latents of \(1, 4, 3, 8, 8\)"):
        vae.decode(z, low[..., :-1])


@pytest.mark.parametrize(
    ("network", "config", "message"),
    [
        (UpscaleUNet, {"use_linear_projection": False}, "use_linear_projection False: supported is True"),
        (UpscaleUNet, {"block_out_channels": [40, 64]}, "down_block_types"),
        (UpscaleUNet, {**SMALL, "block_out_channels": [48, 64]}, "block_out_channels 48: must be a multiple of"),
        (
            UpscaleUNet,
            {**SMALL, "up_block_types": ["UpBlock2D", "UpBlock3D"]},
            "up_block_types .* use such a checkpoint",
        ),
        (VideoVAE, {"act_fn": "gelu"}, "act_fn gelu: supported is silu"),
        (VideoVAE, {"down_block_types": ["DownEncoderBlock2D"] * 3}, "down_block_types"),
    ],
)
def test_configs_of_another_architecture_are_refused(network, config, message):
    with pytest.raises(UserError, match=message):
        network.from_config(config)


def test_unknown_keys_are_ignored_with_one_warning():
    with pytest.warns(UserWarning, match=r"UpscaleUNet config: ignored one, two") as caught:
        UpscaleUNet.from_config({**SMALL, "_class_name": "X", "_diffusers_version": "0", "two": 2, "one": 1})
    assert len(caught) == 1
