"""Predicting through the user's door."""

from vsr_adapter.cli import main


def predict(*arguments) -> int:
    """`vsr predict` with the tiny stack and one step."""
    return main(["predict", "--config", "tiny.yaml", "--steps", "1", *map(str, arguments)])
