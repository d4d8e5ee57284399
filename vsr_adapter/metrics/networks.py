"""The shipped networks of the perceptual metrics: nothing is downloaded."""

import warnings
from importlib.resources import as_file, files
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import vgg16

from vsr_adapter.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def shipped(name: str) -> dict[str, Tensor]:
    """Weights beside this module, in float32."""
    with as_file(files("vsr_adapter.metrics") / "weights" / f"{name}.safetensors") as path:
        return {key: tensor.float() for key, tensor in load_file(path).items()}


def lpips_network(net: Literal["alex", "vgg"], trunk: Path | None) -> nn.Module:
    """LPIPS v0.1: `lpips`' own network and heads, on trunk weights that are here.

    Args:
        net: ``alex`` or ``vgg``.
        trunk: convolution weights by their number in torchvision's ``features``; None takes the shipped AlexNet.

    Raises:
        UserError: VGG16 without weights, or weights that do not fit.
    """
    import lpips  # here, since it takes seconds

    if net == "vgg" and trunk is None:
        raise UserError(
            "lpips trunk of vgg: not shipped (59 MB); write it with recipes/lpips/convert.py --vgg16 FILE, and pass it"
        )
    weights = shipped("alexnet") if trunk is None else load_file(trunk)
    with torch.device("meta"), warnings.catch_warnings():
        # torchvision warns of the names that lpips 0.1.4 calls it by
        warnings.simplefilter("ignore", UserWarning)
        network = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    heads = torch.load(Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth", "cpu", weights_only=True)
    # `net.slice2.3.weight` is `3.weight` of torchvision's features
    names = {name: name.split(".", 2)[2] for name in network.state_dict() if name.startswith("net.")}
    missing = set(names.values()) ^ set(weights)
    if missing:
        raise UserError(f"{trunk}: {sorted(missing)[0]} is missing or too many; write it with recipes/lpips/convert.py")
    # not strict: the heads have two names each, and the constants of the scaling layer are not in a file
    network.load_state_dict(heads | {name: weights[key] for name, key in names.items()}, strict=False, assign=True)
    return network.eval().requires_grad_(False)


class VGGFeatures(nn.Module):
    """VGG16 up to ``relu3_3``: 256 channels at a quarter of the size, each position scaled to length 1."""

    stride = 4
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        with torch.device("meta"):
            self.layers = vgg16(weights=None).features[:16]
        self.layers.load_state_dict(shipped("vgg16_relu3_3"), assign=True)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None])
        self.eval().requires_grad_(False)

    def forward(self, frame: Tensor) -> Tensor:
        """Features of a frame in [0, 1].

        Args:
            frame: RGB, shape (3, H, W).

        Returns:
            Shape (256, H // 4, W // 4).
        """
        features = self.layers(((frame.float() - self.mean) / self.std)[None])[0]
        return nn.functional.normalize(features, dim=0)
