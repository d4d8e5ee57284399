"""How much memory a tile takes, before it is computed: on fake tensors, which have shapes and no numbers."""

import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from vsr_adapter.errors import UserError
from vsr_adapter.frozen import kernels
from vsr_adapter.inference.tiles import plan_tiles
from vsr_adapter.model import VSRModel
from vsr_adapter.sampling import Tiling

SIDES = range(160, 31, -16)  # up to twice what adapters are trained on
# a folder of videos has one size of tile; counting takes seconds
COUNTED: WeakKeyDictionary[VSRModel, dict[tuple[int, int, int], int]] = WeakKeyDictionary()
SHARE = 0.8  # of the free memory that `auto` may use


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, and the most that there were."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs the operation, and counts storages that are new."""
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.count(tensor.untyped_storage())
        return result

    def count(self, storage: torch.UntypedStorage) -> None:
        """Adds a storage until it is freed."""
        key = storage._cdata
        if key in self.known:
            return
        size = storage.nbytes()
        self.known.add(key)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.freed, key, size)

    def freed(self, key: int, size: int) -> None:
        """Takes it away again."""
        self.known.discard(key)
        self.now -= size


def activations(model: VSRModel, tiling: Tiling, height: int, width: int) -> int:
    """Bytes of the largest of encoding, denoising and decoding a batch of tiles.

    Args:
        model: with its weights loaded.
        tiling: its size must be a number.
        height: of the frames, in low-resolution pixels.
        width: likewise.
    """
    plan = plan_tiles(height, width, tiling, model.lr_multiple)
    rows, columns = plan.rows[0].stop, plan.columns[0].stop
    batch = min(tiling.batch, len(plan.places))
    known = COUNTED.setdefault(model, {})
    if (batch, rows, columns) not in known:
        known[batch, rows, columns] = counted(model, batch, rows, columns)
    return known[batch, rows, columns]


def counted(model: VSRModel, batch: int, rows: int, columns: int) -> int:
    """`activations` of a batch of tiles of ``rows`` x ``columns`` low-resolution pixels."""
    unet = model.backbone.capabilities.unet
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        lr = torch.empty(batch, model.window, 3, rows, columns, device=model.backbone.device)
        latent = model.backbone.capabilities.latent_shape(model.window, rows * model.scale, columns * model.scale)
        z = torch.empty(batch, *latent, device=lr.device)
        level = torch.zeros(batch, dtype=torch.long, device=lr.device) if unet.needs_low_res else None
        with kernels(model.encoder):
            told = model.told(lr)
        null = model.backbone.null_tokens.expand(batch, -1, -1)
        condition = told.condition(null, lr if unet.needs_low_res else None, level)
        t = torch.zeros(batch, device=lr.device)
        # `kernels` outside: it asks for the real weights' precision
        steps: list[tuple[Any, Callable[[], Tensor]]] = [
            (model.backbone.unet, lambda: model.backbone.unet.denoise(z, t, condition)),
            (model.backbone.vae, lambda: model.decode(z, lr)),
            (model.encoder, lambda: model.encoder(lr)),
        ]
        peaks = []
        for part, step in steps:
            with kernels(part), Peak() as peak:
                step()
            peaks.append(peak.most)
    return max(peaks)


def frame_buffers(model: VSRModel, height: int, width: int) -> int:
    """Bytes of upscaled frames that are held at once: a window, the tail of the one before, and their blend."""
    return 3 * model.window * 3 * height * width * model.scale**2 * 4


def free(device: torch.device) -> int:
    """Bytes that can still be had: of the device, or of main memory."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable"))


def fitting_tiles(model: VSRModel, height: int, width: int) -> Tiling:
    """The model's tiling with a number for ``auto``: the largest tile that fits.

    Raises:
        UserError: none fits.
    """
    tiles = model.sampling.tiles
    if tiles.size != "auto":
        return tiles
    room = free(model.backbone.device) * SHARE - frame_buffers(model, height, width)
    sides = [replace(tiles, size=side, overlap=min(tiles.overlap, side // 4)) for side in SIDES]
    reference = sides[-1]
    # activations grow with the area: convolutions by themselves, attention by the kernels that never hold its matrix
    area = activations(model, reference, SIDES[-1], SIDES[-1]) / SIDES[-1] ** 2
    for tiling in sides:
        if area * int(tiling.size) ** 2 < room:
            return tiling
    raise UserError(f"tile auto: not even one of {SIDES[-1]} fits into {room / 1e9:.1f} GB; use a larger machine")
