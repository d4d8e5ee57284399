"""What the network is told of a clip: tokens, prompts, guidance, the noised clip; and the seed of the noise."""

import numpy as np
import pytest
import torch
from transformers import CLIPTextModel, CLIPTokenizer

from tests.guards.door import UPSCALE, V, clip, guards, of, of_class, predicted, restored, trainer_run, video
from tests.guards.oracles import assert_standard_normal, correlation, decoded, low_res_noise, replayed, scheduler
from tests.published import add_text_encoder, publish
from vsr_adapter.errors import UserError

LEVELS = (20, 120, 300)


@pytest.fixture(scope="module")
def by_level():
    """A run for each noise level; 120 by default."""
    runs = {level: restored(backbone=UPSCALE, noise_level=level, sampler__steps=2) for level in (20, 300)}
    return runs | {120: restored(backbone=UPSCALE, sampler__steps=2)}


@guards("noise_level")
def test_the_network_gets_the_clip_noised_to_the_level_and_is_told_the_level(by_level):
    """The noise is named, so that it is the same at all levels: one of them says what the others get."""
    frames = clip(video())
    noise = low_res_noise(by_level[300].passes[0], frames, 300)
    assert_standard_normal(noise)
    assert abs(correlation(noise[:, :, 0], noise[:, :, 1])) < 0.1, "each frame has noise of its own"
    for level, run in by_level.items():
        for one in run.passes:
            torch.testing.assert_close(low_res_noise(one, frames, level), noise, atol=2e-3, rtol=0)
    assert np.abs(by_level[20].frames - by_level[300].frames).max() > 1e-3


@guards("noise_level")
def test_a_level_that_the_network_was_not_trained_on_is_refused():
    with pytest.raises(UserError, match=r"noise_level \[351\]: must lie in 0 to 350"):
        restored(backbone=UPSCALE, noise_level=351)


@guards("seed")
def test_the_seed_names_all_noise_of_predict(tmp_path):
    settings = {"backbone": UPSCALE, "sampler__eta": 1, "sampler__steps": 2}
    five, six = (predicted(tmp_path, **settings, seed=seed) for seed in (5, 6))
    by_option = predicted(tmp_path, None, "--seed", "6", **settings)
    frames = clip((255 * video()).round() / 255)
    noises = [low_res_noise(run.passes[0], frames, 120) for run in (five, six, by_option)]
    torch.testing.assert_close(noises[2], noises[1])
    assert torch.equal(by_option.passes[0].z, six.passes[0].z)
    assert abs(correlation(noises[0], noises[1])) < 0.1
    assert abs(correlation(five.passes[0].z, six.passes[0].z)) < 0.1
    assert np.abs(five.frames - six.frames).max() > 0.01


@guards("condition")
def test_the_condition_is_the_adapters_tokens_or_none_or_those_in_a_wrong_order():
    on, off, shuffled = (restored(condition=mode, sampler__steps=1) for mode in ("on", "off", "shuffled"))
    tokens = of(on.calls, "LinearLinear")[0].output
    assert torch.equal(on.passes[0].tokens, tokens)
    assert not of(off.calls, "LinearLinear")
    assert torch.equal(off.passes[0].tokens, torch.zeros(1, 7, 32))  # the null tokens of random weights
    wrong = shuffled.passes[0].tokens
    assert torch.equal(wrong.flatten().sort().values, tokens.flatten().sort().values)
    # attention does not see the order of tokens: each must be another
    assert not torch.isclose(wrong.norm(dim=-1).sort().values, tokens.norm(dim=-1).sort().values).all()
    again = restored(condition="shuffled", sampler__steps=1).passes[0].tokens
    assert torch.equal(again, wrong), "in a fixed order"


