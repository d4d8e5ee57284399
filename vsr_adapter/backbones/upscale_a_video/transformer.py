"""The transformer of the "upscale" UNet: attention in space, to the tokens, and over time."""

import math

import torch
import torch.nn.functional as F
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn

from vsr_adapter.backbones.upscale_a_video.layers import TEMPORAL_EPS, per_frame, temporal_resnet
from vsr_adapter.types import Condition

ROTARY_CHANNELS = 32
BUCKETS, MAX_DISTANCE = 32, 32
MAX_BATCH = 2**15


class RotaryEmbedding(nn.Module):
    """Rotary positions (Su et al. 2021) over interleaved pairs of the first 32 channels of a head.

    One set of frequencies, not trained, is shared by all attention layers of the UNet, and stands in the state
    dict under the name of each.
    """

    def __init__(self) -> None:
        super().__init__()
        exponent = torch.arange(0, ROTARY_CHANNELS, 2) / ROTARY_CHANNELS
        self.freqs = nn.Parameter(1e4**-exponent, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Rotates ``x`` of shape (..., T, head_dim) by the position in T; narrower heads use the first frequencies."""
        pairs = min(ROTARY_CHANNELS, x.shape[-1]) // 2
        angles = torch.arange(x.shape[-2], device=x.device)[:, None] * self.freqs[:pairs].float()
        cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        even, odd = x[..., 0 : 2 * pairs : 2], x[..., 1 : 2 * pairs : 2]
        rotated = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
        return torch.cat([rotated, x[..., 2 * pairs :]], dim=-1)


class RelativePositionBias(nn.Module):
    """T5's bidirectional relative position bias (Raffel et al. 2020): 32 buckets, 8 exact on either side."""

    def __init__(self, heads: int):
        super().__init__()
        self.relative_attention_bias = nn.Embedding(BUCKETS, heads)

    def forward(self, frames: int) -> Tensor:
        """Shape (heads, query, key)."""
        position = torch.arange(frames, device=self.relative_attention_bias.weight.device)
        relative = position[None, :] - position[:, None]  # key - query
        half = BUCKETS // 2
        exact = half // 2
        distance = relative.abs()
        far = torch.log(distance.clamp(min=1).float() / exact) / math.log(MAX_DISTANCE / exact) * (half - exact)
        bucket = torch.where(distance < exact, distance, (exact + far.long()).clamp(max=half - 1))
        return self.relative_attention_bias(bucket + half * (relative > 0)).permute(2, 0, 1)


class TemporalAttention(nn.Module):
    """Attention over the frames at each pixel, with rotary positions and a relative position bias.

    Args:
        dim: channels.
        heads: attention heads.
        rotary_emb: the UNet's shared one.
    """

    def __init__(self, dim: int, heads: int, rotary_emb: RotaryEmbedding):
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(dim, dim, bias=False)
        self.to_v = nn.Linear(dim, dim, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(dim, dim)])
        self.time_rel_pos_bias = RelativePositionBias(heads)
        self.rotary_emb = rotary_emb

    def forward(self, x: Tensor) -> Tensor:
        """Shape of ``x`` (pixels, T, dim)."""
        q, k, v = (to(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for to in (self.to_q, self.to_k, self.to_v))
        q = self.rotary_emb(q * q.shape[-1] ** -0.5)  # scaled before it is rotated
        bias = self.time_rel_pos_bias(x.shape[1]).to(x.dtype)
        out = F.scaled_dot_product_attention(q, self.rotary_emb(k), v, attn_mask=bias, scale=1.0)
        return self.to_out[0](out.transpose(1, 2).flatten(-2))


class TransformerBlock(nn.Module):
    """Pre-norm residuals: attn1 (to the tokens or to the frame itself), attn2 (tokens), time, GEGLU feed-forward.

    Args:
        dim: channels.
        heads: attention heads.
        text_dim: width of the tokens.
        only_cross_attention: whether attn1 also attends to the tokens.
        rotary_emb: the UNet's shared one.
    """

    def __init__(self, dim: int, heads: int, text_dim: int, only_cross_attention: bool, rotary_emb: RotaryEmbedding):
        super().__init__()
        self.only_cross_attention = only_cross_attention
        first = text_dim if only_cross_attention else None
        self.norm1 = nn.LayerNorm(dim)
        self.attn1 = Attention(dim, first, heads=heads, dim_head=dim // heads)
        self.norm2 = nn.LayerNorm(dim)
        self.attn2 = Attention(dim, text_dim, heads=heads, dim_head=dim // heads)
        self.norm_temporal = nn.LayerNorm(dim)
        self.attn_temporal = TemporalAttention(dim, heads, rotary_emb)
        self.norm3 = nn.LayerNorm(dim)
        self.ff = FeedForward(dim, activation_fn="geglu")

    def forward(self, x: Tensor, told: Condition, frames: int) -> Tensor:
        """Shape of ``x`` (B * T, pixels, dim)."""

        def cross(attention: Attention, queries: Tensor) -> Tensor:
            # all frames of a clip ask the same tokens: one row of queries makes keys and values once
            rows = queries.unflatten(0, (-1, frames)).flatten(1, 2)
            heard = attention(rows, told.tokens, ip_hidden_states=told.own)
            return heard.unflatten(1, (frames, -1)).flatten(0, 1)

        first = self.norm1(x)
        x = x + (cross(self.attn1, first) if self.only_cross_attention else self.attn1(first))
        x = x + cross(self.attn2, self.norm2(x))
        over_time = self.norm_temporal(x).unflatten(0, (-1, frames)).transpose(1, 2)  # (B, pixels, T, dim)
        # in pieces: CUDA's attention kernels refuse batches over 65,535 (pytorch#142228)
        attended = torch.cat([self.attn_temporal(piece) for piece in over_time.flatten(0, 1).split(MAX_BATCH)])
        x = x + attended.unflatten(0, over_time.shape[:2]).transpose(1, 2).flatten(0, 1)
        return x + self.ff(self.norm3(x))


class VideoTransformer(nn.Module):
    """Temporal residual block, then a transformer whose residual is taken after it.

    Args:
        channels: of the features, a multiple of 32 and of ``heads``.
        heads: attention heads.
        text_dim: width of the tokens.
        only_cross_attention: see `TransformerBlock`.
        rotary_emb: the UNet's shared one.
        groups: of the norm, which is per frame.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        text_dim: int,
        only_cross_attention: bool,
        rotary_emb: RotaryEmbedding,
        groups: int,
    ):
        super().__init__()
        self.resblock_temporal = temporal_resnet(channels, temb_channels=None)
        self.norm = nn.GroupNorm(groups, channels, eps=TEMPORAL_EPS)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [TransformerBlock(channels, heads, text_dim, only_cross_attention, rotary_emb)]
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, x: Tensor, told: Condition) -> Tensor:
        """Shape of ``x`` (B, C, T, h, w); tokens are shared by the frames."""
        frames, size = x.shape[2], x.shape[-2:]
        residual = self.resblock_temporal(x, None)
        h = per_frame(self.norm, residual).transpose(1, 2).flatten(0, 1).flatten(2).transpose(1, 2)
        h = self.transformer_blocks[0](self.proj_in(h), told, frames)
        h = self.proj_out(h).transpose(1, 2).unflatten(2, size)
        return residual + h.unflatten(0, (-1, frames)).transpose(1, 2)
