"""The two attention adapters of section 4.1.9; the thesis gives them no sizes, so these are ours."""

import torch
from torch import Tensor, nn

from vsr_adapter.adapters.base import TokenAdapter
from vsr_adapter.errors import UserError


def time_positions(frames: int, dim: int, like: Tensor) -> Tensor:
    """Sinusoids over the clip's frames (Vaswani et al. 2017), shape (frames, dim); defined for any length."""
    pairs = (dim + 1) // 2
    rates = 1e4 ** (-torch.arange(pairs, device=like.device) / pairs)
    angles = torch.arange(frames, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim].to(like.dtype)


class Attending(nn.Module):
    """Mixed into an adapter: learned queries attend over the tokens of all frames, with positions in space and time."""

    tokens: int
    in_dim: int

    def attend_with(self, queries: int, heads: int) -> None:
        """Makes the layers.

        Args:
            queries: number of them.
            heads: attention heads.

        Raises:
            UserError: heads that do not divide the width.
        """
        if self.in_dim % heads:
            raise UserError(f"adapter.heads {heads}: must divide in_dim {self.in_dim}; pass a divisor")
        self.heads = heads
        self.queries = nn.Parameter(torch.randn(queries, self.in_dim) * 0.02)
        self.space = nn.Parameter(torch.randn(self.tokens, self.in_dim) * 0.02)
        self.norm = nn.LayerNorm(self.in_dim)
        self.attention = nn.MultiheadAttention(self.in_dim, heads, batch_first=True)

    def attend(self, features: Tensor) -> Tensor:
        """One sequence (B, queries, D) of features (B, T, N, D)."""
        batch, frames, _, dim = features.shape
        time = time_positions(frames, dim, features)
        keys = (self.norm(features) + self.space + time[:, None]).flatten(1, 2)
        queries = self.queries.expand(batch, -1, -1)
        return queries + self.attention(queries, keys, keys, need_weights=False)[0]


class CrossAttentionAdapter(Attending, TokenAdapter):
    """L learned queries attend over the tokens of all frames, which carry positions in space and time.

    Args:
        frames: frames of a training clip; any other number works on the same weights.
        tokens: tokens of a frame, and number of queries.
        in_dim: width of the ViT's tokens, a multiple of ``heads``.
        text_dim: width of the UNet's cross-attention tokens.
        heads: attention heads.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, text_dim: int = 1024, heads: int = 8):
        super().__init__(frames, tokens, in_dim, text_dim)
        self.attend_with(tokens, heads)


class CrossAttentionLinearLinear(CrossAttentionAdapter):
    """crossattention-linear-linear: the sequence goes through Linear(D -> text_dim), Linear(text_dim -> text_dim).

    Args:
        frames: frames of a training clip; any other number works on the same weights.
        tokens: tokens of a frame, and number of queries.
        in_dim: width of the ViT's tokens, a multiple of ``heads``.
        text_dim: width of the UNet's cross-attention tokens.
        heads: attention heads.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, text_dim: int = 1024, heads: int = 8):
        super().__init__(frames, tokens, in_dim, text_dim, heads)
        self.mapping = nn.Sequential(nn.Linear(in_dim, text_dim), nn.Linear(text_dim, text_dim))

    def fuse(self, features: Tensor) -> Tensor:
        """Cross-attention, two linear layers."""
        return self.mapping(self.attend(features))


class CrossAttentionTransformerLinear(CrossAttentionAdapter):
    """crossattention-transformer-linear: the sequence goes through a transformer and Linear(D -> text_dim).

    Args:
        frames: frames of a training clip; any other number works on the same weights.
        tokens: tokens of a frame, and number of queries.
        in_dim: width of the ViT's tokens, a multiple of ``heads``.
        text_dim: width of the UNet's cross-attention tokens.
        heads: attention heads.
        layers: of the transformer, pre-norm, without dropout.
    """

    def __init__(
        self,
        frames: int = 8,
        tokens: int = 196,
        in_dim: int = 768,
        text_dim: int = 1024,
        heads: int = 8,
        layers: int = 2,
    ):
        super().__init__(frames, tokens, in_dim, text_dim, heads)
        layer = nn.TransformerEncoderLayer(
            in_dim, heads, 4 * in_dim, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.mapping = nn.Linear(in_dim, text_dim)

    def fuse(self, features: Tensor) -> Tensor:
        """Cross-attention, transformer, linear."""
        return self.mapping(self.transformer(self.attend(features)))
