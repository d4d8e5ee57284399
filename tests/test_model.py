import pytest
import torch

from tests.stacks import loss, model
from vsr_adapter.adapters import LinearLinear
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import ConditionedDenoiser, Sampler, WholeGridTimeSteps, epsilon_loss
from vsr_adapter.errors import UserError
from vsr_adapter.inference.sample import sample
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.seeds import NoiseField, generator
from vsr_adapter.training.loss import Loss
from vsr_adapter.types import Clip, Condition


@pytest.fixture(scope="module")
def stack():
    return model()


def clip(*names: str) -> Clip:
    hr = torch.rand(len(names), 8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    return Clip(bicubic_downscale(hr), hr, list(names))


def test_the_loss_of_a_clip_depends_on_its_name_and_the_key_alone(stack):
    both = clip("a", "b")
    losses = loss(stack, both, ("val",))
    assert losses.shape == (2,)
    swapped = Clip(both.lr.flip(0), both.hr.flip(0), ["b", "a"])
    torch.testing.assert_close(loss(stack, swapped, ("val",)).flip(0), losses, atol=1e-5, rtol=1e-4)
    torch.manual_seed(77)
    assert torch.equal(loss(stack, both, ("val",)), losses)
    assert not torch.allclose(loss(stack, both, ("fit", 0)), loss(stack, both, ("fit", 1)))


def test_only_the_adapter_gets_a_gradient(stack):
    loss(stack, clip("a"), ("val",)).sum().backward()
    with_gradient = {name for name, p in stack.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name, _ in stack.named_parameters() if name.startswith("adapter.")}
    assert all(p.grad.abs().sum() > 0 for p in stack.adapter.parameters())


def test_the_whole_grid_is_the_mean_over_the_samplers_times():
    stack = model(sampler=Sampler(steps=2))
    assert len(stack.grid) == 2
    one = clip("a")
    denoise = ConditionedDenoiser(stack.backbone, Condition(stack.told(one.lr).tokens))
    z_0 = stack.backbone.encode(one.hr)
    numbers = generator(0, "val", "a")
    torch.randn(one.lr.shape[1:], generator=numbers)  # the noise of the low-resolution clip comes first
    losses = [
        epsilon_loss(denoise, stack.process, z_0, torch.randn(z_0.shape[1:], generator=numbers)[None], index[None])
        for index in stack.grid
    ]
    whole = Loss("epsilon", WholeGridTimeSteps())
    torch.testing.assert_close(whole(stack, one, ("val",)), torch.stack(losses).mean(0))


def test_condition_off_is_the_null_tokens(stack):
    off, lr = model(condition="off"), clip("a", "b").lr
    tokens = off.condition(lr, lr).tokens
    assert torch.equal(tokens, off.backbone.null_tokens.expand(2, -1, -1))
    assert not torch.equal(tokens[:1, :1], stack.told(clip("a").lr).tokens[:, :1])


def test_samples_depend_on_seed_clip_and_condition(stack):
    lr = clip("a").lr

    def sampled(stack, seed):
        return sample(stack, lr, [NoiseField((seed, "x"), range(8))])

    stack.sampler.steps = 2
    first = sampled(stack, 0)
    assert first.shape == (1, 8, 3, 64, 64)
    assert torch.equal(first, sampled(stack, 0))
    assert not torch.allclose(first, sampled(stack, 1))
    off = model(condition="off", sampler=stack.sampler)
    assert not torch.allclose(first, sampled(off, 0))


def test_guidance_changes_samples_and_one_is_none():
    lr, field = clip("a").lr, [NoiseField((0,), range(8))]
    outputs = {}
    for scale in (1.0, 3.0):
        stack = model(guidance_scale=scale)
        stack.sampler.steps = 2
        outputs[scale] = sample(stack, lr, field)
    assert not torch.allclose(outputs[1.0], outputs[3.0])


def test_parts_that_do_not_fit_are_refused_with_the_setting_to_change():
    with pytest.raises(UserError, match=r"adapter.text_dim 99: the backbone has 32; set --model.adapter.text_dim 32"):
        model(adapter=LinearLinear(8, 100, 64, 99))
    with pytest.raises(UserError, match=r"adapter.tokens 7: the encoder has 100; set --model.adapter.tokens 100"):
        model(adapter=LinearLinear(8, 7, 64, 32))


def test_the_vit_gives_patch_tokens_of_each_frame_and_its_thesis_size():
    encoder = FrozenViT("test_vit").load()
    video = torch.rand(2, 3, 3, 20, 12)
    features = encoder(video)
    assert features.shape == (2, 3, encoder.tokens, encoder.dim) == (2, 3, 100, 64)
    torch.testing.assert_close(encoder(video[:, 1:2]), features[:, 1:2])
    default = FrozenViT()
    assert (default.tokens, default.dim) == (196, 768)


def test_the_vit_normalises_as_its_own_pretraining_did():
    encoder = FrozenViT("test_vit").load()
    grey = torch.full((1, 1, 3, 160, 160), 0.25)
    expected = encoder.network.forward_features(torch.full((1, 3, 160, 160), (0.25 - 0.5) / 0.5))[:, 1:]
    torch.testing.assert_close(encoder(grey)[0], expected)


def test_encoders_that_are_none_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"encoder 'resnet1': no such timm model"):
        FrozenViT("resnet1")
    with pytest.raises(UserError, match=r"encoder 'resnet18': not a vision transformer"):
        FrozenViT("resnet18")
    with pytest.raises(UserError, match=r"encoder.weights /nowhere: no such file"):
        FrozenViT("test_vit", "/nowhere").load()


def test_the_vit_reads_its_weights_from_a_file(tmp_path):
    from safetensors.torch import save_file

    seven = FrozenViT("test_vit", seed=7).load()
    save_file(seven.network.state_dict(), tmp_path / "vit.safetensors")
    read = FrozenViT("test_vit", str(tmp_path / "vit.safetensors")).load()
    video = torch.rand(1, 1, 3, 16, 16)
    assert torch.equal(read(video), seven(video))
    assert not torch.equal(FrozenViT("test_vit").load()(video), seven(video))
