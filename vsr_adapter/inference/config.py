"""The stack of a config, without Lightning."""

from argparse import ArgumentError
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from vsr_adapter.adapters import Adapter
from vsr_adapter.assets import find_config
from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.errors import UserError, unwrapped
from vsr_adapter.frozen import random_weights
from vsr_adapter.model import VSRModel
from vsr_adapter.renamed import check_config, check_moved
from vsr_adapter.sampling import DEFAULT_SAMPLING, Sampling


def stack(
    backbone: Backbone,
    encoder: FrozenViT,
    adapter: Adapter | None = None,
    adapter_file: Path | None = None,
    scale: int = 4,
    sampling: Sampling = DEFAULT_SAMPLING,
    objective: str | None = None,
    time_steps: dict | str | None = None,
    optimizer: dict | str | None = None,
    warmup_steps: int | None = None,
    metrics: list | None = None,
) -> VSRModel:
    """The model of a config's ``model`` part, not loaded; those of its settings that train or score are left alone.

    Args:
        backbone: as `VSRModel`, like the others that are not named here.
        encoder: likewise.
        adapter: likewise.
        adapter_file: exported adapter to take the weights of.
        scale: as `VSRModel`.
        sampling: likewise.
        objective: not read.
        time_steps: not read.
        optimizer: not read.
        warmup_steps: not read.
        metrics: not read.
    """
    model = VSRModel(backbone, encoder, adapter, scale, sampling)
    if adapter_file is not None:
        model.load_adapter(adapter_file)
    return model


def read_model(path: str | Path, **settings: Any) -> VSRModel:
    """The stack of a config, not loaded; an adapter without weights is drawn by the config's ``seed_everything``.

    Args:
        path: a YAML file, or the name of a shipped one.
        settings: of the config's ``model`` part, dots as double underscores.

    Raises:
        UserError: no such config, or parts that do not fit.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_function_arguments(stack, "model", sub_configs=True)
    # parts of the config that are not ours to use
    others: dict[str, Any] = {"data": dict, "trainer": dict, "report": dict, "seed_everything": int, "ckpt_path": str}
    for other, kind in others.items():
        parser.add_argument(f"--{other}", type=kind | None)
    where = find_config(path)
    check_config(where)
    names = [name.replace("__", ".") for name in settings]
    check_moved(names, str(path))
    overrides = [f"--model.{name}={value}" for name, value in zip(names, settings.values(), strict=True)]
    try:
        parsed = parser.parse_args(["--config", str(where), *overrides])
    except ArgumentError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}; see `vsr predict --help`") from error
    # an adapter without weights is the one that the trainer's commands draw
    with unwrapped(), random_weights(parsed.seed_everything or 0):
        return stack(**parser.instantiate(parsed).model)
