"""Frozen encoders of the low-resolution clip."""

from vsr_adapter.conditioning.vit import FrozenViT

__all__ = ["FrozenViT"]
