"""Published weights: where they are, and how they get into a network without being in memory twice."""

import json
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from zipfile import is_zipfile

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision, random_weights

Network = TypeVar("Network", bound=nn.Module)

PARTS = ("unet", "transformer", "vae", "scheduler", "low_res_scheduler", "text_encoder", "tokenizer")
WEIGHT_SUFFIXES = (".safetensors", ".bin", ".pt")
# as diffusers saves them; the half-precision variants last, for folders that hold nothing else
DIFFUSERS_WEIGHTS = [
    f"diffusion_pytorch_model{variant}{suffix}" for variant in ("", ".fp16") for suffix in (".safetensors", ".bin")
]


def home(source: str) -> Path:
    """The folder that holds a checkpoint's parts, where ``source`` is it, the folder of one part, or a file."""
    path = Path(source).parent if Path(source).is_file() else Path(source)
    return path.parent if path.name in PARTS else path


def locate(source: str, part: str, names: list[str], revision: str | None = None) -> Path | None:
    """A file of a checkpoint, by the first of ``names`` that is there.

    Args:
        source: the published folder, the folder of the part in it, a single file, or a Hub id.
        part: subfolder as published: ``unet``, ``vae``, ``scheduler`` ...
        names: file names, the preferred one first.
        revision: of the Hub repository.

    Raises:
        UserError: ``source`` is nothing on disk and cannot be had from the Hub.
    """
    path = Path(source)
    if path.is_file():
        return path if path.suffix != ".json" and not any(name.endswith(".json") for name in names) else None
    if path.is_dir():
        folders = (path / part, path, home(source) / part)
        return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)
    unreachable: LocalEntryNotFoundError | None = None
    for name in names:
        try:
            return Path(hf_hub_download(source, f"{part}/{name}", revision=revision))
        except LocalEntryNotFoundError as error:
            unreachable = error  # the next name may have been fetched before
        except EntryNotFoundError:
            continue
        except (HfHubHTTPError, HFValidationError) as error:
            raise UserError(f"{source}: neither a folder nor a Hub id that can be read; check it") from error
    if unreachable is not None:
        raise UserError(
            f"{source}: {part}/{names[0]} is not on disk, and the Hub cannot be reached; pass a folder"
        ) from unreachable
    return None


def required(source: str, part: str, names: list[str], revision: str | None = None) -> Path:
    """`locate`, for a file that must be there.

    Raises:
        UserError: it is missing.
    """
    found = locate(source, part, names, revision)
    if found is None:
        raise UserError(f"{source}: has no {part}/{' or '.join(names)}; complete the folder, or name another source")
    return found


def read_json(path: Path) -> dict[str, Any]:
    """A config.

    Raises:
        UserError: not JSON.
    """
    try:
        return json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not JSON ({error}); fetch it again") from error


def published_config(
    source: str | None, part: str, name: str, revision: str | None = None, config: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The config given, or that of the checkpoint; empty for random weights and single files.

    Args:
        source: see `locate`; None for random weights.
        part: see `locate`.
        name: of the config's file.
        revision: see `locate`.
        config: goes before the published one.

    Raises:
        UserError: the checkpoint has none.
    """
    if config is not None or source is None or source.endswith(WEIGHT_SUFFIXES):
        return config or {}
    return read_json(required(source, part, [name], revision))


def published_network(
    build: Callable[[], Network],
    source: str | None,
    part: str,
    names: list[str],
    revision: str | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    rename: Callable[[str], str] = lambda name: name,
) -> Network:
    """A network with the weights of ``source``, or with random ones that ``seed`` names.

    Args:
        build: makes the network.
        source: see `locate`; None for random weights.
        part: see `locate`.
        names: of the weights' file, the preferred one first.
        revision: see `locate`.
        seed: of random weights.
        precision: of the weights.
        rename: see `load_network`.

    Raises:
        UserError: no such file, or one of another architecture.
    """
    if source is None:
        with random_weights(seed):
            network = build()
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                parameter.data = parameter.to(stored_as(network, name, precision))
        return network
    return load_network(build, required(source, part, names, revision), precision, rename)


def stored_as(network: nn.Module, name: str, precision: Precision) -> torch.dtype:
    """The precision of one of a network's tensors: float32 for those that its class keeps so, such as times."""
    kept = getattr(network, "_keep_in_fp32_modules", None) or []
    return torch.float32 if any(part in name for part in kept) else getattr(torch, precision)


@contextmanager
def tensors(path: Path) -> Iterator[tuple[list[str], Callable[[str], Tensor]]]:
    """Names of a weights file, and a function that reads one tensor; safetensors and zipped pickles are mapped.

    Raises:
        UserError: truncated, damaged, or a pickle that holds code.
    """
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "pt") as file:
                yield list(file.keys()), file.get_tensor
        except SafetensorError as error:
            raise UserError(f"{path}: cannot be read ({error}); it may be truncated, fetch it again") from error
        return
    mapped = is_zipfile(path)
    if not mapped:
        warnings.warn(
            f"{path}: an old pickle, read whole into memory; `vsr convert` makes it safetensors", stacklevel=2
        )
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path}: truncated, damaged, or a pickle that holds code; fetch it again") from error
    state = state.get("ema", state)  # LaVie's file holds one state dict under that key
    yield list(state), state.__getitem__


def load_network(
    build: Callable[[], Network],
    path: Path,
    precision: Precision = "float32",
    rename: Callable[[str], str] = lambda name: name,
) -> Network:
    """A network with the weights of a file, strictly; read tensor by tensor, so that nothing is in memory twice.

    Args:
        build: makes the network; called on the meta device.
        path: .safetensors, or a pickle of a state dict (.bin, .pt).
        precision: of the weights.
        rename: from the file's names to the network's.

    Raises:
        UserError: names that miss or are left over, or shapes of another architecture.
    """
    with torch.device("meta"):
        network = build()
    wanted = network.state_dict()
    with tensors(path) as (names, read):
        found = {rename(name): name for name in names}
        missing = [name for name in wanted if name not in found]
        left = [name for name in found if name not in wanted]
        if missing or left:
            said = [f"misses {', '.join(missing[:3])} ({len(missing)} in all)"] if missing else []
            said += [f"has {', '.join(left[:3])} left over ({len(left)} in all)"] if left else []
            raise UserError(f"{path}: {' and '.join(said)}; it belongs to another config, pass that one")
        state = {}
        for name, original in found.items():
            tensor = read(original)
            if tensor.shape != wanted[name].shape:
                raise UserError(
                    f"{path}: {original} is {tuple(tensor.shape)}, the config gives {tuple(wanted[name].shape)}; "
                    "it belongs to another config, pass that one"
                )
            state[name] = tensor.to(stored_as(network, name, precision), copy=True)
    network.load_state_dict(state, assign=True)
    assert not any(tensor.is_meta for tensor in network.buffers()), "a buffer that no checkpoint holds"
    return network
