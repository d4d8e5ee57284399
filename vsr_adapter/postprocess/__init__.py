"""Colour, contrast and noise after decoding: a list of class paths, applied in order by `postprocess`."""

from vsr_adapter.postprocess.base import Postprocess, postprocess
from vsr_adapter.postprocess.colour import CLAHE, AdaIN, HistogramMatching, LabStatistics, WaveletColour
from vsr_adapter.postprocess.denoise import Bilateral, Gaussian, NonLocalMeans, WaveletShrinkage

__all__ = [
    "CLAHE",
    "AdaIN",
    "Bilateral",
    "Gaussian",
    "HistogramMatching",
    "LabStatistics",
    "NonLocalMeans",
    "Postprocess",
    "WaveletColour",
    "WaveletShrinkage",
    "hybrid",
    "postprocess",
]


def hybrid() -> list[Postprocess]:
    """The thesis's choice (figure 4.3): wavelet colour fix, then non-local means; `configs/postprocess/hybrid.yaml`."""
    return [WaveletColour(), NonLocalMeans()]
