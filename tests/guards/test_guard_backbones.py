"""Arguments of the frozen halves: which network is built, of which weights, and how it is called."""

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn

from tests.clips import real_clips
from tests.guards.door import (
    DDIM,
    LOW_RES,
    Run,
    V,
    clip,
    fitted,
    guards,
    of,
    of_class,
    passes,
    restored,
    stack,
    video,
    watch,
)
from tests.guards.oracles import decoded, low_res_noise, replayed, scheduler
from tests.published import publish, publish_diffusers
from vsr_adapter.backbones import VideoVAE
from vsr_adapter.errors import UserError

UNETS = {"ModelScopeUNet": "tiny_ali_kl", "SDx4UNet": "tiny_sdx4", "UpscaleUNetPart": "tiny_upscale_plain"}
VAES = {"KLVAE": "tiny_ali_kl", "VideoVAEPart": "tiny_upscale_sft"}
FAST = {"window": 2, "overlap": 0, "sampler__steps": 1}
each_unet = pytest.mark.parametrize("unet", UNETS)
each_vae = pytest.mark.parametrize("vae", VAES)


def every(classes: Any, *arguments: str) -> list[str]:
    return [f"{name}.{argument}" for name in classes for argument in arguments]


def with_unet(unet: str, frames: int = 2, more: dict[str, Any] | None = None, **init_args: Any) -> Run:
    backbone = stack(UNETS[unet], "tiny_ali_kl", **init_args)
    return restored(video(frames), **{**FAST, "window": frames, "backbone": backbone, **(more or {})})


def with_vae(vae: str, frames: int = 2, **init_args: Any) -> Run:
    backbone = stack("tiny_ali_kl", VAES[vae])
    backbone["init_args"]["vae"]["init_args"] |= init_args
    return restored(video(frames), **{**FAST, "window": frames, "backbone": backbone})


def network(run: Run) -> nn.Module:
    return run.passes[0].module


def decoder(run: Run) -> nn.Module:
    return of(run.calls, "Decoder")[0].module


def same(module: nn.Module, other: nn.Module) -> bool:
    """Whether all weights are equal."""
    ours, theirs = module.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def made(kind: Any, config: dict[str, Any], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return kind.from_config(config)


def config_of(name: str, half: str) -> dict[str, Any]:
    return stack(name, name)["init_args"][half]["init_args"]["config"]


@guards("backbone", "Backbone", "Backbone.unet", *UNETS, *every(UNETS, "seed", "config"))
@each_unet
def test_a_unet_without_source_has_random_weights_of_its_config_and_seed(unet):
    config = {**config_of(UNETS[unet], "unet"), "layers_per_block": 2}
    three, none = with_unet(unet, config=config, seed=3), with_unet(unet, config=config)
    assert len(network(three).down_blocks[0].resnets) == 2
    assert same(network(three), made(type(network(three)), config, 3))
    assert same(network(none), made(type(network(none)), config, 0))
    assert not same(network(three), network(none))


@guards("Backbone.vae", *VAES, *every(VAES, "seed", "config"))
@each_vae
def test_a_vae_without_source_has_random_weights_of_its_config_and_seed(vae):
    kind = {"KLVAE": AutoencoderKL, "VideoVAEPart": VideoVAE}[vae]
    config = {**config_of(VAES[vae], "vae"), "block_out_channels": [8, 8, 16]}
    three, none = with_vae(vae, config=config, seed=3), with_vae(vae, config=config)
    assert same(decoder(three), made(kind, config, 3).decoder)
    assert same(decoder(none), made(kind, config, 0).decoder)
    assert not same(decoder(three), decoder(none))


@guards(*every(UNETS, "scheduler"))
@each_unet
@pytest.mark.parametrize("schedule", [{**DDIM, "beta_end": 0.02}, {**V, "timestep_spacing": "trailing"}])
def test_the_scheduler_is_the_training_schedule_and_what_is_predicted(unet, schedule):
    run = with_unet(unet, more={"sampler__steps": 2}, scheduler=schedule)
    z_0 = replayed(run.passes, scheduler(2, config=schedule))
    z_0 = z_0 if z_0.ndim == 5 else z_0.transpose(0, 1)[None]
    torch.testing.assert_close(torch.from_numpy(run.frames), torch.from_numpy(decoded(z_0)), atol=1e-4, rtol=0)


SEES_LOW_RES = ["SDx4UNet", "UpscaleUNetPart"]


@guards(*every(SEES_LOW_RES, "low_res_scheduler"))
@pytest.mark.parametrize("unet", SEES_LOW_RES)
def test_the_low_resolution_clip_is_noised_by_its_own_schedule(unet):
    frames, noises = clip(video(2)), []
    for schedule in (LOW_RES, {**LOW_RES, "beta_end": 0.01}):
        one = with_unet(unet, more={"noise_level": 300}, low_res_scheduler=schedule).passes[0]
        if unet == "SDx4UNet":
            one = one._replace(low_res=one.low_res.transpose(0, 1)[None])
        noises.append(low_res_noise(one, frames, 300, schedule))
    torch.testing.assert_close(*noises, atol=1e-3, rtol=0)
    assert noises[0].std() > 0.9


@guards(*every(UNETS, "text_length"))
@each_unet
def test_the_null_tokens_of_random_weights_are_as_many_as_the_text_has(unet):
    run = with_unet(unet, more={"condition": "off"}, text_length=5)
    assert run.passes[0].tokens.shape[-2:] == (5, 32)


@guards("ModelScopeUNet.latent_factor")
def test_a_vae_of_another_factor_than_the_unet_was_trained_on_is_said():
    with pytest.warns(UserWarning, match="ModelScopeUNet was trained on f8 latents, KLVAE gives f4"):
        with_unet("ModelScopeUNet", latent_factor=8)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "latent mismatch")
        with_unet("ModelScopeUNet", latent_factor=4)


