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
from tests.published import SCHEDULE, error, publish, publish_diffusers
from vsr_adapter.backbones import (
    KLVAE,
    Backbone,
    ModelScopeUNet,
    SDx4UNet,
    UpscaleUNetPart,
    VideoVAEPart,
)
from vsr_adapter.cli import main


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


def test_missing_parts_are_named(tmp_path):
    publish(tmp_path)
    (tmp_path / "low_res_scheduler" / "scheduler_config.json").unlink()
    assert "has no low_res_scheduler/scheduler_config.json" in error(lambda: UpscaleUNetPart(str(tmp_path)))
    (tmp_path / "vae" / "vae_3d.bin").unlink()
    assert "has no vae/vae_3d.safetensors or vae_3d.bin" in error(lambda: VideoVAEPart(str(tmp_path), sft=False).load())
    assert "is not on disk, and the Hub cannot be reached" in error(lambda: UpscaleUNetPart("nobody/nothing"))


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


@pytest.mark.parametrize(("name", "unet"), [("tiny_sdx4", SDx4UNet), ("tiny_ali_kl", ModelScopeUNet)])
def test_diffusers_folders_load_whole_and_by_part(tmp_path, name, unet):
    saved = publish_diffusers(tmp_path, name)
    for sources in [(tmp_path, tmp_path), (tmp_path / "unet", tmp_path / "vae")]:
        again = Backbone(unet(str(sources[0])), KLVAE(str(sources[1]))).load()
        assert again.capabilities.unet.scheduler_config == SCHEDULE
        assert again.capabilities.vae == saved.capabilities.vae
        for part in ("unet", "vae"):
            loaded = getattr(again, part).network.state_dict()
            for key, tensor in getattr(saved, part).network.state_dict().items():
                assert torch.equal(tensor, loaded[key])
    for folder in ("scheduler", "low_res_scheduler"):
        (tmp_path / folder / "scheduler_config.json").unlink()
    assert "has no scheduler/scheduler_config.json" in error(lambda: unet(str(tmp_path / "unet")))


def test_an_autoencoder_saved_before_diffusers_renamed_its_attention_loads(tmp_path):
    saved = publish_diffusers(tmp_path, "tiny_sdx4").vae.network.state_dict()
    path = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for key, tensor in saved.items():
        for new, name in old.items():
            key = key.replace(f"attentions.0.{new}.", f"attentions.0.{name}.")
        renamed[key] = tensor
    assert renamed.keys() != saved.keys()
    save_file(renamed, path)
    loaded = KLVAE(str(tmp_path)).load().network.state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in saved.items())


def test_a_hub_id_in_diffusers_format_loads(hub):
    saved = publish_diffusers(hub, "tiny_sdx4").unet.network.state_dict()
    loaded = SDx4UNet("lab/upscaler", revision="v1").load().network.state_dict()
    assert all(torch.equal(tensor, loaded[key]) for key, tensor in saved.items())
