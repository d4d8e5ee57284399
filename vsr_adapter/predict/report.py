"""What `vsr predict` says at its end."""

import sys
from collections.abc import Iterable

from vsr_adapter.predict.journal import outcomes
from vsr_adapter.predict.units import Unit


def summarise(units: Iterable[Unit]) -> int:
    """Prints what became of each unit; returns the exit code, 1 if any failed."""
    found = outcomes(units)
    failed = [outcome for outcome in found if outcome.error is not None]
    for outcome in found:
        if outcome.error is None:
            print(f"{outcome.unit.target}: {outcome.frames} frames")
        else:
            print(f"vsr: error: {outcome.unit.source}: {outcome.error}", file=sys.stderr)
    print(f"{len(found) - len(failed)} done, {len(failed)} failed")
    return 1 if failed else 0
