"""Own keys and values through the user's door: trained alone, exported, loaded, and refused where they do not fit."""

import re
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tests.fitting import checkpoint
from tests.stacks import CONFIGS, STACKS, backbone, one_of_each_denoiser
from vsr_adapter.adapters import LinearLinear
from vsr_adapter.adapters.files import describe, save_adapter
from vsr_adapter.cli import main
from vsr_adapter.frozen import fingerprint
from vsr_adapter.inference.config import read_model
from vsr_adapter.inference.info import info
from vsr_adapter.inference.memory import activations
from vsr_adapter.sampling import Tiling

OWN = {"class_path": "vsr_adapter.adapters.DecoupledCrossAttention"}
QUIET = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]


def write_config(folder: Path, name: str, **backbone_settings: bool) -> Path:
    """tiny.yaml with that backbone and own keys and values; three frames, for Wan five."""
    whole = yaml.safe_load((CONFIGS / "tiny.yaml").read_text())
    frames = 5 if name == "tiny_wan" else 3
    sizes = {"frames": frames, "tokens": 100, "in_dim": 64, "own_tokens": 4}
    piece = yaml.safe_load((STACKS / f"{name}.yaml").read_text())
    piece["init_args"] |= backbone_settings
    whole["model"] |= {"backbone": piece, "adapter": {**OWN, "init_args": sizes}, "objective": "prediction"}
    whole["model"]["sampling"] |= {"overlap": 1, "noise_level": 20}
    whole["data"] |= {"frames": frames}
    whole["trainer"]["callbacks"] = whole["trainer"]["callbacks"][:1]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(whole))
    return path


@pytest.fixture(scope="module", params=one_of_each_denoiser())
def trained(request, clips, tmp_path_factory):
    """Config, checkpoint and exported file of a stack after an epoch, computed with gradient checkpointing."""
    folder = tmp_path_factory.mktemp(request.param)
    config = write_config(folder, request.param, gradient_checkpointing=True)
    data = [f"--data.train={clips / 'train'}", f"--data.val={clips / 'val'}", f"--trainer.default_root_dir={folder}"]
    assert (
        main(["fit", "--config", str(config), *data, *QUIET, "--model.optimizer.lr=0.05", "--trainer.max_epochs=1"])
        == 0
    )
    file = folder / "own.safetensors"
    assert main(["export", str(checkpoint(folder)), str(file)]) == 0
    return config, checkpoint(folder), file


def validation_loss(capsys, clips: Path, config: Path, *more: object) -> float:
    capsys.readouterr()
    data = [f"--data.val={clips / 'val'}", *QUIET]
    assert main(["validate", "--config", str(config), *data, *map(str, more)]) == 0
    return float(re.search(r"val/loss\s*│?\s*([\d.]+)", capsys.readouterr().out).group(1))


def test_training_moves_the_adapter_and_it_alone_and_its_file_is_the_checkpoint(trained, clips, capsys):
    config, ckpt, file = trained
    made = read_model(config).load()
    layers, state = made.adapter.state_dict(), load_file(file)
    kept = torch.load(ckpt, weights_only=True)["state_dict"]
    assert state.keys() == kept.keys() == layers.keys()
    assert all(torch.equal(state[name], kept[name]) for name in state)
    moved = [name for name in state if not torch.equal(state[name], layers[name])]
    assert {name for name in state if name.endswith("to_v.weight")} <= set(moved)
    assert {name for name in state if name.endswith("to_k.weight")} <= set(moved)
    assert all(state[name].any() and not layers[name].any() for name in state if name.endswith("to_v.weight"))
    # it lowers the loss, from the checkpoint as from the file
    off = validation_loss(capsys, clips, config, "--model.sampling.condition=off")
    loss = validation_loss(capsys, clips, config, "--adapter", file)
    assert loss == validation_loss(capsys, clips, config, "--ckpt_path", ckpt)
    assert loss < off
    # detached, the backbone is that of another process
    loaded = read_model(config, adapter_file=file).load()
    loaded.adapter.detach(loaded.backbone.unet)
    fresh = backbone(config.stem).load()
    assert fingerprint(loaded.backbone) == fingerprint(fresh)
    assert loaded.backbone.state_dict().keys() == fresh.state_dict().keys()


