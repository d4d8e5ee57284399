"""Data sets as they are distributed: where their clips lie, and what a whole set holds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from vsr_adapter.errors import UserError
from vsr_adapter.video.find import VIDEO_SUFFIXES, find_videos, frame_files

Split = Literal["train", "val", "test"]
EVERY: tuple[Split, ...] = ("train", "val", "test")
REDS4 = ("000", "011", "015", "020")  # held out of training since BasicVSR


class Pair(NamedTuple):
    """A high-resolution video and its low-resolution twin.

    Attributes:
        name: the clip's, such as ``calendar``.
        hr: a video or a folder of frames.
        lr: its twin; None where LR is made from HR.
    """

    name: str
    hr: Path
    lr: Path | None


@dataclass(frozen=True)
class Layout:
    """Where the clips of a set lie, and what a whole one holds.

    Patterns are relative to the set's folder; ``{clip}`` stands for the clip's name.

    Attributes:
        name: of the set.
        splits: for what these clips are.
        hr: pattern of the high-resolution clips.
        lr: patterns of the low-resolution ones, by how they were made; the first that is there is the default.
        folder: whether the set is known by its folder's name alone, as others look the same inside.
        clips: frames by clip, where the names are known.
        count: clips of a whole set, where only their number is known.
        frames: of each clip, where all have as many.
        scored: number, from 1, of the one frame of a clip that is scored; None scores all.
        leave_out: clips that belong to another split.
        listed: file beside the clips that names those of this split, one a line.
        depth: parts of a clip's name.
    """

    name: str
    splits: tuple[Split, ...]
    hr: str
    lr: Mapping[str, str] = field(default_factory=dict)
    folder: bool = False
    clips: Mapping[str, int] = field(default_factory=dict)
    count: int | None = None
    frames: int | None = None
    scored: int | None = None
    leave_out: tuple[str, ...] = ()
    listed: str | None = None
    depth: int = 1

    def find(self, root: Path, pattern: str) -> dict[str, Path]:
        """Clips that are there by a pattern, in order of their names; those of other splits are left out."""
        place = pattern.split("/").index("{clip}")
        found: dict[str, Path] = {}
        for path in sorted(root.glob(pattern.replace("{clip}", "/".join(["*"] * self.depth)))):
            is_file = path.is_file()
            if path.name.startswith(".") or (is_file and path.suffix.lower() not in VIDEO_SUFFIXES):
                continue
            parts = (path.with_suffix("") if is_file else path).relative_to(root).parts
            name = "/".join(parts[place : place + self.depth])
            if is_file or frame_files(path):
                found[name] = path
        wanted = self.wanted(root)
        return {n: p for n, p in found.items() if n not in self.leave_out and (wanted is None or n in wanted)}

    def wanted(self, root: Path) -> set[str] | None:
        """Names of the clips of this split; None where all that are there belong to it."""
        if self.listed is not None:
            file = root / self.listed
            return set(file.read_text().split()) if file.is_file() else None
        return set(self.clips) or None

    def missing(self, root: Path, frames: Mapping[str, int | None]) -> list[str]:
        """What a whole set has besides, a line each.

        Args:
            root: the set's folder.
            frames: of the clips that are there, by name; None for those that cannot be read.
        """
        lines = [f"{name}: is missing; copy it again" for name in sorted(self.wanted(root) or ()) if name not in frames]
        if self.count is not None and self.count != len(frames):
            lines.append(f"{len(frames)} clips, a whole {self.name} has {self.count}; copy it again")
        for name, found in frames.items():
            wanted = self.clips.get(name, self.frames)
            if None not in (wanted, found) and found != wanted:
                lines.append(f"{name}: {found} frames, a whole one has {wanted}; copy it again")
        return lines

    def counted(self, root: Path) -> bool:
        """Whether it is known how many clips a whole set has."""
        return self.count is not None or self.wanted(root) is not None

    def fits(self, root: Path, split: Split) -> bool:
        """Whether a folder looks like this set."""
        if split not in self.splits or (self.folder and self.name.lower() not in root.name.lower()):
            return False
        return bool(self.find(root, self.hr))

    def origins(self, root: Path) -> list[str]:
        """How the low-resolution twins that are there were made; the first is the default."""
        return [origin for origin, pattern in self.lr.items() if self.find(root, pattern)]

    def pairs(self, root: Path, origin: str | None) -> list[Pair]:
        """The clips, with twins of that origin.

        Raises:
            UserError: a clip has no twin.
        """
        twins = {} if origin is None else self.find(root, self.lr[origin])
        pairs = [Pair(name, path, twins.get(name)) for name, path in self.find(root, self.hr).items()]
        for pair in pairs:
            if origin is not None and pair.lr is None:
                where = root / self.lr[origin].replace("{clip}", pair.name)
                raise UserError(
                    f"{where}: is missing, the {origin} twin of {pair.hr}; download it again, or pass origin made"
                )
        return pairs


class Found(NamedTuple):
    """Clips, and what they are.

    Attributes:
        name: of the set, or the folder.
        origin: how their low-resolution twins were made, or where they lie; None where they are to be made.
        pairs: the clips.
        layout: None for any folder.
    """

    name: str
    origin: str | None
    pairs: list[Pair]
    layout: Layout | None = None


GT = {"BI": "BIx4/{clip}", "BD": "BDx4/{clip}"}
VID4 = {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}
REDS_LR = {"BI": "train_sharp_bicubic/X4/{clip}"}
REDS_TRAIN = {name: 100 for name in map("{:03d}".format, range(240)) if name not in REDS4}

LAYOUTS = (
    Layout("REDS", ("train",), "train_sharp/{clip}", REDS_LR, clips=REDS_TRAIN),
    Layout("REDS4", ("test",), "train_sharp/{clip}", REDS_LR, clips=dict.fromkeys(REDS4, 100)),
    Layout(
        "REDS val",
        ("val",),
        "val_sharp/{clip}",
        {"BI": "val_sharp_bicubic/X4/{clip}"},
        clips={f"{number:03d}": 100 for number in range(30)},
    ),
    # BasicSR moves the validation clips into the training folder, as 240 to 269
    Layout("REDS val", ("val",), "train_sharp/{clip}", REDS_LR, clips={f"{n:03d}": 100 for n in range(240, 270)}),
    Layout("Vid4", EVERY, "GT/{clip}", GT, clips=VID4),
    Layout("UDM10", EVERY, "GT/{clip}", {"BD": GT["BD"], "BI": GT["BI"]}, folder=True, count=10, frames=32),
    Layout("UDM10", EVERY, "{clip}/truth", {"BD": "{clip}/blur4"}, count=10, frames=32),
    Layout("SPMCS", EVERY, "GT/{clip}", GT, folder=True),
    Layout("YouHQ40", EVERY, "GT/{clip}", {"real-world": "LQ/{clip}"}, folder=True),
    Layout("Vimeo-90K", ("train",), "sequences/{clip}", frames=7, listed="sep_trainlist.txt", depth=2),
    Layout("Vimeo-90K", ("val", "test"), "sequences/{clip}", frames=7, scored=4, listed="sep_testlist.txt", depth=2),
    Layout("GT folder", EVERY, "GT/{clip}", GT | {"real-world": "LQ/{clip}"}),
)


def recognise(root: Path, split: Split) -> Layout | None:
    """The set that a folder holds, or None for any folder of clips."""
    return next((layout for layout in LAYOUTS if layout.fits(root, split)), None)


def videos_by_name(root: Path) -> dict[str, Path]:
    """Videos under ``root`` by their path in it, without the ending of files.

    Raises:
        UserError: none, or two of one name.
    """
    found: dict[str, Path] = {}
    for path in find_videos(root):
        inside = path.relative_to(root) if path != root else Path(path.name)
        is_video = path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()
        name = (inside.with_suffix("") if is_video else inside).as_posix()
        if name in found:
            raise UserError(f"{path}: has the name of {found[name]}; clips are known by name, rename one")
        found[name] = path
    return found


def find_pairs(root: Path, lr_root: Path | None, split: Split, origin: str | None) -> Found:
    """The clips of a folder, with their low-resolution twins.

    Args:
        root: a set as distributed, or any folder of videos or of frames.
        lr_root: twins of the same names, for any folder; None takes those that a set ships.
        split: which of a set's clips.
        origin: how the twins that a set ships were made, such as ``BI``; ``made`` takes none; None the set's default.

    Raises:
        UserError: nothing found, twins that are missing, or an origin that is not there.
    """
    layout = recognise(root, split) if lr_root is None and root.is_dir() else None
    if layout is not None:
        origins = layout.origins(root)
        if origin not in (None, "made", *origins):
            raise UserError(f"{root}: has no LR made by {origin}; it has {', '.join(origins) or 'none'}, or pass made")
        chosen = origin if origin is not None else next(iter(origins), None)
        shipped = None if chosen == "made" else chosen
        return Found(layout.name, shipped, layout.pairs(root, shipped), layout)
    if origin not in (None, "made"):
        raise UserError(
            f"{root}: is no set that we know, and has no LR made by {origin}; pass the folder of its LR clips"
        )
    twins = {} if lr_root is None else videos_by_name(lr_root)
    pairs = [Pair(name, path, twins.get(name)) for name, path in videos_by_name(root).items()]
    for pair in pairs:
        if lr_root is not None and pair.lr is None:
            raise UserError(
                f"{lr_root}: holds no {pair.name}, the LR twin of {pair.hr}; add it, or leave out the LR folder"
            )
    return Found(str(root), None if lr_root is None else str(lr_root), pairs)
