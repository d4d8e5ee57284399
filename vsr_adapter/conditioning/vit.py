"""The frozen vision transformer: low-resolution frames to patch tokens (section 3.2 of the thesis)."""

import json
from pathlib import Path

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor
from torchvision.transforms.v2.functional import InterpolationMode, normalize, resize

from vsr_adapter.assets import shipped
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import FrozenPart, random_weights

INTERPOLATION = {mode.value: mode for mode in InterpolationMode}


class FrozenViT(FrozenPart):
    """A timm vision transformer, applied frame by frame; class and register tokens are dropped.

    The network keeps its classifier head, unused, so that its parameters are those that Table 4.6 counts
    (86,567,656 for the default).

    Args:
        name: of a timm vision transformer.
        weights: a file with its weights, a folder of exported ones (with ``encoder/``), ``mini`` for the shipped
            folder, ``pretrained`` to get timm's from the Hub, or None for random ones.
        seed: of random weights.

    Attributes:
        tokens: patch tokens of a frame, N.
        dim: their width, D.
    """

    def __init__(self, name: str = "vit_base_patch16_224", weights: str | None = None, seed: int = 0):
        super().__init__(random=weights is None)
        if not timm.is_model(name):
            raise UserError(f"encoder {name!r}: no such timm model; timm.list_models('*vit*') lists them")
        self.name, self.weights, self.seed = name, weights, seed
        with torch.device("meta"):
            plan = timm.create_model(name)
        if not hasattr(plan, "num_prefix_tokens"):
            raise UserError(f"encoder {name!r}: not a vision transformer of patch tokens; choose a timm vit_*")
        preprocessing = resolve_data_config(model=plan)
        self.input_size: tuple[int, int] = preprocessing["input_size"][1:]
        self.mean, self.std = list(preprocessing["mean"]), list(preprocessing["std"])
        self.interpolation = INTERPOLATION[preprocessing["interpolation"]]
        self.tokens: int = plan.patch_embed.num_patches
        self.dim: int = plan.num_features

    def build(self) -> None:
        """Reads the weights."""
        if self.weights is None:
            with random_weights(self.seed):
                self.network = timm.create_model(self.name)
        elif self.weights == "pretrained":
            self.network = timm.create_model(self.name, pretrained=True)
        else:
            overlay = {"file": str(self.file(self.weights)), "custom_load": False}
            self.network = timm.create_model(self.name, pretrained=True, pretrained_cfg_overlay=overlay)

    def file(self, weights: str) -> Path:
        """The file of ``weights``, which may be a folder that says which transformer's they are.

        Raises:
            UserError: there is none, or it is another transformer's.
        """
        path = Path(shipped(weights))
        config = path / "encoder" / "config.json"
        if config.is_file():
            name = json.loads(config.read_text())["name"]
            if name != self.name:
                raise UserError(f"encoder.weights {weights}: a {name}'s, not a {self.name}'s; set encoder.name {name}")
            path = path / "encoder" / "model.safetensors"
        if not path.is_file():
            raise UserError(f"encoder.weights {weights}: no such file; pass a file, 'mini', 'pretrained' or null")
        return path

    def forward(self, video: Tensor) -> Tensor:
        """Patch tokens of every frame.

        Args:
            video: in [0, 1], shape (B, T, 3, h, w), any size: resized to the network's input.

        Returns:
            Shape (B, T, N, D).
        """
        frames = resize(video.flatten(0, 1), list(self.input_size), self.interpolation, antialias=True)
        features = self.network.forward_features(normalize(frames, self.mean, self.std))
        patches = features[:, self.network.num_prefix_tokens :]
        return patches.unflatten(0, video.shape[:2])
