"""Small networks, saved as the published checkpoints are."""

import json

import pytest
import torch
from safetensors.torch import save_file

from tests.backbones.test_upscale import SMALL
from tests.stacks import backbone
from vsr_adapter.backbones import UpscaleUNet, VideoVAE
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


def publish_diffusers(folder, name):
    """A tiny twin as diffusers saves it, schedules included; returns its networks."""
    loaded = backbone(name).load()
    for part in ("unet", "vae"):
        getattr(loaded, part).network.save_pretrained(folder / part)
    for part in ("scheduler", "low_res_scheduler"):
        (folder / part).mkdir()
        (folder / part / "scheduler_config.json").write_text(json.dumps(SCHEDULE))
    return loaded


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


def error(call) -> str:
    with pytest.raises(UserError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)
