"""Published files, in their own format: small networks saved as the checkpoints are."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.backbones.test_upscale import SMALL
from vsr_adapter.backbones import Backbone, UpscaleUNet, UpscaleUNetPart, VideoVAE, VideoVAEPart
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError

VAE = {"block_out_channels": [8, 8, 16], "layers_per_block": 1, "norm_num_groups": 8, "condition_channels": 16}
SCHEDULE = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "scaled_linear",
    "prediction_type": "v_prediction",
    "clip_sample": False,
    "num_train_timesteps": 1000,
}


def save(path, network, kind):
    """A state dict as safetensors (shared tensors copied), zipped pickle, or old pickle."""
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    if kind == "safetensors":
        save_file(state, path.with_suffix(".safetensors"))
    else:
        torch.save(state, path.with_suffix(".bin"), _use_new_zipfile_serialization=kind == "bin")


def publish(folder, kind="bin", config=SMALL):
    """Upscale-A-Video's folder at toy widths."""
    for part in ("unet", "vae", "scheduler", "low_res_scheduler"):
        (folder / part).mkdir(parents=True)
    torch.manual_seed(1)
    unet = UpscaleUNet.from_config(config)
    (folder / "unet" / "unet_video_config.json").write_text(json.dumps(config))
    save(folder / "unet" / "unet_video", unet, kind)
    for name, sft in [("vae_video", True), ("vae_3d", False)]:
        vae = {**VAE, "condition_img": sft}
        (folder / "vae" / f"{name}_config.json").write_text(json.dumps(vae))
        save(folder / "vae" / name, VideoVAE.from_config(vae), kind)
    for part in ("scheduler", "low_res_scheduler"):
        (folder / part / "scheduler_config.json").write_text(json.dumps(SCHEDULE))
    return unet


@pytest.mark.parametrize("kind", ["safetensors", "bin", "old bin"])
def test_a_published_folder_loads_whole(tmp_path, kind, recwarn):
    unet = publish(tmp_path, kind)
    backbone = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    loaded = backbone.unet.network
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in unet.state_dict().items())
    assert len({id(m.rotary_emb) for m in loaded.modules() if hasattr(m, "rotary_emb")}) == 1
    assert not any(p.is_meta or p.requires_grad for p in backbone.parameters())
    assert backbone.capabilities.vae.needs_low_res
    assert not VideoVAEPart(str(tmp_path), sft=False).capabilities.needs_low_res
    assert any("an old pickle" in str(w.message) for w in recwarn) == (kind == "old bin")


def test_weights_come_at_the_precision_asked_for(tmp_path):
    publish(tmp_path)
    part = UpscaleUNetPart(str(tmp_path), precision="bfloat16").load()
    assert {p.dtype for p in part.parameters()} == {torch.bfloat16}


def test_lavies_file_loads_by_renaming(tmp_path):
    unet = publish(tmp_path / "uav")
    state = {}
    for name, tensor in unet.state_dict().items():
        name = name.replace("down_temp_blocks", "down_temporal_blocks").replace("up_temp_blocks", "up_temporal_blocks")
        name = name.replace("mid_temp_block", "mid_temporal_block")
        name = name.replace("resblocks_3d_temporal", "resblocks_3d_t").replace("resblocks_3d_spatial", "resblocks_3d_s")
        state[name] = tensor
    torch.save({"ema": state}, tmp_path / "lavie_vsr.pt")
    part = UpscaleUNetPart(str(tmp_path / "lavie_vsr.pt"), config=SMALL, scheduler=SCHEDULE, low_res_scheduler=SCHEDULE)
    loaded = part.load().network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in unet.state_dict().items())


