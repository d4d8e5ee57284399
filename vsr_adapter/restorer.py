"""The Python door: a `Restorer` for notebooks and programs."""

from argparse import ArgumentError
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from jsonargparse import ArgumentParser

from vsr_adapter.errors import UserError, unwrapped
from vsr_adapter.front import find_config
from vsr_adapter.model import VSRModel
from vsr_adapter.module import AdapterModule
from vsr_adapter.restore import restore


def parse_model(path: str | Path, **settings: Any) -> VSRModel:
    """The stack of a config, not loaded.

    Args:
        path: a YAML file, or the name of a shipped one.
        settings: of the config's ``model`` part, dots as double underscores.

    Raises:
        UserError: no such config, or parts that do not fit.
    """
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--config", action="config")
    parser.add_class_arguments(AdapterModule, "model", sub_configs=True)
    # parts of the config that are not ours to use
    others: dict[str, Any] = {"data": dict, "trainer": dict, "report": dict, "seed_everything": int, "ckpt_path": str}
    for other, kind in others.items():
        parser.add_argument(f"--{other}", type=kind | None)
    overrides = [f"--model.{name.replace('__', '.')}={value}" for name, value in settings.items()]
    try:
        parsed = parser.parse_args(["--config", str(find_config(str(path))), *overrides])
    except ArgumentError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}; see `vsr predict --help`") from error
    with unwrapped():
        return parser.instantiate(parsed).model.model


class Restorer:
    """Upscales streams of frames.

    Args:
        model: loaded here, if it is not yet.
        device: where to run.
        precision: ``32-true``, or ``bf16-mixed`` for autocast.
    """

    def __init__(self, model: VSRModel, device: str = "cpu", precision: str = "32-true"):
        self.model = model.load().to(device).eval()
        self.device = device
        self.precision = precision

    @classmethod
    def from_config(
        cls,
        path: str | Path,
        adapter: str | Path | None = None,
        device: str = "cpu",
        precision: str = "32-true",
        **settings: Any,
    ) -> Self:
        """The stack of a config, as `vsr predict --config PATH` runs it.

        Args:
            path: a YAML file, or the name of a shipped one.
            adapter: exported adapter.
            device: where to run.
            precision: ``32-true`` or ``bf16-mixed``.
            settings: of the config's ``model`` part, dots as double underscores: ``sampler__steps=10``.

        Raises:
            UserError: no such config, or parts that do not fit.
        """
        if adapter is not None:
            settings["adapter_file"] = adapter
        return cls(parse_model(path, **settings), device, precision)

    def restore(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Upscales a stream in constant memory.

        Args:
            frames: RGB, shape (H, W, 3), uint8 or float in [0, 1].

        Yields:
            As many frames of the same dtype, shape (H * scale, W * scale, 3).
        """
        stream = restore(self.model, frames)
        while True:
            # autocast must not leak into the caller's code between two frames
            with self.autocast():
                frame = next(stream, None)
            if frame is None:
                return
            yield frame

    def autocast(self) -> Any:
        """The context that ``precision`` asks for."""
        if self.precision == "bf16-mixed":
            return torch.autocast(torch.device(self.device).type, torch.bfloat16)
        return nullcontext()
