"""Adapters that add to a frozen network: attached and untrained = not attached, detached = before, bit for bit; and
nothing of a clip stays between calls."""

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import pytest
import torch

from tests.stacks import backbone, model, one_of_each_denoiser
from vsr_adapter.adapters import DecoupledCrossAttention, LinearLinear
from vsr_adapter.backbones import Backbone
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import fingerprint
from vsr_adapter.types import Condition

FRAMES, OWN = 5, 4  # 5 fit every backbone
EACH = one_of_each_denoiser()


def adapter() -> DecoupledCrossAttention:
    torch.manual_seed(0)
    return DecoupledCrossAttention(FRAMES, 100, 64, OWN)


def trained(unet) -> DecoupledCrossAttention:
    """As after training: values that are not zero."""
    made = adapter()
    made.fit_to(unet)
    with torch.no_grad():
        for layer in made.layers.values():
            layer.to_v.weight.normal_(0, 0.5)
    return made


@pytest.fixture(scope="module", params=EACH)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def loaded(name):
    return backbone(name).load()


def call(loaded: Backbone, seed: int = 0, batch: int = 1, own: torch.Tensor | None = None):
    """Arguments of `denoise` for the smallest size but one."""
    numbers = torch.Generator().manual_seed(seed)
    size = max(2 * loaded.capabilities.size_multiple, 32)
    z = torch.randn(batch, *loaded.capabilities.latent_shape(FRAMES, size, size), generator=numbers)
    tokens = torch.randn(batch, 5, loaded.capabilities.unet.text_dim, generator=numbers)
    low_res = torch.rand(batch, FRAMES, 3, size // 4, size // 4, generator=numbers)
    level = torch.full((batch,), 20)
    if not loaded.capabilities.unet.needs_low_res:
        low_res = level = None
    return z, torch.full((batch,), 500), Condition(tokens, low_res, level, own)


def own_tokens(loaded: Backbone, seed: int, batch: int = 1) -> torch.Tensor:
    return torch.randn(batch, OWN, loaded.unet.own_dim, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def attached(loaded):
    """The backbone with a trained adapter; taken off afterwards."""
    made = trained(loaded.unet)
    made.attach(loaded.unet)
    yield made
    made.detach(loaded.unet)


def processors(network):
    return {name: one.processor for name, one in network.named_modules() if hasattr(one, "processor")}


@torch.no_grad()
def test_attached_and_untrained_is_not_attached_and_detached_is_before(loaded):
    before, print_before, here = loaded.denoise(*call(loaded)), fingerprint(loaded), processors(loaded.unet.network)
    names, keys = [name for name, _ in loaded.named_parameters()], list(loaded.state_dict())
    modules = [name for name, _ in loaded.named_modules()]
    own = own_tokens(loaded, 0)
    untrained = adapter()
    untrained.fit_to(loaded.unet)
    untrained.attach(loaded.unet)
    untrained.attach(loaded.unet)
    assert torch.equal(loaded.denoise(*call(loaded, own=own)), before)
    assert torch.equal(loaded.denoise(*call(loaded)), before), "and told nothing"
    assert fingerprint(loaded) == print_before
    assert [name for name, _ in loaded.named_parameters()] == names
    assert [name for name, _ in loaded.named_modules()] == modules
    for layer in untrained.layers.values():
        layer.to_v.weight.normal_(0, 0.5)
    moved = loaded.denoise(*call(loaded, own=own))
    assert not torch.allclose(moved, before, atol=1e-4)
    assert torch.equal(loaded.denoise(*call(loaded)), before), "told nothing, it hears nothing"
    untrained.detach(loaded.unet)
    untrained.detach(loaded.unet)
    assert torch.equal(loaded.denoise(*call(loaded)), before)
    assert processors(loaded.unet.network) == here
    assert list(loaded.state_dict()) == keys
    assert not hasattr(loaded.unet.network, "condition_embedder") or (
        loaded.unet.network.condition_embedder.image_embedder is None
    )


@torch.no_grad()
def test_token_adapters_are_heard_without_being_attached(loaded):
    here = processors(loaded.unet.network)
    tokens = LinearLinear(FRAMES, 100, 64, loaded.capabilities.unet.text_dim)
    tokens.fit_to(loaded.unet)
    tokens.attach(loaded.unet)
    assert processors(loaded.unet.network) == here
    tokens.detach(loaded.unet)
    assert processors(loaded.unet.network) == here


def reference(attention, hidden, own, layer, text):
    """Eq. 5 of IP-Adapter, head by head, with plain matrices; one clip of one row."""
    query, found = attention.to_q(hidden), []
    pairs = [(attention.to_k(text), attention.to_v(text)), (own @ layer.to_k.weight.T, own @ layer.to_v.weight.T)]
    if attention.norm_q is not None:
        query = attention.norm_q(query)
        pairs = [(attention.norm_k(k), v) for k, v in pairs]
    width = query.shape[-1] // attention.heads
    for head in range(attention.heads):
        part = slice(head * width, (head + 1) * width)
        scores = [query[..., part] @ k[..., part].transpose(1, 2) / width**0.5 for k, _ in pairs]
        found.append(sum(s.softmax(-1) @ v[..., part] for s, (_, v) in zip(scores, pairs, strict=True)))
    return attention.to_out[0](torch.cat(found, -1))


@torch.no_grad()
def test_every_cross_attention_adds_attention_to_its_own_keys_and_values(loaded, attached):
    """The oracle: matrices, on what each attention saw; two clips, so that frames of one do not hear the other's."""
    heard = {}
    attentions = loaded.unet.attentions()
    assert attentions
    assert attentions.keys() == attached.widths.keys()
    hooks = [
        one.register_forward_hook(lambda one, a, k, out, name=name: heard.update({name: (a, k, out)}), with_kwargs=True)
        for name, one in attentions.items()
    ]
    own = own_tokens(loaded, 1, 2)
    loaded.denoise(*call(loaded, batch=2, own=own))
    for hook in hooks:
        hook.remove()
    assert heard.keys() == attentions.keys()
    for name, (inputs, named, out) in heard.items():
        hidden = inputs[0]
        text = named["encoder_hidden_states"] if "encoder_hidden_states" in named else inputs[1]
        for clip in range(2):
            rows = hidden.shape[0] // 2
            layer, row = attached.layers[name.replace(".", "/")], clip * rows + rows // 2
            brought, said = own[clip : clip + 1], text[clip * len(text) // 2][None]
            if text.shape[1] > 5:  # Wan's network hands both over as one sequence
                brought, said = text[clip : clip + 1].split([OWN, text.shape[1] - OWN], 1)
            expected = reference(attentions[name], hidden[row : row + 1], brought, layer, said)
            torch.testing.assert_close(out[row : row + 1], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_two_clips_through_one_network_in_threads_are_each_alone(loaded, attached):
    owns = [own_tokens(loaded, seed) for seed in range(2)] + [None]
    calls = [call(loaded, seed, own=own) for seed, own in enumerate(owns)]
    alone = [loaded.denoise(*one) for one in calls]
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            together = list(pool.map(lambda one: loaded.denoise(*one), calls))
            assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


@torch.no_grad()
def test_clips_of_a_batch_do_not_mix(loaded, attached):
    own = own_tokens(loaded, 0, 2)
    z, t, told = call(loaded, batch=2, own=own)
    together = loaded.denoise(z, t, told)
    for i in range(2):
        one = slice(i, i + 1)
        alone = loaded.denoise(z[one], t[one], Condition(*(x if x is None else x[one] for x in told)))
        torch.testing.assert_close(together[one], alone, atol=1e-4, rtol=1e-4)


def gradients(loaded, made, conditions):
    """Of what each call alone asks, after all calls went forward."""
    losses = [loaded.denoise(*one).square().mean() for one in conditions]
    found = []
    for loss in losses:
        made.zero_grad()
        loss.backward()
        found.append([p.grad.clone() for p in made.layers.parameters()])
    return found


def test_recomputed_activations_are_those_of_their_own_clip(name, loaded):
    """Gradient checkpointing computes a clip's activations again when the other clip has gone through since."""
    fresh = backbone(name)
    fresh.gradient_checkpointing = True
    fresh.load()
    made = trained(loaded.unet)
    calls = [call(loaded, seed, own=own_tokens(loaded, seed)) for seed in range(2)]
    made.attach(loaded.unet)
    plain = [gradients(loaded, made, [one])[0] for one in calls]
    made.detach(loaded.unet)
    made.attach(fresh.unet)
    for ours, theirs in zip(gradients(fresh, made, calls), plain, strict=True):
        assert all(g.abs().sum() > 0 for g in theirs)
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_own_layers_stay_float32_beside_weights_of_half_precision(name, loaded, attached, precision):
    half = backbone(name)
    half.unet.precision = precision
    half.load()
    before = half.denoise(*call(half))
    beside = deepcopy(attached)
    beside.attach(half.unet)
    own = own_tokens(loaded, 0)
    effect = loaded.denoise(*call(loaded, own=own)) - loaded.denoise(*call(loaded))
    got = half.denoise(*call(half, own=own)) - before
    assert {p.dtype for p in beside.parameters()} == {torch.float32}
    torch.testing.assert_close(got, effect, atol=0.2 * float(effect.abs().max()) + 0.02, rtol=0)
    for layer in beside.layers.values():
        layer.to_v.weight.zero_()
    assert torch.equal(half.denoise(*call(half, own=own)), before)


def test_autocast_reaches_own_layers_and_gradients(loaded, attached):
    own = own_tokens(loaded, 0).requires_grad_()
    expected = loaded.denoise(*call(loaded, own=own))
    with torch.autocast("cpu", torch.bfloat16):
        got = loaded.denoise(*call(loaded, own=own))
        assert torch.equal(loaded.denoise(*call(loaded, own=own)), got)
    assert got.dtype == expected.dtype
    torch.testing.assert_close(got, expected, atol=0.1 * float(expected.detach().std()), rtol=0)
    got.square().mean().backward()
    assert own.grad.abs().sum() > 0
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in attached.layers.parameters())


def test_nothing_is_printed(loaded, attached, capfd, caplog, recwarn):
    with torch.no_grad():
        loaded.denoise(*call(loaded, own=own_tokens(loaded, 0)))
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not recwarn.list


def test_what_a_network_cannot_hear_is_refused(loaded):
    own = own_tokens(loaded, 0)
    with pytest.raises(UserError, match=rf"{OWN} own tokens: the UNet hears 0; attach the adapter that gives them"):
        loaded.denoise(*call(loaded, own=own))
    made, other = trained(loaded.unet), trained(loaded.unet)
    made.attach(loaded.unet)
    with pytest.raises(UserError, match=r"an adapter is attached to this backbone already; detach it"):
        other.attach(loaded.unet)
    with pytest.raises(UserError, match=rf"{OWN - 1} own tokens: the UNet hears {OWN}"):
        loaded.denoise(*call(loaded, own=own[:, 1:]))
    made.detach(loaded.unet)


def test_a_denoiser_without_the_socket_is_refused_and_so_is_another_one():
    unet = backbone("tiny_ali_kl").unet
    made = adapter()
    made.fit_to(unet)
    made.fit_to(unet)
    with pytest.raises(UserError, match=r"adapter DecoupledCrossAttention: made for another backbone"):
        made.fit_to(backbone("tiny_sdx4").unet)
    from tests.backbones.test_conformance import Cholesky

    with pytest.raises(UserError, match=r"Cholesky has no cross-attention that lets own keys in"):
        adapter().fit_to(Cholesky())
    with pytest.raises(UserError, match=r"adapter.own_tokens 0: must be positive"):
        DecoupledCrossAttention(own_tokens=0)


@pytest.mark.parametrize("name", EACH)
def test_the_layers_are_known_before_weights_are_read_and_are_the_networks(name):
    fresh = backbone(name)
    made = adapter()
    made.fit_to(fresh.unet)
    assert not list(fresh.parameters())
    fresh.load()
    widths = {
        name: one.to_k.out_features
        for name, one in fresh.unet.network.named_modules()
        if getattr(one, "is_cross_attention", False)
    }
    assert made.widths == widths
    shapes = {name: tuple(layer.to_k.weight.shape) for name, layer in made.layers.items()}
    assert shapes == {name.replace(".", "/"): (width, fresh.unet.own_dim) for name, width in widths.items()}


def test_a_model_attaches_what_it_is_built_with():
    stack = model("tiny_ali_kl", adapter())
    assert stack.backbone.unet.own_tokens == OWN
    lr = torch.rand(1, FRAMES, 3, 8, 8)
    assert stack.condition(lr, lr).own.shape == (1, OWN, stack.backbone.unet.own_dim)
