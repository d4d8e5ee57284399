"""Clips of real video as training and evaluation pairs."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vsr_adapter.data.degradations import Bicubic, Degradation
from vsr_adapter.data.loader import EpochIndex
from vsr_adapter.errors import UserError
from vsr_adapter.types import Clip, VideoInfo
from vsr_adapter.video.io import VIDEO_SUFFIXES, find_videos, probe, read_frames


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


def videos_by_name(root: Path) -> dict[str, Path]:
    """Videos under ``root`` by their path in it, without the ending of files.

    Raises:
        UserError: none, or two of one name.
    """
    found: dict[str, Path] = {}
    for path in find_videos(root):
        inside = path.relative_to(root) if path != root else Path(path.name)
        name = (
            inside.with_suffix("") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file() else inside
        ).as_posix()
        if name in found:
            raise UserError(f"{path}: has the name of {found[name]}; clips are known by name, rename one")
        found[name] = path
    return found


class ClipDataset(Dataset[Clip]):
    """Clips of ``frames`` frames, centre-cropped, with their low-resolution twins.

    Decoding seeks: a clip costs its own frames and the run-in from a keyframe.

    Args:
        root: videos, folders of frames, or folders of either.
        lr_root: low-resolution twins of the same names; None makes LR from the HR crop.
        frames: of a clip.
        size: side of the square HR crop, in pixels.
        scale: HR pixels per LR pixel.
        stride: frames from the start of one clip to that of the next; None puts them end to end.
        limit: clips of a video, spread evenly over it; None takes all.
        degradation: makes LR where there are no twins; None takes MATLAB-exact bicubic.
        seed: of the degradation's random numbers, with the clip's name and the epoch.

    Raises:
        UserError: nothing found; a video too short or too small; an LR twin that is missing, or whose frame
            count or size does not fit.
    """

    def __init__(
        self,
        root: Path,
        lr_root: Path | None = None,
        frames: int = 8,
        size: int = 320,
        scale: int = 4,
        stride: int | None = None,
        limit: int | None = None,
        degradation: Degradation | None = None,
        seed: int = 0,
    ):
        if size % scale:
            raise UserError(
                f"data.size {size}: must be a multiple of the scale {scale}; pass --data.size {size // scale * scale}"
            )
        for what, value in [("frames", frames), ("size", size), ("stride", stride), ("clips of a video", limit)]:
            if value is not None and value < 1:
                raise UserError(f"{what} {value}: must be at least 1; pass a positive number")
        self.frames, self.size, self.scale = frames, size, scale
        self.degradation, self.seed = degradation or Bicubic(), seed
        twins = {} if lr_root is None else videos_by_name(lr_root)
        self.items: list[Item] = []
        for name, path in videos_by_name(root).items():
            info = self.checked(probe(path))
            twin = None if lr_root is None else self.checked_twin(name, info, twins, lr_root)
            starts = list(range(0, info.frames - frames + 1, stride or frames))
            if limit is not None and len(starts) > limit:
                starts = [starts[i * len(starts) // limit] for i in range(limit)]
            self.items += [Item(f"{name}/{start:08d}", info, twin, start) for start in starts]

    def checked(self, info: VideoInfo) -> VideoInfo:
        """Refuses videos that hold no clip."""
        if info.frames < self.frames:
            raise UserError(
                f"{info.path}: {info.frames} frames, a clip has {self.frames}; remove it, "
                f"or pass --data.frames {info.frames}"
            )
        if min(info.width, info.height) < self.size:
            fitting = min(info.width, info.height) // self.scale * self.scale
            raise UserError(
                f"{info.path}: {info.width}x{info.height}, the crop is {self.size}x{self.size}; remove it, "
                f"or pass --data.size {fitting}"
            )
        return info

    def checked_twin(self, name: str, hr: VideoInfo, twins: dict[str, Path], lr_root: Path) -> Path:
        """Refuses low-resolution twins that do not fit."""
        if name not in twins:
            raise UserError(f"{lr_root}: holds no {name}, the LR twin of {hr.path}; add it, or leave out the LR folder")
        lr = probe(twins[name])
        if (lr.width * self.scale, lr.height * self.scale) != (hr.width, hr.height):
            raise UserError(
                f"{lr.path}: {lr.width}x{lr.height}, HR is {hr.width}x{hr.height}: sizes must differ by x{self.scale}; "
                "pair it with the right HR, or set --data.scale"
            )
        if lr.frames != hr.frames:
            raise UserError(f"{lr.path}: {lr.frames} frames, HR has {hr.frames}: must be equal; export both again")
        return lr.path

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Clip:
        """A clip: lr (T, 3, size / scale, size / scale), hr (T, 3, size, size), its name."""
        item = self.items[number]
        # on the LR grid, so that the crops of both show the same
        top = (item.hr.height - self.size) // 2 // self.scale * self.scale
        left = (item.hr.width - self.size) // 2 // self.scale * self.scale
        hr = self.read(item.hr.path, item.start, top, left, self.size)
        if item.lr is None:
            epoch = number.epoch if isinstance(number, EpochIndex) else 0
            lr = self.degradation(hr, self.scale, (self.seed, item.name, epoch))
        else:
            scale = self.scale
            lr = self.read(item.lr, item.start, top // scale, left // scale, self.size // scale)
        return Clip(lr, hr, item.name)  # type: ignore[arg-type] # collation makes a list of names

    def read(self, path: Path, start: int, top: int, left: int, size: int) -> Tensor:
        """A cropped clip in [0, 1], shape (T, 3, size, size)."""
        crops = [frame[top : top + size, left : left + size] for frame in read_frames(path, start, self.frames)]
        return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).contiguous() / 255
