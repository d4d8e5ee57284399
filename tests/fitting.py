"""`vsr fit` with the tiny stack, and what it leaves."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vsr_adapter.cli import main


def fit(clips: Path, root: Path, *more: str) -> int:
    settings = {"data.train": clips / "train", "data.val": clips / "val", "trainer.default_root_dir": root}
    quiet = "--trainer.enable_progress_bar=false"
    return main(["fit", "--config=tiny.yaml", quiet, *(f"--{key}={value}" for key, value in settings.items()), *more])


def scalars(root: Path, tag: str) -> list[float]:
    """A logged curve, over all runs in a folder."""
    found = []
    for version in sorted((root / "lightning_logs").iterdir()):
        events = EventAccumulator(str(version))
        events.Reload()
        found += [event.value for event in events.Scalars(tag)] if tag in events.Tags()["scalars"] else []
    return found


def checkpoint(root: Path, name: str = "last.ckpt") -> Path:
    return next(root.rglob(name))
