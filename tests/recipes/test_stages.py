"""The recipe's stages in small: their losses teach, and what they export is a checkpoint that the package reads."""

import numpy as np
import pytest
import torch

from recipes.mini import unet, vae
from recipes.mini.footage import Shape
from recipes.mini.training import Plan, Run
from vsr_adapter.backbones import Backbone, UpscaleUNetPart, VideoVAEPart

SHAPES = [Shape(2, 2, 32, 1)]


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Prepared media, and LPIPS that costs nothing: its trunk is no part of the repository."""
    for folder, shape in [("photographs", (100, 120, 3)), ("clips", (6, 64, 64, 3)), ("validation", (9, 64, 64, 3))]:
        (tmp_path / folder).mkdir()
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        np.save(tmp_path / folder / "media.npy", noise)
    for stage in (vae, unet):
        monkeypatch.setattr(stage, "SHAPES", SHAPES)
        monkeypatch.setattr(stage, "perceptual", lambda state, trunk: lambda ours, truth: (ours - truth).square())
    monkeypatch.setattr(vae, "CALIBRATION_BATCHES", 2)
    return tmp_path


def run(stage, folder, steps):
    trained = Run(stage, Plan(steps, 1e-3, warmup=1, measure_every=10**9), folder)
    losses = [trained.advance() for _ in range(steps)]
    return trained, losses


def test_the_stages_make_a_checkpoint(state):
    stage = vae.VAEStage(state)
    trained, losses = run(stage, state / "vae", 2)
    assert losses[0]["l1"] == pytest.approx(losses[0]["bicubic_l1"], rel=0.2)  # it starts near bicubic
    trained.export(state / "export")

    denoiser = unet.UNetStage(state, rates=unet.Rates(pixels=1.0))
    latents = denoiser.vae.encode(denoiser.footage.batch(0).hr)
    assert 0.5 < latents.std() < 2
    trained, losses = run(denoiser, state / "unet", 2)
    assert {"total", "v", "l1", "lpips"} == set(losses[0])
    trained.export(state / "export")

    source = str(state / "export")
    backbone = Backbone(UpscaleUNetPart(source), VideoVAEPart(source)).load()
    assert backbone.capabilities.unet.prediction_type == "v_prediction"
    lr = torch.rand(1, 2, 3, 8, 8)
    level = torch.tensor([20])
    low_res = backbone.unet.noise_low_res(lr, level, torch.zeros_like(lr))
    z = torch.randn(1, 4, 2, 8, 8)
    v = backbone.denoise(z, torch.tensor(999), backbone.null_tokens, low_res, level)
    assert backbone.decode(z - v, lr).shape == (1, 2, 3, 32, 32)
    assert backbone.null_tokens.eq(0).all()


def test_every_weight_of_the_denoiser_learns(state):
    run(vae.VAEStage(state), state / "vae", 1)[0].export(state / "export")
    stage = unet.UNetStage(state, rates=unet.Rates(null=0.0))
    before = {name: weight.clone() for name, weight in stage.network.named_parameters()}
    run(stage, state / "unet", 4)
    still = [name for name, weight in stage.network.named_parameters() if torch.equal(weight, before[name])]
    assert all("words" in name or "freqs" in name or "class_embedding" in name for name in still), still


def test_one_step_sampling_of_nothing_learned_is_bicubic_plus_the_decoder_of_zero(state):
    run(vae.VAEStage(state), state / "vae", 1)[0].export(state / "export")
    stage = unet.UNetStage(state)
    lr = torch.rand(1, 2, 3, 8, 8)
    ours = stage.sample(stage.network, lr, torch.zeros(1, 16, unet.TEXT_DIM), steps=1)
    nothing = stage.vae.decode(torch.zeros(1, 4, 2, 8, 8), lr)
    torch.testing.assert_close(ours, nothing, atol=1e-5, rtol=0)