@pytest.mark.parametrize("name", ["tiny_ali_kl", "tiny_wan"])
def test_memory_and_costs_are_counted_with_the_layers(name, tmp_path):
    config = write_config(tmp_path, name)
    stack = read_model(config).load()
    assert activations(stack, Tiling(16, 4), 16, 16) > 0
    count = sum(p.numel() for p in stack.adapter.parameters())
    table = info(config, size=16, frames=stack.window, steps=1)
    assert re.search(rf"adapter DecoupledCrossAttention +{count:,} +trainable", table)
    assert f"4 own tokens x {stack.backbone.unet.own_dim}, for {len(stack.adapter.widths)} attentions" in table


def refused(capsys, clips: Path, config: Path, *more: object) -> str:
    capsys.readouterr()
    assert main(["validate", "--config", str(config), f"--data.val={clips / 'val'}", *QUIET, *map(str, more)]) == 1
    return capsys.readouterr().err.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Of tiny_ali_kl, untrained."""
    folder = tmp_path_factory.mktemp("exported")
    config, file = write_config(folder, "tiny_ali_kl"), folder / "own.safetensors"
    adapter = read_model(config).adapter
    save_adapter(file, adapter.state_dict(), describe(adapter), {})
    return config, file


def test_what_does_not_fit_is_refused_by_what_differs(exported, clips, tmp_path, capsys):
    config, file = exported
    other = write_config(tmp_path, "tiny_upscale_sft")
    assert re.search(
        r"widths\.\S+ is None, the configured adapter's is 64; use", refused(capsys, clips, other, "--adapter", file)
    )
    wan = write_config(tmp_path, "tiny_wan")
    assert "frames is 3, the configured adapter's is 5" in refused(capsys, clips, wan, "--adapter", file)
    wide = yaml.safe_load(config.read_text())
    unet = wide["model"]["backbone"]["init_args"]["unet"]["init_args"]["config"]
    unet["cross_attention_dim"] = 48
    (tmp_path / "wide.yaml").write_text(yaml.safe_dump(wide))
    error = refused(capsys, clips, tmp_path / "wide.yaml", "--adapter", file)
    assert "dim is 32, the configured adapter's is 48" in error
    tokens = LinearLinear(3, 100, 64, 32)
    save_adapter(tmp_path / "tokens.safetensors", tokens.state_dict(), describe(tokens), {})
    error = refused(capsys, clips, config, "--adapter", tmp_path / "tokens.safetensors")
    assert "class_path is vsr_adapter.adapters.linear.LinearLinear, the configured adapter's is" in error
    error = refused(capsys, clips, CONFIGS / "tiny.yaml", "--adapter", file)
    assert "class_path is vsr_adapter.adapters.own.DecoupledCrossAttention, the configured adapter's is" in error
    heads = yaml.safe_load(config.read_text())
    heads["model"]["adapter"]["init_args"]["heads"] = 4
    (tmp_path / "heads.yaml").write_text(yaml.safe_dump(heads))
    error = refused(capsys, clips, tmp_path / "heads.yaml", "--adapter", file)
    assert "heads is 8, the configured adapter's is 4" in error


def test_help_explains_the_class_and_the_preset_names_it(capsys):
    assert main(["fit", "--config=tiny.yaml", "--model.adapter.help=DecoupledCrossAttention"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "keys and values of its own beside the text's" in out
    assert "--model.adapter.own_tokens" in out
    preset = yaml.safe_load((CONFIGS / "adapter" / "own_keys_values.yaml").read_text())
    assert preset["class_path"] == OWN["class_path"]
    assert preset["init_args"] == {"frames": 8, "tokens": 196, "in_dim": 768, "own_tokens": 16}
