"""One unit from its source to its target."""

import traceback
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from vsr_adapter.errors import UserError
from vsr_adapter.model import VSRModel
from vsr_adapter.predict.journal import Outcome, record
from vsr_adapter.predict.units import Unit
from vsr_adapter.restore import restore
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames
from vsr_adapter.video.write import open_writer


def run_unit(model: VSRModel, unit: Unit, position: int = 0) -> Outcome:
    """Upscales one video, and records what became of it.

    Every error ends in the journal: the other videos are still done, and the exit code says that one failed.

    Args:
        model: with its weights loaded.
        unit: what to do.
        position: line of the progress bar, one for each process.
    """
    frames = 0
    try:
        for _ in written(model, unit, position):
            frames += 1
        outcome = Outcome(unit, frames, None)
    except UserError as error:
        outcome = Outcome(unit, frames, str(error))
    except Exception as error:
        traceback.print_exc()  # a bug of ours, or a machine out of memory or disk: the reason must not be lost
        outcome = Outcome(unit, frames, f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    record(outcome)
    return outcome


def written(model: VSRModel, unit: Unit, position: int) -> Iterator[np.ndarray]:
    """Frames of the upscaled video, as they are written; the target appears when all are."""
    info = probe(unit.source)
    size = info.width * model.scale, info.height * model.scale
    frames = restore(model, read_frames(unit.source))
    with open_writer(unit.target, unit.output_format, *size, info.rate, overwrite=unit.overwrite) as writer:
        for frame in tqdm(frames, unit.source.name, info.frames, unit="frame", position=position, mininterval=1):
            writer.write(frame)
            yield frame