@guards(*every(UNETS, "precision"), *every(VAES, "precision"))
@pytest.mark.parametrize("part", [*UNETS, *VAES])
def test_the_precision_is_that_of_the_weights(part):
    run = with_unet(part, precision="bfloat16") if part in UNETS else with_vae(part, precision="bfloat16")
    module, other = (network(run), decoder(run)) if part in UNETS else (decoder(run), network(run))
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in other.parameters()} == {torch.float32}


def as_published(folder: Any, part: str) -> tuple[nn.Module, nn.Module]:
    """The UNet and the decoder that are written into a folder, as its kind of checkpoint."""
    if part in ("UpscaleUNetPart", "VideoVAEPart"):
        unet = publish(folder)
        state = torch.load(folder / "vae" / "vae_video.bin", weights_only=True)
        return unet, SimpleNamespace(state_dict=lambda: within(state, "decoder."))
    loaded = publish_diffusers(folder, UNETS.get(part, VAES.get(part)))
    return loaded.unet.network, loaded.vae.network.decoder


def within(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def from_source(part: str, **where: Any) -> Run:
    """A stack whose ``part`` is read from somewhere, by its own config."""
    given = of_class(f"backbones.{part}", config=None, **where)
    backbone = stack("tiny_ali_kl", "tiny_ali_kl")
    half = "unet" if part in UNETS else "vae"
    backbone["init_args"][half] = given
    text_dim = 24 if part == "UpscaleUNetPart" else 32
    return restored(video(2), **FAST, backbone=backbone, adapter__text_dim=text_dim)


@guards(*every([*UNETS, *VAES], "source"))
@pytest.mark.parametrize("part", [*UNETS, *VAES])
def test_a_source_has_the_weights_and_the_config(part, tmp_path):
    unet, vae_decoder = as_published(tmp_path / "there", part)
    run = from_source(part, source=str(tmp_path / "there"))
    assert same(network(run), unet) if part in UNETS else same(decoder(run), vae_decoder)


@guards(*every([*UNETS, *VAES], "revision"))
@pytest.mark.parametrize("part", [*UNETS, *VAES])
def test_a_revision_is_that_of_a_hub_repository(part, hub, recwarn):
    unet, vae_decoder = as_published(hub, part)
    run = from_source(part, source="lab/upscaler", revision="v1")
    assert same(network(run), unet) if part in UNETS else same(decoder(run), vae_decoder)
    with pytest.raises(UserError, match="is not on disk, and the Hub cannot be reached"):
        from_source(part, source="lab/upscaler", revision="v2")


@guards(*every(VAES, "chunk"))
@each_vae
def test_a_chunk_is_the_frames_that_are_decoded_at_once(vae):
    axis = {"KLVAE": 0, "VideoVAEPart": 2}[vae]
    three, all_together = with_vae(vae, 8, chunk=3), with_vae(vae, 8)
    assert [call.inputs[0].shape[axis] for call in of(three.calls, "Decoder")] == [3, 3, 2]
    assert [call.inputs[0].shape[axis] for call in of(all_together.calls, "Decoder")] == [8]


@guards("VideoVAEPart.sft")
@pytest.mark.parametrize("sft", [True, False])
def test_sft_says_which_of_the_folders_two_decoders(sft, tmp_path):
    publish(tmp_path / "there")
    run = from_source("VideoVAEPart", source=str(tmp_path / "there"), sft=sft)
    state = torch.load(tmp_path / "there" / "vae" / f"{'vae_video' if sft else 'vae_3d'}.bin", weights_only=True)
    assert same(decoder(run), SimpleNamespace(state_dict=lambda: within(state, "decoder.")))
    assert (of(run.calls, "Decoder")[0].inputs[1] is not None) == sft


@guards("VideoVAEPart.sft_weight")
def test_the_sft_weight_is_the_strength_of_the_fusion():
    added = []
    for weight in (1.0, 0.25):
        with watch("ConditionFusion") as calls:
            with_vae("VideoVAEPart", sft_weight=weight)
        _, h, _ = calls[0].inputs
        added.append(calls[0].output - h)
    torch.testing.assert_close(added[1], 0.25 * added[0], atol=1e-5, rtol=1e-3)
    assert added[0].abs().max() > 0.01


@guards("Backbone.gradient_checkpointing")
def test_gradient_checkpointing_computes_activations_again_and_changes_no_loss(tmp_path):
    real_clips(tmp_path / "train", 1, size=32)
    real_clips(tmp_path / "val", 1, size=32)
    losses, counts = [], []
    for again in (False, True):
        backbone = stack("tiny_ali_kl", "tiny_ali_kl")
        backbone["init_args"]["gradient_checkpointing"] = again
        with watch("TransformerTemporalModel", "UNet3DConditionModel") as calls:
            steps = fitted(tmp_path, backbone=backbone)
        losses.append(next(step.logged["train/loss"] for step in steps if step.kind == "fit"))
        assert len(passes(calls)) == 2, "one to train, one to validate"
        counts.append(len(of(calls, "TransformerTemporalModel")))
    assert losses[0] == losses[1]
    inside = counts[0] // 2
    # all but those outside the blocks are computed again in the backward pass, which validation has not
    assert counts[0] < counts[1] <= counts[0] + inside
