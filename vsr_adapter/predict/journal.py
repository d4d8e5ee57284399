"""What became of each unit, on disk: any process can read it, and the exit code comes from it."""

import json
import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from vsr_adapter.predict.units import Unit


class Outcome(NamedTuple):
    """What became of a unit.

    Attributes:
        unit: the unit.
        frames: frames written.
        error: why it failed, in one line; None where it did not.
    """

    unit: Unit
    frames: int
    error: str | None


def entry(unit: Unit) -> Path:
    """The unit's file: named by its target, so that units of one run never share one."""
    digest = blake2b(os.fsencode(unit.target), digest_size=8).hexdigest()
    return unit.output / ".vsr" / f"{digest}.json"


def forget(units: Iterable[Unit]) -> None:
    """Removes what earlier runs said of these units: what is missing at the end was not done."""
    for unit in units:
        entry(unit).unlink(missing_ok=True)


def record(outcome: Outcome) -> None:
    """Writes an outcome, whole or not at all."""
    path = entry(outcome.unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    values = {"source": str(outcome.unit.source), "target": str(outcome.unit.target)}
    part.write_text(json.dumps({**values, "frames": outcome.frames, "error": outcome.error}))
    part.replace(path)


def outcomes(units: Iterable[Unit]) -> list[Outcome]:
    """What became of each unit; one without an entry failed, since its process did not live to write it."""
    found = []
    for unit in units:
        path = entry(unit)
        if path.is_file():
            values = json.loads(path.read_text())
            found.append(Outcome(unit, values["frames"], values["error"]))
        else:
            found.append(Outcome(unit, 0, "its process ended before it was done"))
    return found
