"""What `vsr predict` says at its end."""

import sys
from collections.abc import Iterable

from vsr_adapter.model import VSRModel
from vsr_adapter.predict.journal import outcomes
from vsr_adapter.predict.units import Unit


def say_what_is_random(model: VSRModel, trained: bool) -> None:
    """One line where the output cannot be good: a part of the stack has random weights.

    Args:
        model: the stack.
        trained: whether a checkpoint will bring the adapter's weights.
    """
    parts = {"UNet": model.backbone.unet, "VAE": model.backbone.vae, "ViT": model.encoder}
    random = [name for name, part in parts.items() if part.random]
    if not trained and model.made_by is None and model.condition_mode == "on":
        random.append("adapter")
    if random:
        print(f"vsr: note: random weights in {', '.join(random)}: the output shows that the program runs, no more")


def summarise(units: Iterable[Unit]) -> int:
    """Prints what became of each unit; returns the exit code, 1 if any failed."""
    found = outcomes(units)
    failed = [outcome for outcome in found if outcome.error is not None]
    for outcome in found:
        if outcome.error is None:
            print(f"{outcome.unit.target}: {outcome.frames} frames")
        else:
            source, error = str(outcome.unit.source), outcome.error
            print(f"vsr: error: {error if source in error else f'{source}: {error}'}", file=sys.stderr)
    print(f"{len(found) - len(failed)} done, {len(failed)} failed")
    return 1 if failed else 0
