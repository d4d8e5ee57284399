"""Stage b: the small vision transformer that is the frozen encoder afterwards, by masked prediction.

It sees low-resolution frames as `FrozenViT` shows them to it, with half of the patches greyed out, and predicts the
high-resolution pixels of every patch, normalised as in He et al. 2022 (masked autoencoders): what stands behind the
mask it has to infer from the surroundings, and what the low-resolution frame hides from its texture.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.transforms.v2.functional import normalize, resize

from recipes.mini.footage import Footage, Shape, validation
from recipes.mini.layout import silence
from recipes.mini.training import Stage, mean
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.seeds import generator
from vsr_adapter.types import Clip

NAME = "vit_tiny_patch16_224"
MASKED = 0.5  # share of patches
SHAPES = [Shape(6, 1, 224, 0.6), Shape(6, 1, 320, 0.4)]


class EncoderStage(Stage):
    """Squared error of normalised high-resolution patches.

    Args:
        state: folder that `media.prepare` filled.
        seed: of weights and draws.
        name: of a timm vision transformer.
    """

    name = "encoder"
    network: nn.ModuleDict

    def __init__(self, state: Path, seed: int = 0, name: str = NAME):
        self.state, self.seed = state, seed
        self.frozen = FrozenViT(name, seed=seed).load()  # for its preprocessing; its network trains here
        vit = self.frozen.network.requires_grad_(True)
        self.patch: int = vit.patch_embed.patch_size[0]
        head = nn.Linear(self.frozen.dim, 3 * self.patch**2)
        nn.init.zeros_(head.weight)
        silence(head)
        self.network = nn.ModuleDict({"vit": vit, "head": head})
        self.footage = Footage(state, SHAPES, seed)

    def files(self, network: nn.Module) -> dict[str, nn.Module]:
        """As timm reads it."""
        assert isinstance(network, nn.ModuleDict)
        return {"encoder/model.safetensors": network["vit"], "encoder/head.safetensors": network["head"]}

    def configs(self, network: nn.Module) -> dict[str, dict[str, Any]]:
        """The model's name."""
        return {"encoder/config.json": {"name": self.frozen.name}}

    def loss(self, step: int) -> dict[str, Tensor]:
        """See the class."""
        return self.errors(self.network, self.footage.batch(step), generator("encoder", self.seed, step))

    def errors(self, network: nn.Module, clip: Clip, random: torch.Generator) -> dict[str, Tensor]:
        """Mean over all patches, and over the masked ones alone; 1 is the error of a grey prediction."""
        assert isinstance(network, nn.ModuleDict)
        size = list(self.frozen.input_size)
        low = resize(clip.lr.flatten(0, 1), size, self.frozen.interpolation, antialias=True)
        rows, columns = (side // self.patch for side in size)
        masked = torch.rand(len(low), 1, rows, columns, generator=random) < MASKED
        seen = normalize(low, self.frozen.mean, self.frozen.std) * (~F.interpolate(masked.float(), size).bool())
        vit: Any = network["vit"]
        features = vit.forward_features(seen)[:, vit.num_prefix_tokens :]
        truth = self.patches(resize(clip.hr.flatten(0, 1), size, self.frozen.interpolation, antialias=True))
        error = (network["head"](features) - truth).square().mean(dim=-1)
        return {"total": error.mean(), "masked": error[masked.flatten(1)].mean()}

    def patches(self, frames: Tensor) -> Tensor:
        """Pixels of each patch, of zero mean and unit variance, shape (N, patches, 3 * patch * patch)."""
        patches = F.pixel_unshuffle(frames, self.patch).flatten(2).transpose(1, 2)
        centred = patches - patches.mean(dim=-1, keepdim=True)
        return centred / (centred.square().mean(dim=-1, keepdim=True) + 1e-4).sqrt()  # flat patches stay small

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """The errors on bikes.mp4, masks of seed 0."""
        clips = validation(self.state, frames=1, size=224)
        found = [self.errors(network, clip, generator("encoder", "val")) for clip in clips]
        return {f"val_{name}": mean([one[name].item() for one in found]) for name in ("total", "masked")}
