"""Parts whose weights never train."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import blake2b
from typing import Any, Literal, Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from vsr_adapter.errors import UserError

Precision = Literal["float32", "bfloat16", "float16"]
SAMPLED = 64  # elements of each frozen tensor that name the weights: other ones differ everywhere
Network = TypeVar("Network", bound=nn.Module)


class FrozenPart(nn.Module, ABC):
    """A network that is described when constructed, and read from disk by `load`.

    Construction is cheap: dimensions and capabilities can be asked for before gigabytes are read, and
    Lightning calls `load` from ``configure_model``, once in each process.

    Attributes:
        loaded: whether `load` was called.
        random: whether the weights are random ones, for lack of a file.
    """

    def __init__(self, random: bool = False) -> None:
        super().__init__()
        self.random = random
        self.loaded = False

    def load(self) -> Self:
        """Builds the network with its weights, frozen, in eval mode; does nothing the second time."""
        if not self.loaded:
            self.build()
            self.requires_grad_(False)
            self.eval()
            self.loaded = True
        return self

    @abstractmethod
    def build(self) -> None:
        """Creates the submodules and reads their weights."""

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode whatever ``mode`` says: frozen dropout must not act (pytorch-lightning#18930)."""
        return super().train(False)


@contextmanager
def random_weights(seed: int) -> Iterator[None]:
    """Networks built inside have weights that are a function of ``seed``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def fingerprint(network: nn.Module, sampled: int | None = None) -> str:
    """What names a network's weights: 32 hexadecimal digits.

    Args:
        network: with its weights loaded.
        sampled: elements of each tensor that are looked at, evenly spaced, for networks of gigabytes; None for all.
    """
    found = blake2b(digest_size=16)
    for name, tensor in sorted(network.state_dict().items()):
        flat = tensor.detach().flatten()
        if sampled is not None and len(flat) > sampled:
            flat = flat[:: len(flat) // sampled]
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(flat.cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def channels_last(network: Network) -> Network:
    """Lays out the weights of 2-D and 3-D convolutions so, in place; what they compute follows."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        if parameter.ndim == 5:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last_3d)
    return network


class InFloat32(TorchFunctionMode):
    """Computes convolutions, products, attention and norms of half-precision tensors in float32, on the CPU.

    Without AVX-512, torch has only plain loops for them: a full-width step did not end in half an hour. Weights stay
    at their precision; each is converted for its own call.
    """

    heavy = frozenset([
        F.linear, torch.conv1d, torch.conv2d, torch.conv3d, F.conv2d, F.conv3d, F.scaled_dot_product_attention,
        F.group_norm, F.layer_norm, torch.matmul, torch.bmm, torch.baddbmm,
    ])  # fmt: skip

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Converts there and back."""
        kwargs = kwargs or {}
        if function not in self.heavy or not args or args[0].dtype not in (torch.bfloat16, torch.float16):
            return function(*args, **kwargs)
        wide = [x.float() if isinstance(x, Tensor) else x for x in args]
        more = {name: x.float() if isinstance(x, Tensor) else x for name, x in kwargs.items()}
        return function(*wide, **more).to(args[0].dtype)


def lacks_kernels(part: nn.Module) -> bool:
    """Whether the part's weights are of a precision that this CPU has no fast kernels for."""
    weight = next(part.parameters(), None)
    if weight is None or weight.device.type != "cpu":
        return False
    fast = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }.get(weight.dtype)
    return fast is not None and not fast()


@contextmanager
def kernels(part: nn.Module) -> Iterator[None]:
    """Where a part computes: by kernels that its device has for its precision.

    Raises:
        UserError: torch has none at all: old CPUs and old releases lack float16 ones.
    """
    try:
        with InFloat32() if lacks_kernels(part) else nullcontext():
            yield
    except RuntimeError as error:
        if "not implemented for '" not in str(error):
            raise
        raise UserError(
            f"{str(error).splitlines()[0]}: this device has no kernel for that precision; set precision: bfloat16 or "
            "float32 for the part, or run on a GPU"
        ) from error
