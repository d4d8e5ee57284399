"""Wan's parts against diffusers' own pipeline, and what is read of its folder."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline
from safetensors.torch import save_file

from tests.stacks import backbone, model
from vsr_adapter.backbones import Backbone, VAECapabilities, WanTransformerPart, WanVAE
from vsr_adapter.backbones.wan import WAN_SCHEDULER
from vsr_adapter.errors import UserError
from vsr_adapter.types import Condition


@pytest.fixture(scope="module")
def wan():
    return backbone("tiny_wan").load()


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_denoising_and_decoding_are_the_pipelines(wan):
    tokens, z = noise(1, 7, 32, seed=1), noise(1, 4, 3, 4, 6)
    pipe = WanPipeline(
        tokenizer=None, text_encoder=None, transformer=wan.unet.network, vae=wan.vae.network,
        scheduler=UniPCMultistepScheduler.from_config(WAN_SCHEDULER),
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    call = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 4, "guidance_scale": 1.0}
    theirs = pipe(latents=z, prompt_embeds=tokens, output_type="pt", **call).frames
    stack = model("tiny_wan")
    stack.sampler.steps = 4
    scheduler = stack.sampler.schedule(WAN_SCHEDULER)
    ours = stack.sampler.run(
        stack.conditioned(Condition(tokens)), z, scheduler, scheduler.timesteps, lambda i: torch.zeros_like(z)
    )
    assert theirs.shape == (1, 9, 3, 32, 48)
    torch.testing.assert_close(wan.decode(ours), theirs.clamp(0, 1), atol=1e-4, rtol=0)


@torch.no_grad()
def test_latents_are_the_mode_less_their_mean_by_their_deviation(wan):
    video = torch.rand(1, 5, 3, 32, 32)
    mode = wan.vae.network.encode(video.transpose(1, 2) * 2 - 1).latent_dist.mode()
    config = wan.vae.config
    mean, std = (torch.tensor(config[key]).view(1, 4, 1, 1, 1) for key in ("latents_mean", "latents_std"))
    torch.testing.assert_close(wan.encode(video), (mode - mean) / std)


@torch.no_grad()
def test_a_latent_frame_sees_the_frames_that_it_covers_and_those_before(wan):
    video = torch.rand(1, 9, 3, 32, 32)
    other = video.clone()
    other[:, 5:] = 1 - other[:, 5:]
    a, b = wan.encode(video), wan.encode(other)
    assert torch.equal(a[:, :, :2], b[:, :, :2])
    assert not torch.allclose(a[:, :, 2], b[:, :, 2])


def test_threads_do_not_mix_the_features_that_the_vae_keeps(wan):
    videos = [torch.rand(1, 9, 3, 32, 32, generator=torch.Generator().manual_seed(i)) for i in range(8)]

    def there_and_back(video):
        with torch.no_grad():
            return wan.decode(wan.encode(video))

    alone = [there_and_back(video) for video in videos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(there_and_back, videos))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def publish(folder, wan):
    wan.unet.network.save_pretrained(folder / "transformer")
    wan.vae.network.save_pretrained(folder / "vae")
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({**WAN_SCHEDULER, "flow_shift": 5.0}))
    return str(folder)


@torch.no_grad()
def test_a_published_folder_is_read_with_the_tables_that_no_checkpoint_holds(wan, tmp_path):
    source = publish(tmp_path / "wan", wan)
    with pytest.warns(UserWarning, match="null tokens are zeros"):
        read = Backbone(WanTransformerPart(source, text_length=7), WanVAE(source)).load()
    assert read.capabilities.unet.scheduler_config["flow_shift"] == 5
    assert read.capabilities.time == wan.capabilities.time
    z, t, tokens = noise(1, 4, 2, 4, 4), torch.tensor([750.5]), Condition(noise(1, 7, 32, seed=1))
    assert torch.equal(read.denoise(z, t, tokens), wan.denoise(z, t, tokens))
    assert torch.equal(read.decode(z), wan.decode(z))


@torch.no_grad()
def test_in_half_precision_times_and_positions_stay_whole(wan, tmp_path):
    half = WanTransformerPart(publish(tmp_path / "wan", wan), text_length=7, precision="bfloat16")
    made = backbone("tiny_wan").unet
    made.precision = "bfloat16"
    for part in (half, made):
        network = part.load().network
        assert network.blocks[0].attn2.to_k.weight.dtype == torch.bfloat16
        assert network.condition_embedder.time_embedder.linear_1.weight.dtype == torch.float32
        assert network.rope.freqs_cos.dtype == torch.float32
    z, t, tokens = noise(1, 4, 2, 4, 4), torch.tensor([750.5]), noise(1, 7, 32, seed=1)
    stack = Backbone(half, wan.vae)
    with pytest.warns(UserWarning, match="null tokens"):
        stack.load()
    expected = wan.denoise(z, t, Condition(tokens))
    torch.testing.assert_close(
        stack.denoise(z, t, Condition(tokens)), expected, atol=0.1 * expected.std().item(), rtol=0
    )


def test_what_is_not_read_yet_is_said_in_one_line(wan, tmp_path):
    source = tmp_path / "wan"
    publish(source, wan)
    with pytest.raises(UserError, match="not read from the Hub yet; download it"):
        WanTransformerPart("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    with pytest.raises(UserError, match="UMT5, is not read yet; leave it out"):
        WanTransformerPart(str(source)).prompt_tokens("a dog")
    (source / "text_encoder").mkdir()
    (source / "tokenizer").mkdir()
    with pytest.raises(UserError, match=r"UMT5 is not read yet; put null_tokens.safetensors beside it"):
        WanTransformerPart(str(source)).null_tokens()
    kept = noise(1, 7, 32)
    save_file({"null_tokens": kept}, source / "null_tokens.safetensors")
    assert torch.equal(WanTransformerPart(str(source)).null_tokens(), kept)
    (source / "transformer_2").mkdir()
    with pytest.raises(UserError, match="has a second transformer_2/"):
        WanTransformerPart(str(source))
    (source / "transformer_2").rmdir()
    weights = source / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_name("diffusion_pytorch_model-00001-of-00002.safetensors"))
    (source / "transformer" / "diffusion_pytorch_model.safetensors.index.json").write_text("{}")
    with pytest.raises(UserError, match="weights in several files are not read yet"):
        WanTransformerPart(str(source))


@pytest.mark.parametrize(
    ("entry", "value"), [("image_dim", 1280), ("out_channels", 8), ("patch_size", [2, 2, 2]), ("_class_name", "X")]
)
def test_other_kinds_of_wan_are_refused(entry, value):
    config = {**backbone("tiny_wan").unet.config, entry: value}
    with pytest.raises(UserError, match=rf"{entry} .*: no text-to-video Wan"):
        WanTransformerPart(config=config)


def test_a_vae_whose_chunks_are_no_whole_latent_frames_is_refused():
    with pytest.raises(UserError, match="8 frames for a latent one, and 4 are encoded at once"):
        WanVAE(config={"temperal_downsample": [True, True, True]})


def test_a_network_without_blocks_has_nothing_to_checkpoint():
    parts = backbone()
    parts.gradient_checkpointing = True
    parts.unet.load()
    parts.unet.network = torch.nn.Linear(2, 2)
    with pytest.raises(
        UserError, match=r"gradient_checkpointing true: Linear has none of down_blocks.* set it to false"
    ):
        parts.load()


def test_parts_that_need_the_clip_frame_by_frame_are_refused_with_such_a_vae():
    wan, upscale = backbone("tiny_wan"), backbone("tiny_upscale_sft")
    with pytest.raises(UserError, match="UpscaleUNetPart takes the low-resolution clip frame by frame, WanVAE makes"):
        Backbone(upscale.unet, wan.vae)
    coarse = VAECapabilities(4, 4, temporal_factor=4, length_step=4, needs_low_res=True)
    vae = type("Coarse", (type(upscale.vae),), {"capabilities": coarse})(config={"condition_img": True})
    with pytest.raises(UserError, match="Coarse takes the low-resolution clip frame by frame, Coarse makes"):
        Backbone(wan.unet, vae)
