"""The Python door: a `Restorer` for notebooks and programs."""

from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from vsr_adapter.inference.config import read_model
from vsr_adapter.inference.streaming import upscale_stream
from vsr_adapter.model import VSRModel


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
            settings: of the config's ``model`` part, dots as double underscores: ``sampling__seed=1``.

        Raises:
            UserError: no such config, or parts that do not fit.
        """
        if adapter is not None:
            settings["adapter_file"] = adapter
        return cls(read_model(path, **settings), device, precision)

    def restore(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Upscales a stream in constant memory.

        Args:
            frames: RGB, shape (H, W, 3), uint8 or float in [0, 1].

        Yields:
            As many frames of the same dtype, shape (H * scale, W * scale, 3).
        """
        stream = upscale_stream(self.model, frames)
        while True:
            # autocast must not leak into the caller's code between two frames
            with autocast(torch.device(self.device), self.precision):
                frame = next(stream, None)
            if frame is None:
                return
            yield frame


def autocast(device: torch.device, precision: str) -> Any:
    """The context that a precision asks for."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
