"""What the numbers of a test depend on: two tables compare where these lines are the same."""

from collections.abc import Sequence
from importlib.metadata import version

import cv2
import torch

from vsr_adapter.frozen import SAMPLED, fingerprint
from vsr_adapter.metrics import ClipMetric
from vsr_adapter.model import VSRModel


def protocol(
    model: VSRModel, metrics: Sequence[ClipMetric], data: dict[str, str], where: str, tiled: bool
) -> dict[str, str]:
    """The lines over a table.

    Args:
        model: that was tested.
        metrics: that scored it.
        data: what the data set says of itself.
        where: device and precision.
        tiled: whether clips were sampled in tiles.
    """
    sampling = model.sampling
    tiles = sampling.tiles
    weights = [fingerprint(part, SAMPLED)[:12] for part in (model.backbone, model.encoder)]
    parts = model.made_of()
    sampler = model.sampler.describe(model.backbone.capabilities.unet.scheduler_config)
    return {
        **data,
        "metrics": preparation(metrics),
        "model": f"{parts['unet']}, {parts['vae']}, {parts['encoder']}; weights {', '.join(weights)}",
        "adapter": f"{type(model.adapter).__name__} {fingerprint(model.adapter)[:12]}",
        "condition": sampling.condition,
        "post-processing": ", ".join(type(step).__name__ for step in sampling.postprocess or []) or "none",
        "sampling": f"{sampler}, {type(model.start).__name__}, guidance {sampling.guidance_scale:g}, "
        f"seed {sampling.seed}",
        "tiles": f"{tiles.size}, overlap {tiles.overlap}, {tiles.mode}" if tiled else "none",
        "run": where,
        "versions": versions(),
    }


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
