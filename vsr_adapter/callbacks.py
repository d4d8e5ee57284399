"""Class paths of callbacks in configs; what they are stands in `vsr_adapter.training.callbacks`."""

from vsr_adapter.training.callbacks import SampleStrips

__all__ = ["SampleStrips"]