def error(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_missing_parts_are_named(tmp_path):
    publish(tmp_path)
    (tmp_path / "low_res_scheduler" / "scheduler_config.json").unlink()
    assert "has no low_res_scheduler/scheduler_config.json" in error(lambda: UpscaleUNetPart(str(tmp_path)))
    (tmp_path / "vae" / "vae_3d.bin").unlink()
    assert "has no vae/vae_3d.safetensors or vae_3d.bin" in error(lambda: VideoVAEPart(str(tmp_path), sft=False).load())
    assert "not on disk, and the Hub cannot be reached" in error(lambda: UpscaleUNetPart("nobody/nothing"))


def test_weights_of_another_config_are_refused_by_name(tmp_path):
    publish(tmp_path)
    config = tmp_path / "unet" / "unet_video_config.json"
    config.write_text(json.dumps({**SMALL, "layers_per_block": 2}))
    said = error(lambda: UpscaleUNetPart(str(tmp_path)).load())
    assert "misses down_blocks.0.resnets.1.norm1.weight" in said
    config.write_text(json.dumps({**SMALL, "cross_attention_dim": 32}))
    said = error(lambda: UpscaleUNetPart(str(tmp_path)).load())
    assert "(64, 24), the config gives (64, 32)" in said
    config.write_text("{")
    assert "not JSON" in error(lambda: UpscaleUNetPart(str(tmp_path)))


@pytest.mark.parametrize("kind", ["safetensors", "bin", "old bin"])
def test_truncated_weights_are_refused(tmp_path, kind):
    publish(tmp_path, kind)
    path = next((tmp_path / "unet").glob("unet_video.[sb]*"))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "fetch it again" in error(lambda: UpscaleUNetPart(str(tmp_path)).load())


def test_a_pickle_that_holds_code_is_refused_and_not_run(tmp_path):
    publish(tmp_path)

    class Evil:
        def __reduce__(self):
            return subprocess.call, (["touch", str(tmp_path / "owned")],)

    (tmp_path / "unet" / "unet_video.bin").write_bytes(pickle.dumps({"a": Evil()}))
    assert "a pickle that holds code" in error(lambda: UpscaleUNetPart(str(tmp_path)).load())
    assert not (tmp_path / "owned").exists()


@torch.no_grad()
def test_the_clip_is_noised_by_its_own_schedule_and_decoding_in_chunks_is_decoding_them(tmp_path):
    publish(tmp_path)
    part = UpscaleUNetPart(str(tmp_path)).load()
    clip, noise = torch.rand(1, 4, 3, 8, 8), torch.randn(1, 4, 3, 8, 8)
    alpha_bar = part.low_res_process.alphas_cumprod[120]
    expected = alpha_bar.sqrt() * (clip * 2 - 1) + (1 - alpha_bar).sqrt() * noise
    torch.testing.assert_close(part.noise_low_res(clip, torch.tensor([120]), noise), expected)
    z = torch.randn(1, 4, 4, 8, 8)
    chunked = VideoVAEPart(str(tmp_path), chunk=3).load().decode(z, clip)
    whole = VideoVAEPart(str(tmp_path)).load()
    torch.testing.assert_close(chunked[:, :3], whole.decode(z[:, :, :3], clip[:, :3]))
    torch.testing.assert_close(chunked[:, 3:], whole.decode(z[:, :, 3:], clip[:, 3:]))


def test_convert_writes_safetensors_once_and_they_are_preferred(tmp_path, capsys):
    unet = publish(tmp_path)
    assert main(["convert", str(tmp_path)]) == 0
    assert "unet_video.safetensors: " in capsys.readouterr().out
    (tmp_path / "unet" / "unet_video.bin").write_text("never read again")
    loaded = UpscaleUNetPart(str(tmp_path)).load().network.state_dict()
    assert all(torch.equal(tensor, loaded[name]) for name, tensor in unet.state_dict().items())
    assert main(["convert", str(tmp_path / "unet")]) == 0
    assert "is there already" in capsys.readouterr().out
    assert main(["convert", str(tmp_path / "scheduler")]) == 1


PEAK = """
import sys, threading
from vsr_adapter.backbones import UpscaleUNetPart
import json, torch

def anonymous():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("RssAnon"))

part = UpscaleUNetPart(sys.argv[1], precision=sys.argv[2])
torch.zeros(8).to(torch.bfloat16)
before, peak, done = anonymous(), 0, threading.Event()

def watch():
    global peak
    while not done.wait(0.002):
        peak = max(peak, anonymous())

watcher = threading.Thread(target=watch)
watcher.start()
part.load()
done.set()
watcher.join()
weights = sum(p.numel() * p.element_size() for p in part.parameters()) / 1024
print(json.dumps({"ratio": (max(peak, anonymous()) - before) / weights, "weights_mb": weights / 1024}))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="RssAnon is Linux's")
@pytest.mark.parametrize(("kind", "precision"), [("safetensors", "float32"), ("bin", "bfloat16")])
def test_loading_keeps_little_more_than_the_weights_in_memory(tmp_path, kind, precision):
    wide = {**SMALL, "block_out_channels": [256, 512]}
    publish(tmp_path, kind, wide)
    command = [sys.executable, "-c", PEAK, str(tmp_path), precision]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert said["weights_mb"] > 40
    assert said["ratio"] < 1.3


def add_text_encoder(folder, dim=24):
    """A tiny CLIP text encoder in transformers' format."""
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    (folder / "words").mkdir()
    letters = [chr(c) for c in range(97, 123)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    (folder / "words" / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "words" / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer.from_pretrained(folder / "words", model_max_length=7).save_pretrained(folder / "tokenizer")
    torch.manual_seed(3)
    config = CLIPTextConfig(
        vocab_size=len(words), hidden_size=dim, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=7, bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    encoder = CLIPTextModel(config).eval()
    encoder.save_pretrained(folder / "text_encoder")
    return encoder


def test_null_tokens_are_the_encoded_empty_prompt_and_are_kept_beside_the_weights(tmp_path):
    publish(tmp_path)
    encoder = add_text_encoder(tmp_path)
    backbone = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    with torch.no_grad():  # begin of text, then its end, which also pads
        expected = encoder(torch.tensor([[0, 1, 1, 1, 1, 1, 1]])).last_hidden_state
    torch.testing.assert_close(backbone.null_tokens, expected)
    assert (tmp_path / "null_tokens.safetensors").is_file()
    for name in ("text_encoder", "tokenizer"):
        (tmp_path / name).rename(tmp_path / f"no_{name}")
    again = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    assert torch.equal(again.null_tokens, backbone.null_tokens)


def test_without_a_text_encoder_the_null_tokens_are_zeros_and_that_is_said(tmp_path):
    publish(tmp_path)
    with pytest.warns(UserWarning, match="no text_encoder/ and tokenizer/ beside it, so the null tokens are zeros"):
        backbone = Backbone(UpscaleUNetPart(str(tmp_path)), VideoVAEPart(str(tmp_path))).load()
    assert torch.equal(backbone.null_tokens, torch.zeros(1, 77, 24))
