"""The recipe's stages in small: their losses teach, and what they export is a checkpoint that the package reads."""

from pathlib import Path

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from recipes import mini
from recipes.mini import encoder, unet, vae
from recipes.mini.footage import Shape
from recipes.mini.training import Plan, Run, Stage
from vsr_adapter.backbones import Backbone, UpscaleUNetPart, VideoVAEPart
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.types import Condition

SHAPES = [Shape(2, 2, 32, 1)]


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Prepared media, and LPIPS that costs nothing: its trunk is no part of the repository."""
    for folder, shape in [("photographs", (100, 120, 3)), ("clips", (6, 64, 64, 3)), ("validation", (9, 64, 64, 3))]:
        (tmp_path / folder).mkdir()
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.save(tmp_path / folder / "media.npy", noise)
    for stage in (vae, unet, encoder):
        monkeypatch.setattr(stage, "SHAPES", SHAPES)
    for stage in (vae, unet):
        monkeypatch.setattr(stage, "perceptual", lambda state, trunk: lambda ours, truth: (ours - truth).square())
    monkeypatch.setattr(vae, "CALIBRATION_BATCHES", 2)
    return tmp_path


def run(stage, steps):
    trained = Run(stage, Plan(steps, 1e-3, warmup=1))
    losses = [trained.advance() for _ in range(steps)]
    return trained, losses


def test_the_stages_make_a_checkpoint(state):
    stage = vae.VAEStage(state)
    trained, losses = run(stage, 2)
    assert losses[0]["l1"] == pytest.approx(losses[0]["bicubic_l1"], rel=0.2)  # it starts near bicubic
    trained.export(state / "export")

    denoiser = unet.UNetStage(state, rates=unet.Rates(pixels=1.0))
    latents = denoiser.vae.encode(denoiser.footage.batch(0).hr)
    assert 0.5 < latents.std() < 2
    trained, losses = run(denoiser, 2)
    assert {"total", "v", "nothing", "l1", "lpips"} == set(losses[0])
    trained.export(state / "export")

    source = str(state / "export")
    backbone = Backbone(UpscaleUNetPart(source), VideoVAEPart(source)).load()
    assert backbone.capabilities.unet.prediction_type == "v_prediction"
    lr = torch.rand(1, 2, 3, 8, 8)
    level = torch.tensor([20])
    low_res = backbone.unet.noise_low_res(lr, level, torch.zeros_like(lr))
    z = torch.randn(1, 4, 2, 8, 8)
    v = backbone.denoise(z, torch.tensor(999), Condition(backbone.null_tokens, low_res, level))
    assert backbone.decode(z - v, lr).shape == (1, 2, 3, 32, 32)
    assert backbone.null_tokens.eq(0).all()


def test_the_decoder_trains_with_the_denoiser_and_the_encoder_stays(state):
    run(vae.VAEStage(state), 1)[0].export(state / "export")
    before = VideoVAEPart(str(state / "export")).load().network.state_dict()
    stage = unet.UNetStage(state, rates=unet.Rates(pixels=0.5), decoder=True)
    trained, losses = run(stage, 4)
    assert {name for one in losses for name in one} >= {"l1", "lpips", "true_l1", "true_lpips"}
    trained.export(state / "export")
    part = VideoVAEPart(str(state / "export")).load()
    assert part.scaling_factor == stage.vae.scaling_factor
    changed = {
        name.split(".")[0] for name, weight in part.network.state_dict().items() if weight.ne(before[name]).any()
    }
    assert changed == {"decoder", "post_quant_conv"}


def test_every_weight_of_the_denoiser_learns(state):
    run(vae.VAEStage(state), 1)[0].export(state / "export")
    stage = unet.UNetStage(state, rates=unet.Rates(uncaptioned=0.0))
    before = {name: weight.clone() for name, weight in stage.network.named_parameters()}
    run(stage, 4)
    still = [name for name, weight in stage.network.named_parameters() if torch.equal(weight, before[name])]
    assert all("words" in name or "freqs" in name or "class_embedding" in name for name in still), still


def test_one_step_sampling_of_nothing_learned_is_bicubic_plus_the_decoder_of_zero(state):
    run(vae.VAEStage(state), 1)[0].export(state / "export")
    stage = unet.UNetStage(state)
    lr = torch.rand(1, 2, 3, 8, 8)
    ours = stage.sample(stage.network, lr, torch.zeros(1, 16, unet.TEXT_DIM), steps=1)
    nothing = stage.vae.decode(torch.zeros(1, 4, 2, 8, 8), lr)
    torch.testing.assert_close(ours, nothing, atol=1e-5, rtol=0)


def test_the_encoder_learns_and_its_export_is_what_the_package_reads(state):
    stage = encoder.EncoderStage(state, name="test_vit")
    trained, losses = run(stage, 3)
    assert losses[0]["total"] == pytest.approx(1, abs=0.05)  # it says nothing yet
    trained.export(state / "export")
    frozen = FrozenViT("test_vit", str(state / "export" / "encoder" / "model.safetensors")).load()
    video = torch.rand(1, 2, 3, 16, 16)
    stage.frozen.network = trained.average.module["vit"]
    torch.testing.assert_close(frozen(video), stage.frozen(video), atol=2e-2, rtol=2e-2)


def test_patches_are_those_of_the_transformer(state):
    """In its order, and normalised."""
    stage = encoder.EncoderStage(state, name="test_vit")
    frames = torch.rand(2, 3, 160, 160)
    patches = stage.patches(frames)
    assert patches.shape == (2, stage.frozen.tokens, 3 * 16 * 16)
    torch.testing.assert_close(patches.mean(dim=-1), torch.zeros(2, 100), atol=1e-5, rtol=0)
    inside = frames[0, :, 32:48, 16:32].flatten()  # row 2, column 1
    expected = (inside - inside.mean()) / (inside.var(correction=0) + 1e-4).sqrt()
    torch.testing.assert_close(patches[0, 21].sort().values, expected.sort().values, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("file", sorted(Path(mini.__file__).parent.glob("*.yaml")), ids=lambda file: file.name)
def test_the_configs_are_settings_of_their_stages(file):
    parser = ArgumentParser()
    parser.add_argument("--stage", type=Stage)
    parser.add_argument("--plan", type=Plan)
    config = parser.parse_path(file)
    assert Plan(**config.plan.as_dict()).steps > 0
    shapes = config.stage.init_args.get("shapes") or unet.SHAPES
    assert sum(shape.share for shape in shapes) == pytest.approx(1)
    assert all(shape.size % 8 == 0 for shape in shapes)
