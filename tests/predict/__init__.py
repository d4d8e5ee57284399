"""Predicting through the user's door."""

from vsr_adapter.cli import main

# x264 codes one frame of such tiny videos differently from run to run on CPUs with AVX-512, whatever its threads
LOSSLESS = ["--codec=ffv1", "--output_format=mkv"]


def predict(*arguments) -> int:
    """`vsr predict` with the tiny stack and one step."""
    return main(["predict", "--config", "tiny.yaml", "--steps", "1", *map(str, arguments)])
