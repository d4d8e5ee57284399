"""Adapters as files: safetensors with what made them, and what a checkpoint says of its adapter."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vsr_adapter.adapters.base import Adapter
from vsr_adapter.errors import UserError

FORMAT = "vsr_adapter/1"


def describe(adapter: Adapter) -> dict[str, Any]:
    """What tells whether weights fit an adapter: its class, its dimensions, and its denoiser's where it has those.

    Args:
        adapter: fitted to a denoiser.
    """
    kind = type(adapter)
    return {"format": FORMAT, "class_path": f"{kind.__module__}.{kind.__qualname__}", **adapter.description()}


def entries(description: dict[str, Any]) -> dict[str, Any]:
    """The same with a name for each entry of a dictionary in it: ``widths.mid_block.attn2``."""
    flat: dict[str, Any] = {}
    for name, value in description.items():
        flat |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return flat


def check_fits(adapter: Adapter, description: dict[str, Any], source: str) -> None:
    """Refuses weights of another class or other dimensions.

    Raises:
        UserError: names the first entry that differs.
    """
    ours, theirs = entries(describe(adapter)), entries(description)
    for key in [*ours, *theirs]:
        if theirs.get(key) != ours.get(key):
            raise UserError(
                f"{source}: {key} is {theirs.get(key)}, the configured adapter's is {ours.get(key)}; "
                "use the config that trained it, or another file"
            )


def save_adapter(path: Path, state: dict[str, Tensor], description: dict[str, Any], made_by: dict[str, Any]) -> None:
    """Writes an adapter as safetensors.

    Args:
        path: must not exist.
        state: the adapter's state dict.
        description: of `describe`.
        made_by: what made it: backbone, encoder, step ...; stored as JSON.

    Raises:
        UserError: ``path`` exists.
    """
    if path.exists():
        raise UserError(f"{path}: exists; export never overwrites, choose another name or remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"adapter": json.dumps(description), "made_by": json.dumps(made_by)}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path, metadata)


def load_adapter(adapter: Adapter, path: Path) -> dict[str, Any]:
    """Loads an exported adapter, strictly.

    Returns:
        What made it.

    Raises:
        UserError: no such file, not an adapter of ours, or one of another class or other dimensions.
    """
    if not path.is_file():
        raise UserError(f"--adapter {path}: no such file; `vsr export CKPT FILE` writes one")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except SafetensorError as error:
        raise UserError(
            f"--adapter {path}: not a safetensors file ({error}); `vsr export CKPT FILE` writes one"
        ) from error
    if "adapter" not in metadata:
        raise UserError(f"--adapter {path}: no adapter of vsr_adapter; `vsr export CKPT FILE` writes one")
    check_fits(adapter, json.loads(metadata["adapter"]), f"--adapter {path}")
    adapter.load_state_dict(state, strict=True)
    return json.loads(metadata["made_by"])
