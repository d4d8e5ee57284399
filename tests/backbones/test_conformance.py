"""What any backbone must do; a new one is tested by adding its tiny YAML."""

import gzip
import json
from pathlib import Path

import pytest
import torch

from tests.stacks import TINY_BACKBONES, backbone
from vsr_adapter.backbones import Backbone, UNetPart
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import InFloat32
from vsr_adapter.types import Condition

KEYS = Path(__file__).parents[1] / "data" / "keys"


@pytest.fixture(scope="module", params=TINY_BACKBONES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def loaded(name):
    return backbone(name).load()


def inputs(loaded, frames=4, batch=1, seed=0):
    """Latents of `frames` latent frames, times, tokens, low-resolution clip and noise level."""
    generator = torch.Generator().manual_seed(seed)
    size = max(2 * loaded.capabilities.size_multiple, 32)
    unet = loaded.capabilities.unet
    channels, _, height, width = loaded.capabilities.latent_shape(1, size, size)
    z = torch.randn(batch, channels, height, width, generator=generator)
    z = z.unsqueeze(2).repeat(1, 1, frames, 1, 1) + 0.1 * torch.randn(
        batch, unet.latent_channels, frames, *z.shape[2:], generator=generator
    )
    tokens = torch.randn(batch, 5, unet.text_dim, generator=generator)
    low_res = torch.rand(batch, frames, 3, size // 4, size // 4, generator=generator)
    return z, torch.full((batch,), 500), tokens, low_res, torch.full((batch,), 20)


def denoise(loaded, z, t, tokens, low_res, noise_level):
    if not loaded.capabilities.unet.needs_low_res:
        low_res = noise_level = None
    return loaded.denoise(z, t, Condition(tokens, low_res, noise_level))


def test_capabilities_are_known_before_any_weight_is_read(name, loaded):
    fresh = backbone(name)
    assert not list(fresh.parameters())
    capabilities = fresh.capabilities
    assert capabilities == loaded.capabilities
    assert capabilities.size_multiple % capabilities.vae.spatial_factor == 0
    assert capabilities.unet.prediction_type in ("epsilon", "v_prediction", "flow_prediction")
    assert capabilities.unet.native_window > 0
    assert capabilities.unet.scheduler_config["num_train_timesteps"] == 1000


def test_loading_twice_is_loading_once_and_random_weights_depend_on_the_seed_alone(name, loaded):
    before = dict(loaded.named_parameters())
    loaded.load()
    assert all(before[name] is p for name, p in loaded.named_parameters())
    torch.manual_seed(123)
    again = dict(backbone(name).load().named_parameters())
    assert again.keys() == before.keys()
    assert all(torch.equal(p, before[name]) for name, p in again.items())


def test_nothing_trains_and_nothing_leaves_eval_mode(loaded):
    loaded.train()
    assert not any(module.training for module in loaded.modules())
    assert not any(p.requires_grad for p in loaded.parameters())


@torch.no_grad()
def test_shapes_and_ranges(loaded):
    size = max(2 * loaded.capabilities.size_multiple, 32)
    frames = 1 + 2 * loaded.capabilities.vae.length_step
    video = torch.rand(2, frames, 3, size, 2 * size)
    z = loaded.encode(video)
    assert z.shape == (2, *loaded.capabilities.latent_shape(frames, size, 2 * size))
    low_res = torch.rand(2, frames, 3, *z.shape[3:]) if loaded.capabilities.vae.needs_low_res else None
    decoded = loaded.decode(z, low_res)
    assert decoded.shape == video.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    assert torch.equal(z, loaded.encode(video)), "encoding is the posterior's mode: no randomness"


@torch.no_grad()
def test_a_prediction_has_the_shape_of_its_latents_for_any_number_of_tokens_and_frames(loaded):
    for frames in (1, 3):
        z, t, tokens, low_res, level = inputs(loaded, frames)
        for length in (1, 11):
            prediction = denoise(loaded, z, t, tokens[:, :1].repeat(1, length, 1), low_res, level)
            assert prediction.shape == z.shape
            assert prediction.isfinite().all()


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(loaded):
    z, t, tokens, low_res, level = inputs(loaded, batch=2)
    t = torch.tensor([100, 900])
    together = denoise(loaded, z, t, tokens, low_res, level)
    for i in range(2):
        one = slice(i, i + 1)
        alone = denoise(loaded, z[one], t[one], tokens[one], low_res[one], level[one])
        torch.testing.assert_close(together[one], alone, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_prediction_depends_on_time_and_tokens(loaded):
    z, t, tokens, low_res, level = inputs(loaded)
    base = denoise(loaded, z, t, tokens, low_res, level)
    assert not torch.allclose(base, denoise(loaded, z, t - 400, tokens, low_res, level), atol=1e-6)
    assert not torch.allclose(base, denoise(loaded, z, t, -tokens, low_res, level), atol=1e-6)


def test_the_tokens_get_a_gradient_through_the_frozen_unet(loaded):
    z, t, tokens, low_res, level = inputs(loaded)
    tokens.requires_grad_()
    denoise(loaded, z, t, tokens, low_res, level).square().mean().backward()
    assert tokens.grad.abs().sum() > 0


def test_checkpointed_gradients_are_the_plain_ones_with_less_kept(name, loaded):
    fresh = backbone(name)
    fresh.gradient_checkpointing = True
    fresh.load()
    z, t, tokens, low_res, level = inputs(loaded)
    gradients, kept = [], []
    for one in (loaded, fresh):
        leaf = tokens.clone().requires_grad_()
        sizes = []

        def keep(tensor, sizes=sizes):
            sizes.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = denoise(one, z, t, leaf, low_res, level).square().mean()
        loss.backward()
        gradients.append(leaf.grad)
        kept.append(sum(sizes))
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-5)
    assert kept[1] < 0.5 * kept[0]


@torch.no_grad()
def test_null_tokens_are_tokens(loaded):
    unet = loaded.capabilities.unet
    assert loaded.null_tokens.shape == (1, unet.text_length, unet.text_dim)
    z, t, _, low_res, level = inputs(loaded)
    assert denoise(loaded, z, t, loaded.null_tokens, low_res, level).isfinite().all()


def test_sizes_and_tokens_that_do_not_fit_are_refused_with_the_remedy(loaded):
    multiple = loaded.capabilities.size_multiple
    if multiple > 1:
        with pytest.raises(
            UserError, match=rf"video of {multiple + 1}x{multiple}: .* multiples of {multiple}; crop to"
        ):
            loaded.encode(torch.rand(1, 1, 3, multiple, multiple + 1))
    step = loaded.capabilities.vae.length_step
    if step > 1:
        with pytest.raises(UserError, match=rf"frames {step}: .* takes 1 \+ k \* {step} frames; pass 1 or {step + 1}"):
            loaded.encode(torch.rand(1, step, 3, multiple, multiple))
    z, t, tokens, low_res, level = inputs(loaded)
    with pytest.raises(UserError, match=r"tokens of width \d+: the UNet takes \d+; set adapter.text_dim"):
        denoise(loaded, z, t, tokens[..., :-1], low_res, level)
    if loaded.capabilities.unet.needs_low_res:
        with pytest.raises(UserError, match="low_res is None"):
            loaded.denoise(z, t, Condition(tokens))
    if loaded.capabilities.vae.needs_low_res:
        with pytest.raises(UserError, match="low_res is None"):
            loaded.decode(z)


def published(name):
    return json.loads(gzip.decompress((KEYS / f"{name}.json.gz").read_bytes()))


def shapes(network):
    return {key: list(tensor.shape) for key, tensor in network.state_dict().items()}


def test_the_full_width_ali_stack_has_the_published_keys_and_number_of_parameters():
    with torch.device("meta"):
        full = backbone("ali_kl").load()
    assert shapes(full.unet.network) == published("modelscope_unet")
    assert sum(p.numel() for p in full.unet.parameters()) == 1_411_233_860
    assert sum(p.numel() for p in full.vae.parameters()) == 83_653_863
    assert full.capabilities.unet.text_dim == 1024
    assert full.capabilities.size_multiple == 64


def test_the_sd_x4_baseline_has_the_published_keys_and_shapes():
    with torch.device("meta"):
        full = backbone("sdx4").load()
    assert shapes(full.unet.network) == published("sdx4_unet")
    assert shapes(full.vae.network) == published("sdx4_vae")
    assert sum(p.numel() for p in full.unet.parameters()) == 473_398_020


@torch.no_grad()
def test_an_image_model_upscales_each_frame_alone():
    loaded = backbone("tiny_sdx4").load()
    z, t, tokens, low_res, level = inputs(loaded, frames=3)
    together = loaded.denoise(z, t, Condition(tokens, low_res, level))
    for i in range(3):
        alone = loaded.denoise(z[:, :, i : i + 1], t, Condition(tokens, low_res[:, i : i + 1], level))
        torch.testing.assert_close(together[:, :, i : i + 1], alone, atol=1e-5, rtol=1e-5)


class Cholesky(UNetPart):
    """A network whose only operation has no float16 kernel on CPUs."""

    capabilities = backbone("tiny_ali_kl").capabilities.unet

    def build(self):
        self.network = torch.nn.Identity()

    def denoise(self, z_t, t, condition):
        return torch.linalg.cholesky(z_t.half())


def test_a_precision_without_kernels_is_one_line_with_the_remedy():
    loaded = Backbone(Cholesky(), backbone("tiny_ali_kl").vae).load()
    with pytest.raises(UserError, match=r"not implemented for 'Half': .* set precision: bfloat16 or float32"):
        loaded.denoise(torch.ones(1, 4, 1, 2, 2), torch.tensor(1), Condition(torch.ones(1, 1, 32)))


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
@pytest.mark.parametrize("part", ["tiny_upscale_sft", "tiny_ali_kl"])
def test_half_precision_weights_compute_on_any_cpu(part, precision):
    """Whether the kernels are torch's, or float32's in their place."""
    full = backbone(part)
    half = backbone(part)
    half.unet.precision = precision
    z, t, tokens, low_res, level = inputs(full)
    expected = denoise(full.load(), z, t, tokens, low_res, level)
    got = denoise(half.load(), z, t, tokens, low_res, level)
    assert {p.dtype for p in half.unet.parameters()} == {getattr(torch, precision)}
    torch.testing.assert_close(got, expected, atol=0.15 * float(expected.std()), rtol=0)


@torch.no_grad()
def test_float32_kernels_stand_in_for_missing_ones():
    layer = torch.nn.Conv2d(3, 4, 3).half()
    image = torch.randn(1, 3, 8, 8).half()
    with InFloat32():
        got = layer(image)
    expected = torch.nn.functional.conv2d(image.float(), layer.weight.float(), layer.bias.float())
    assert torch.equal(got, expected.half())
