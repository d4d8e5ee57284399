"""Test clips with all that scoring them takes."""

from fractions import Fraction
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset

from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.degradations import Bicubic
from vsr_adapter.types import Ask, Source, Trial, VideoInfo


class Trials(Dataset[Trial]):
    """The clips of a test set, one by one: nothing of them is asked of the set again.

    Args:
        clips: the set.
        name: `Source.name`.
        shifted_lr: whether LR twins may lie elsewhere than HR.
    """

    def __init__(self, clips: ClipDataset, name: str = "", shifted_lr: bool = False):
        self.clips = clips
        # LR that is made otherwise than by bicubic lies where its maker puts it: DUF's is shifted
        placed = not shifted_lr and isinstance(clips.degradation, Bicubic)
        self.source = Source(name, clips.describe(), clips.size == "whole", placed)

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, number: int) -> Trial:
        """A clip."""
        clips, item = self.clips, self.clips.items[number]
        lr, hr, _ = clips[number]
        top, left = clips.corner(item)
        video, _ = item.name.rsplit("/", 1)
        ask = Ask(lr, video, item.hr, item.start, top, left, clips.scale, item.name, self.source.whole)
        return Trial(ask, hr, clips.scored, self.source)


def lone(name: str, lr: Tensor, truth: Tensor) -> Trial:
    """A clip that is a whole video, and of no set.

    Args:
        name: of both.
        lr: in [0, 1], shape (T, 3, h, w).
        truth: in [0, 1], shape (T, 3, h * scale, w * scale).
    """
    frames, _, height, width = truth.shape
    video = VideoInfo(Path(name), frames, width, height, Fraction(1))
    ask = Ask(lr, name, video, 0, 0, 0, width // lr.shape[-1], name, whole=True)
    return Trial(ask, truth, slice(None), Source("", {}, whole=True, placed=True))
