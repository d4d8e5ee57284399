"""Tokens that know nothing of the clip: what an adapter must beat, since learned tokens alone may tune a UNet."""

import torch
from torch import Tensor, nn

from vsr_adapter.adapters.base import TokenAdapter


class ConstantTokens(TokenAdapter):
    """Learned tokens, the same for every clip (prompt tuning): a control, not an upscaler.

    Args:
        frames: of a training clip; not used.
        tokens: of the sequence.
        in_dim: width of the ViT's tokens; not used.
        text_dim: width of the UNet's cross-attention tokens.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, text_dim: int = 1024):
        super().__init__(frames, tokens, in_dim, text_dim)
        self.sequence = nn.Parameter(torch.randn(tokens, text_dim) * 0.02)

    def fuse(self, features: Tensor) -> Tensor:
        """The sequence, whatever the features."""
        return self.sequence.expand(features.shape[0], -1, -1)
