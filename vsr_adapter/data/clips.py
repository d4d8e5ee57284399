"""Clips of real video as training and evaluation pairs."""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from vsr_adapter.data.alignment import align
from vsr_adapter.data.degradations import Bicubic, Degradation
from vsr_adapter.data.folders import check_frames, check_image, check_twin
from vsr_adapter.data.layouts import Pair, Split, find_pairs
from vsr_adapter.data.loader import EpochIndex
from vsr_adapter.errors import UserError
from vsr_adapter.frames import to_video
from vsr_adapter.types import Clip, VideoInfo
from vsr_adapter.video.find import frame_files
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames


class Item(NamedTuple):
    """Where a clip is.

    Attributes:
        name: ``folder/video/00000040``: the video's path in its data set, and the first frame.
        hr: high-resolution video.
        lr: its low-resolution twin; None where LR is made from HR.
        start: first frame.
    """

    name: str
    hr: VideoInfo
    lr: Path | None
    start: int


class ClipDataset(Dataset[Clip]):
    """Clips of ``frames`` frames, centre-cropped or whole, with their low-resolution twins.

    Decoding seeks: a clip costs its own frames and the run-in from a keyframe.

    Args:
        root: videos, folders of frames, folders of either, or a set as distributed (`layouts`).
        lr_root: low-resolution twins of the same names; None takes those that a set ships, or else makes LR.
        frames: of a clip.
        size: side of the square HR crop, in pixels; ``whole`` crops nothing.
        scale: HR pixels per LR pixel.
        stride: frames from the start of one clip to that of the next; None puts them end to end.
        limit: clips of a video, spread evenly over it; None takes all.
        degradation: makes LR of the crop, also of a set that ships twins; None makes it by MATLAB-exact bicubic, where
            there are none.
        seed: of the degradation's random numbers, with the clip's name and the epoch.
        split: which clips of a set that holds several splits.
        origin: which of the twins that a set ships, such as ``BD``; ``made`` for none; None for the set's default.

    Raises:
        UserError: nothing found; a video too short or too small, of a size that does not divide, or with gaps; an LR
            twin that is missing, or whose frame count, frame names or size do not fit.
    """

    def __init__(
        self,
        root: Path,
        lr_root: Path | None = None,
        frames: int = 8,
        size: int | Literal["whole"] = 320,
        scale: int = 4,
        stride: int | None = None,
        limit: int | None = None,
        degradation: Degradation | None = None,
        seed: int = 0,
        split: Split = "test",
        origin: str | None = None,
    ):
        if size != "whole" and size % scale:
            raise UserError(
                f"data.size {size}: must be a multiple of the scale {scale}; pass --data.size {size // scale * scale}"
            )
        for what, value in [("frames", frames), ("size", size), ("stride", stride), ("clips of a video", limit)]:
            if isinstance(value, int) and value < 1:
                raise UserError(f"{what} {value}: must be at least 1; pass a positive number")
        self.frames, self.size, self.scale = frames, size, scale
        self.degradation, self.seed = degradation or Bicubic(), seed
        self.items: list[Item] = []
        if degradation is not None and origin is None and lr_root is None:
            origin = "made"
        self.root, self.found = root, find_pairs(root, lr_root, split, origin)
        layout = self.found.layout
        self.only = layout.scored if layout is not None and split == "test" else None
        if layout is not None and self.only is not None and frames != layout.frames:
            raise UserError(
                f"data.frames {frames}: {layout.name} is scored on frame {self.only} of {layout.frames}; "
                f"pass --data.frames {layout.frames}"
            )
        for pair in self.found.pairs:
            info = self.check_video(probe(pair.hr))
            twin = self.twin_of(pair, info)
            starts = list(range(0, info.frames - frames + 1, stride or frames))
            if limit is not None and len(starts) > limit:
                starts = [starts[i * len(starts) // limit] for i in range(limit)]
            self.items += [Item(f"{pair.name}/{start:08d}", info, twin, start) for start in starts]

    def check_video(self, info: VideoInfo) -> VideoInfo:
        """Refuses videos that hold no clip, and folders with gaps."""
        if info.path.is_dir():
            check_frames(info.path)
        if info.frames < self.frames:
            raise UserError(
                f"{info.path}: {info.frames} frames, a clip has {self.frames}; remove it, "
                f"or pass --data.frames {info.frames}"
            )
        if self.size == "whole":
            fitting = min(info.width, info.height) // self.scale * self.scale
            if info.width % self.scale or info.height % self.scale:
                raise UserError(
                    f"{info.path}: {info.width}x{info.height}, whole frames must be multiples of {self.scale}; "
                    f"pass --data.size {fitting} for the middle"
                )
        elif min(info.width, info.height) < self.size:
            fitting = min(info.width, info.height) // self.scale * self.scale
            raise UserError(
                f"{info.path}: {info.width}x{info.height}, the crop is {self.size}x{self.size}; remove it, "
                f"or pass --data.size {fitting}"
            )
        return info

    def twin_of(self, pair: Pair, hr: VideoInfo) -> Path | None:
        """Refuses low-resolution twins that do not fit."""
        if pair.lr is not None:
            check_twin(probe(pair.lr), hr, self.scale)
        return pair.lr

    def check_test(self, shifted_lr: bool, partial: bool) -> None:
        """Refuses what would be scored as something else than it is.

        Args:
            shifted_lr: whether twins may lie elsewhere than HR.
            partial: whether clips or frames of the set may be missing.

        Raises:
            UserError: as `check_whole` and `check_alignment`.
        """
        if not partial:
            self.check_whole()
        if not shifted_lr:
            self.check_alignment()

    def check_alignment(self) -> None:
        """Refuses twins that lie elsewhere than HR: a network scores many dB less on them, and nothing says why.

        Raises:
            UserError: the first of them.
        """
        for item in {item.lr: item for item in self.items if item.lr is not None}.values():
            clip = self[self.items.index(item)]
            place = align(clip.lr[0], clip.hr[0], self.scale)
            if not place.centred:
                raise UserError(
                    f"{item.lr}: fits {place.gain:.1f} dB better ({place.dx:g}, {place.dy:g}) HR pixels from where it "
                    f"should lie on {item.hr.path}; take another LR, or pass --data.shifted_lr true to score it so"
                )

    @property
    def name(self) -> str:
        """Of the set's folder."""
        return self.root.resolve().name

    @property
    def missing(self) -> list[str]:
        """What a whole set has besides, a line each."""
        if self.found.layout is None:
            return []
        names = {pair.hr: pair.name for pair in self.found.pairs}
        return self.found.layout.missing(self.root, {names[i.hr.path]: i.hr.frames for i in self.items})

    def check_whole(self) -> None:
        """Refuses sets with missing clips or frames: their mean is another number than the set's.

        Raises:
            UserError: the first that is missing.
        """
        lines = self.missing
        if lines:
            more = f" (and {len(lines) - 1} more, see vsr data check)" if len(lines) > 1 else ""
            raise UserError(f"{self.root}: {lines[0]}{more}, or pass --data.partial true to score what is there")

    @property
    def scored(self) -> slice:
        """Frames of a clip that metrics of single frames see."""
        return slice(None) if self.only is None else slice(self.only - 1, self.only)

    def describe(self) -> dict[str, str]:
        """What numbers on these clips depend on."""
        what, crop = "the crop", f"the middle {self.size}x{self.size} of HR"
        if self.size == "whole":
            what, crop = "whole frames", "none, whole frames"
        made = f"{self.degradation.name}x{self.scale} of {what}"
        layout = self.found.layout
        partial = ", of a set that is not whole" if self.missing else ""
        if layout is not None and not layout.counted(self.root):
            partial += ", count not checked"
        one = f"frame {self.only} of each clip alone; metrics of neighbouring frames: all"
        return {
            "data": f"{self.found.name}, {len(self)} clips of {self.frames} frames{partial}",
            "LR": made if self.found.origin is None else f"read: {self.found.origin}",
            "crop": crop,
            "scored": "all frames" if self.only is None else one,
        }

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Clip:
        """A clip: lr (T, 3, H / scale, W / scale), hr (T, 3, H, W), its name; H and W are ``size``, if not whole."""
        item = self.items[number]
        top, left = self.corner(item)
        height, width = self.sides(item)
        hr = self.read(item.hr.path, item.start, np.s_[top : top + height, left : left + width])
        if item.lr is None:
            epoch = number.epoch if isinstance(number, EpochIndex) else 0
            lr = self.degradation(hr, self.scale, (self.seed, item.name, epoch))
        else:
            top, left, height, width = (value // self.scale for value in (top, left, height, width))
            lr = self.read(item.lr, item.start, np.s_[top : top + height, left : left + width])
        return Clip(lr, hr, item.name)  # type: ignore[arg-type] # collation makes a list of names

    def sides(self, item: Item) -> tuple[int, int]:
        """Height and width of the crop in HR."""
        return (item.hr.height, item.hr.width) if self.size == "whole" else (self.size, self.size)

    def corner(self, item: Item) -> tuple[int, int]:
        """Row and column of the crop in HR, on the LR grid, so that the crops of both show the same."""
        height, width = self.sides(item)
        top, left = (room // 2 // self.scale * self.scale for room in (item.hr.height - height, item.hr.width - width))
        return top, left

    def read(self, path: Path, start: int, crop: tuple[slice, slice]) -> Tensor:
        """A cropped clip in [0, 1], shape (T, 3, H, W)."""
        if path.is_dir():
            for file in frame_files(path)[start : start + self.frames]:
                check_image(file)
        crops = [frame[crop] for frame in read_frames(path, start, self.frames)]
        return to_video(crops)
