"""Finding videos and folders of frames."""

import re
import warnings
from pathlib import Path

from vsr_adapter.errors import UserError

# fmt: off
VIDEO_SUFFIXES = frozenset([
    ".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".m2ts", ".wmv", ".flv", ".y4m", ".ogv",
    ".3gp", ".gif",
])
IMAGE_SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"])
# fmt: on


def natural_key(path: Path) -> tuple[list[object], str]:
    """Sorts ``frame10`` after ``frame9``; ``1`` and ``01`` have a fixed order too."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)], path.name


def frame_files(folder: Path) -> list[Path]:
    """The images of a folder, in natural order; hidden files are left out."""
    files = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "."]
    return sorted(files, key=natural_key)


def find_videos(root: Path) -> list[Path]:
    """Video files and folders of frames under ``root``, or ``root`` itself; sorted, without hidden names and links out.

    Raises:
        UserError: nothing there.
    """
    if not root.exists():
        raise UserError(f"{root}: no such file or folder; check the path")
    if root.is_file():
        return [root]
    found = [root] if frame_files(root) else []
    for path in sorted(root.rglob("*"), key=lambda path: [natural_key(Path(part)) for part in path.parts]):
        if any(part.startswith(".") for part in path.relative_to(root).parts):
            continue
        if path.is_symlink() and root.resolve() not in path.resolve().parents:
            warnings.warn(f"{path}: leads out of {root}, and is left out; name its target as an input", stacklevel=2)
            continue
        if (path.is_dir() and frame_files(path)) or (path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES):
            found.append(path)
    if not found:
        raise UserError(
            f"{root}: holds no video and no folder of frames; videos end in {' '.join(sorted(VIDEO_SUFFIXES))}"
        )
    return found
