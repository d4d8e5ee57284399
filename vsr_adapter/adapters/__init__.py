"""Trainable maps from visual features to pseudo-text tokens, chosen by class_path."""

from vsr_adapter.adapters.attention import CrossAttentionLinearLinear, CrossAttentionTransformerLinear
from vsr_adapter.adapters.base import Adapter
from vsr_adapter.adapters.constant import ConstantTokens
from vsr_adapter.adapters.linear import LinearLinear

__all__ = ["Adapter", "ConstantTokens", "CrossAttentionLinearLinear", "CrossAttentionTransformerLinear", "LinearLinear"]
