"""What another method has written."""

from pathlib import Path

import numpy as np
from torch import Tensor

from vsr_adapter.data.folders import check_frames, check_image
from vsr_adapter.errors import UserError
from vsr_adapter.frames import to_video
from vsr_adapter.peers.base import Peer
from vsr_adapter.types import Ask
from vsr_adapter.video.find import VIDEO_SUFFIXES, frame_files
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames


class Folder(Peer):
    """Videos, or folders of frames, of the names of the test set's: whole ones, at the size of HR.

    Args:
        path: that holds them.
        name: row in the table; None takes the folder's.
    """

    timed = False  # what is read was made before

    def __init__(self, path: Path, name: str | None = None):
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; name the one that holds the method's videos")
        self.path, self.name, self.about = path, name or path.name, f"read from {path}"

    def find(self, video: str) -> Path:
        """The method's answer to a video.

        Raises:
            UserError: there is none.
        """
        candidates = [self.path / video, *(self.path / f"{video}{suffix}" for suffix in sorted(VIDEO_SUFFIXES))]
        for path in candidates:
            if path.exists():
                return path
        raise UserError(f"{self.path / video}: is missing; {self.name} must hold every video of the set by its name")

    def __call__(self, ask: Ask) -> Tensor:
        """The same frames, cropped to the same place.

        Raises:
            UserError: the video is missing, has another size or another number of frames than HR, a gap, or images of
                a kind that would change silently.
        """
        path, frames = self.find(ask.video), len(ask.lr)
        info, hr = probe(path), ask.hr
        if (info.width, info.height) != (hr.width, hr.height):
            raise UserError(
                f"{path}: {info.width}x{info.height}, HR is {hr.width}x{hr.height}: must be equal, nothing is resized; "
                f"upscale the whole LR frames by {ask.scale}"
            )
        if info.frames != hr.frames:
            raise UserError(f"{path}: {info.frames} frames, HR has {hr.frames}: must be equal; upscale every frame")
        if path.is_dir():
            check_frames(path)
            for file in frame_files(path)[ask.start : ask.start + frames]:
                check_image(file)
        height, width = ask.size
        crop = np.s_[ask.top : ask.top + height, ask.left : ask.left + width]
        images = [frame[crop] for frame in read_frames(path, ask.start, frames)]
        return to_video(images)