@guards("guidance_scale")
def test_guidance_leads_away_from_the_null_tokens():
    plain = restored(backbone=UPSCALE, sampler__steps=2)
    assert len(plain.passes) == 2
    run = restored(backbone=UPSCALE, sampler__steps=2, guidance_scale=3)
    null, told = ([one for one in run.passes if (one.tokens.shape[1] == 7) == of_null] for of_null in (True, False))
    assert len(null) == len(told) == 2
    for one, other in zip(null, told, strict=True):
        assert torch.equal(one.tokens, torch.zeros(1, 7, 32))
        assert torch.equal(one.z, other.z)
        assert torch.equal(one.low_res, other.low_res)
    guided = [
        other._replace(prediction=one.prediction + 3 * (other.prediction - one.prediction))
        for one, other in zip(null, told, strict=True)
    ]
    z_0 = replayed(guided, scheduler(2, config=V))
    np.testing.assert_allclose(run.frames, decoded(z_0), atol=1e-4)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A checkpoint with a text encoder, as a backbone, and that encoder, by transformers alone."""
    folder = tmp_path_factory.mktemp("published")
    publish(folder)
    add_text_encoder(folder)
    parts = {
        "unet": of_class("backbones.UpscaleUNetPart", source=str(folder), config=None),
        "vae": of_class("backbones.VideoVAEPart", source=str(folder), config=None),
    }
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()

    @torch.no_grad()
    def encode(prompt):
        ids = tokenizer(prompt, padding="max_length", max_length=7, return_tensors="pt").input_ids
        return encoder(ids).last_hidden_state

    return {"backbone": of_class("backbones.Backbone", **parts), "adapter__text_dim": 24, "sampler__steps": 1}, encode


@guards("prompt")
def test_the_prompts_tokens_follow_the_adapters_and_stand_alone_without_them(published):
    settings, encode = published
    run = restored(**settings, prompt="ab")
    tokens = run.passes[0].tokens
    assert torch.equal(tokens[:, :100], of(run.calls, "LinearLinear")[0].output)
    torch.testing.assert_close(tokens[:, 100:], encode("ab"))
    alone = restored(**settings, prompt="ab", condition="off")
    torch.testing.assert_close(alone.passes[0].tokens, encode("ab"))
    none = restored(**settings, condition="off")
    torch.testing.assert_close(none.passes[0].tokens, encode(""))


@guards("negative_prompt")
def test_the_negative_prompt_is_what_guidance_leads_away_from(published):
    settings, encode = published
    run = restored(**settings, negative_prompt="b", guidance_scale=2)
    null, told = run.passes
    torch.testing.assert_close(null.tokens, encode("b"))
    assert told.tokens.shape[1] == 100
    with pytest.raises(UserError, match="does nothing at guidance_scale 1"):
        restored(**settings, negative_prompt="b")


@guards("noise_level", "condition", "sampler", "guidance_scale", "seed", "start")
def test_a_test_samples_by_the_same_settings(clips, tmp_path):
    """`vsr test`, whose noise is named by clips."""
    metrics = [of_class("metrics.PSNR")]
    settings = {"sampler__steps": 3, "condition": "off", "guidance_scale": 2, "noise_level": 30, "metrics": metrics}
    data = [f"--data.test={clips / 'val'}", "--output", str(tmp_path / "out")]
    steps = trainer_run("test", *data, backbone=UPSCALE, **settings)
    first = steps[0]
    assert [one.t.item() for one in first.passes[::2]] == scheduler(3).timesteps.tolist()
    assert len(first.passes) == 6
    assert all(one.tokens.shape[1] == 7 for one in first.passes)
    frames = first.lr.transpose(1, 2) * 2 - 1
    noises = [low_res_noise(step.passes[0], step.lr.transpose(1, 2) * 2 - 1, 30) for step in steps]
    assert_standard_normal(low_res_noise(first.passes[0], frames, 30))
    assert_standard_normal(first.passes[0].z)
    assert abs(correlation(*noises)) < 0.1, "each clip has noise of its own"
    other = trainer_run("test", *data, backbone=UPSCALE, metrics=metrics, sampler__steps=1, seed=1)
    assert abs(correlation(other[0].passes[0].z, first.passes[0].z)) < 0.1


@guards("sampling")
def test_sampling_is_one_value_that_may_come_as_a_whole():
    whole = {"seed": 3, "noise_level": 20, "sampler": of_class("diffusion.Sampler", steps=2), "tiles": {"size": 16}}
    together = restored(backbone=UPSCALE, sampling=whole)
    apart = restored(backbone=UPSCALE, seed=3, noise_level=20, sampler__steps=2, tiles__size=16)
    assert np.array_equal(together.frames, apart.frames)
    assert len(together.passes) == 2
    assert together.passes[0].level.unique().tolist() == [20]
