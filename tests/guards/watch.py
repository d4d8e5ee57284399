"""Runs through the user's door, and what the networks receive meanwhile."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.vae import Encoder
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from tests.clips import cut, write_folder
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.data.degradations import Bicubic

QUIET = ["logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"]
PLAIN = [
    "--data.size=32",
    "--trainer.callbacks=null",
    "--trainer.num_sanity_val_steps=0",
    *(f"--trainer.{name}=false" for name in QUIET),
]
PSNR = "--model.metrics=[{class_path: vsr_adapter.metrics.PSNR}]"


@contextmanager
def watched(kind: type[nn.Module], look: Callable[[torch.Tensor], Any] = torch.clone) -> Iterator[list[Any]]:
    """What every network of a kind receives first, as it comes; not where memory is counted, on fake tensors."""
    seen: list[Any] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, kind) and not isinstance(inputs[0], FakeTensor):
            seen.append(look(inputs[0].detach()))

    handle = nn.modules.module.register_module_forward_pre_hook(note)
    try:
        yield seen
    finally:
        handle.remove()


def images(video: torch.Tensor) -> np.ndarray:
    """Frames, nominally in [0, 1], shape (..., 3, h, w), as 8-bit images."""
    return (video.clamp(0, 1) * 255).round().byte().movedim(-3, -1).cpu().numpy()


def tensor(frames: Sequence[np.ndarray]) -> torch.Tensor:
    """8-bit images as a clip (T, 3, H, W) in [0, 1]."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous() / 255


def bicubic(frames: Sequence[np.ndarray], scale: int = 4) -> np.ndarray:
    """Low resolution by MATLAB's bicubic, which has golden values of its own."""
    return images(Bicubic()(tensor(frames), scale))


def truths() -> Any:
    """High-resolution clips that the VAE encodes, each of at most 8 frames, (T, H, W, 3)."""
    return watched(Encoder, lambda video: images((video + 1) / 2))


def lows() -> Any:
    """Batches of low-resolution clips that the ViT looks at, (B, T, h, w, 3)."""
    return watched(FrozenViT, images)


def train(folder: Path, *more: object) -> int:
    """One epoch, without validation."""
    alone = ["--trainer.max_epochs=1", "--trainer.limit_val_batches=0", f"--data.train={folder}"]
    return main(["fit", "--config", "tiny.yaml", *PLAIN, *alone, *map(str, more)])


def validate(folder: Path, *more: object) -> int:
    return main(["validate", "--config", "tiny.yaml", *PLAIN, f"--data.val={folder}", *map(str, more)])


def score(folder: Path, *more: object) -> int:
    """`vsr test` of one step, by PSNR alone."""
    return main(["test", "--config", "tiny.yaml", *PLAIN, PSNR, "--steps=1", f"--data.test={folder}", *map(str, more)])


Sources = dict[str, list[np.ndarray]]


def write_set(folder: Path, count: int = 1, frames: int = 8, first: int = 0, size: int = 32) -> Sources:
    """Folders of frames of the sample, each of another part; what they hold, by name."""
    made = {}
    for i in range(first, first + count):
        made[f"clip{i:02d}"] = cut(i, frames, 16 * (i % 8), 16 * i, size, size)
        write_folder(folder / f"clip{i:02d}", made[f"clip{i:02d}"])
    return made


def place(clip: np.ndarray, sources: Sources) -> tuple[str, int]:
    """Which source a clip shows, from which frame on: exactly one."""
    found = [
        (name, start)
        for name, frames in sources.items()
        for start in range(len(frames) - len(clip) + 1)
        if np.array_equal(clip, frames[start : start + len(clip)])
    ]
    assert len(found) == 1, found
    return found[0]
