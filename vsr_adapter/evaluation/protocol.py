"""What the numbers of a test depend on: two tables compare where these lines are the same."""

from collections.abc import Sequence
from importlib.metadata import version

import cv2
import torch

from vsr_adapter.metrics import ClipMetric
from vsr_adapter.peers import Peer


def protocol(data: dict[str, str], metrics: Sequence[ClipMetric], methods: dict[str, str]) -> dict[str, str]:
    """The lines over a table.

    Args:
        data: what the data set says of itself.
        metrics: that scored.
        methods: what the methods say of themselves.
    """
    return {**data, "metrics": preparation(metrics), **methods, "versions": versions()}


def rows(methods: Sequence[Peer], whole: bool) -> dict[str, str]:
    """What each of several methods says of itself, by its row.

    Args:
        methods: of a table.
        whole: whether clips are whole frames.
    """
    said = [(method.name, *line) for method in methods for line in method.describe(whole).items()]
    return {f"row {row}, {name}" if name else f"row {row}": line for row, name, line in said}


def versions() -> str:
    """Of what computes the numbers."""
    return f"vsr-adapter {version('vsr-adapter')}, torch {torch.__version__}, OpenCV {cv2.__version__}"


def preparation(metrics: Sequence[ClipMetric]) -> str:
    """How means are taken, and what is done to both sides before they are compared."""
    lines = [
        f"{metric.title} on {metric.planes} in {'8 bit' if metric.rounded else 'floats'}"
        + (f" without {metric.border} px of border" if metric.border else "")
        for metric in metrics
    ]
    return f"mean over frames, then clips; {', '.join(lines)}"
