"""The SD x4 pipeline against diffusers' own, on a folder of random weights as it is published."""

import inspect
import json
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, StableDiffusionUpscalePipeline

from tests.clips import cut, write_folder
from tests.published import add_text_encoder
from tests.stacks import backbone
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError
from vsr_adapter.peers import Ask, SDx4Pipeline
from vsr_adapter.types import VideoInfo

LR = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
WHOLE = VideoInfo(Path("walk"), 2, 48, 32, Fraction(10))
ASK = Ask(LR, "walk", WHOLE, start=0, top=0, left=0, scale=4, name="walk/00000000", whole=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny twin of stabilityai/stable-diffusion-x4-upscaler, all its parts in diffusers' format."""
    from transformers import CLIPTokenizer

    root = tmp_path_factory.mktemp("published")
    text_encoder = add_text_encoder(root, dim=32)
    twin = backbone("tiny_sdx4").load()
    StableDiffusionUpscalePipeline(
        vae=twin.vae.network,
        text_encoder=text_encoder,
        tokenizer=CLIPTokenizer.from_pretrained(root / "tokenizer"),
        unet=twin.unet.network,
        low_res_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", prediction_type="v_prediction", clip_sample=False),
    ).save_pretrained(root / "sdx4")
    return root / "sdx4"


@pytest.fixture(scope="module")
def theirs(folder):
    pipeline = StableDiffusionUpscalePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_a_frame_is_what_the_pipeline_makes_of_it(folder, theirs):
    said = {"prompt": "ab", "negative_prompt": "b", "guidance_scale": 3.0, "noise_level": 50}
    peer = SDx4Pipeline(str(folder), steps=2, seed=5, **said)
    found = peer(ASK)
    assert found.shape == (2, 3, 32, 48)
    for number in range(2):
        image = LR[number].permute(1, 2, 0).numpy()[None]  # their other door: images of numpy
        noise = torch.Generator().manual_seed(5)
        expected = theirs(image=image, num_inference_steps=2, generator=noise, output_type="np", **said).images
        torch.testing.assert_close(found[number], torch.from_numpy(expected[0]).permute(2, 0, 1), atol=1e-5, rtol=0)
    assert torch.equal(peer(ASK._replace(lr=LR[1:]))[0], found[1]), "whatever came before"


def test_the_defaults_are_the_pipelines(folder):
    parameters = inspect.signature(StableDiffusionUpscalePipeline.__call__).parameters
    theirs = {name: parameters[name].default for name in ("num_inference_steps", "guidance_scale", "noise_level")}
    assert SDx4Pipeline(str(folder)).settings == {"prompt": "", "negative_prompt": None, **theirs}


def test_it_is_a_row_of_a_table_which_says_how_it_was_made(folder, tmp_path, capsys):
    write_folder(tmp_path / "test" / "walk", cut(0, 2, height=32, width=48))
    metrics = "--metrics=[{class_path: vsr_adapter.metrics.PSNR}]"
    peer = f"{{class_path: vsr_adapter.peers.SDx4Pipeline, init_args: {{source: {folder}, steps: 1}}}}"
    more = ["--size=32", "--frames=2", metrics, f"--peers=[{peer}]"]
    rows = []
    for name in ("one", "two"):
        assert main(["compare", f"--test={tmp_path / 'test'}", *more, f"--output={tmp_path / name}"]) == 0
        content = json.loads((tmp_path / name / "scores.json").read_text())
        rows.append(content["means"]["SD x4"]["PSNR"]["value"])
    assert rows[0] == rows[1]
    assert 3 < rows[0] < 30
    line = f"row SD x4: {folder} by diffusers, prompt '', negative prompt '', DDIMScheduler, 1 steps, guidance 9, "
    assert f"{line}noise level 20, seed 0\n" in capsys.readouterr().out


def test_what_the_pipeline_cannot_do_is_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    for source in (tmp_path / "empty", folder / "unet", "nobody/upscaler"):  # no Hub in tests
        with pytest.raises(UserError, match=r"diffusers reads no x4 upscaler from it \(.*\); name the folder with"):
            SDx4Pipeline(str(source))
    with pytest.raises(UserError, match=r"steps 0, noise_level 20: must be at least 1, and 0 to 350"):
        SDx4Pipeline(str(folder), steps=0)
    with pytest.raises(UserError, match=r"steps 1, noise_level 351: must be at least 1, and 0 to 350"):
        SDx4Pipeline(str(folder), steps=1, noise_level=351)
    peer = SDx4Pipeline(str(folder), steps=1)
    with pytest.raises(UserError, match=r"SD x4: .* would resize 12x6; pass a size that is a multiple of 16"):
        peer(ASK._replace(lr=LR[:, :, :6]))
    with pytest.raises(UserError, match=r"SD x4: enlarges by 4, the test by 2; take another"):
        peer(ASK._replace(scale=2))
