"""Degradations: what makes the low-resolution twin of a clip, and by which name a table calls it."""

from vsr_adapter.data.degradations.base import Bicubic, BlurDown, Degradation, DUFBlurDown
from vsr_adapter.data.degradations.real_world import RealWorld

__all__ = ["Bicubic", "BlurDown", "DUFBlurDown", "Degradation", "RealWorld"]
