"""Trainable maps from visual features to what a frozen denoiser is told, chosen by class_path."""

from vsr_adapter.adapters.attention import CrossAttentionLinearLinear, CrossAttentionTransformerLinear
from vsr_adapter.adapters.base import Adapter, TokenAdapter
from vsr_adapter.adapters.constant import ConstantTokens
from vsr_adapter.adapters.linear import LinearLinear
from vsr_adapter.adapters.own import DecoupledCrossAttention

__all__ = [
    "Adapter",
    "ConstantTokens",
    "CrossAttentionLinearLinear",
    "CrossAttentionTransformerLinear",
    "DecoupledCrossAttention",
    "LinearLinear",
    "TokenAdapter",
]
