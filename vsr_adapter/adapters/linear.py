"""linear-linear: the thesis's default adapter."""

import torch.nn.functional as F
from torch import Tensor, nn

from vsr_adapter.adapters.base import TokenAdapter


class LinearLinear(TokenAdapter):
    """Compresses the tokens of all frames into one sequence by one linear layer, and maps it to the text width by two.

    Linear(8 x 196 -> 196) over tokens, Linear(768 -> 1024), Linear(1024 -> 1024): 2,144,580 parameters, the
    2.14 M of Table 4.6 (sections 3.2 and 4.1.9 of the thesis).

    Args:
        frames: frames of a training clip; other numbers resample the fusion weight over time.
        tokens: tokens of a frame, and of the sequence that is made of them.
        in_dim: width of the ViT's tokens.
        text_dim: width of the UNet's cross-attention tokens.
        activation: between the two mapping layers; none in the thesis.
    """

    def __init__(
        self,
        frames: int = 8,
        tokens: int = 196,
        in_dim: int = 768,
        text_dim: int = 1024,
        activation: nn.Module | None = None,
    ):
        super().__init__(frames, tokens, in_dim, text_dim)
        self.fusion = nn.Linear(frames * tokens, tokens)
        self.mapping = nn.Sequential(
            nn.Linear(in_dim, text_dim), activation or nn.Identity(), nn.Linear(text_dim, text_dim)
        )

    def fusion_weight(self, frames: int) -> Tensor:
        """The fusion weight for clips of ``frames`` frames, shape (L, frames x N).

        Resampled linearly over its time axis and rescaled by training frames / ``frames``, so that the tokens keep
        their size; the identity at the training length.
        """
        weight = self.fusion.weight
        if frames == self.frames:
            return weight
        by_frame = weight.view(self.tokens, self.frames, self.tokens).transpose(1, 2)
        resampled = F.interpolate(by_frame, size=frames, mode="linear", align_corners=False)
        return (resampled * (self.frames / frames)).transpose(1, 2).flatten(1)

    def fuse(self, features: Tensor) -> Tensor:
        """Frame-major flattening, one linear over tokens, two over channels."""
        frames = features.shape[1]
        sequence = features.flatten(1, 2).transpose(1, 2)  # (B, D, T * N)
        fused = F.linear(sequence, self.fusion_weight(frames), self.fusion.bias)
        return self.mapping(fused.transpose(1, 2))
