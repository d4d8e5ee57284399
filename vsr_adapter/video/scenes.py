"""Scene cuts, by PySceneDetect where it is installed."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from av.video.reformatter import Interpolation

from vsr_adapter.errors import UserError
from vsr_adapter.video.find import frame_files
from vsr_adapter.video.images import read_pixels
from vsr_adapter.video.index import Index, index
from vsr_adapter.video.read import matched

WIDTH = 256  # of the frames that are compared, as PySceneDetect's own downscaling has it


def can_detect() -> bool:
    """Whether PySceneDetect is installed."""
    return find_spec("scenedetect") is not None


def scene_cuts(path: Path, start: int = 0, count: int | None = None, shortest: int = 8) -> list[int]:
    """Numbers of the frames that begin a new scene, by changes of hue, saturation and luma between frames.

    Args:
        path: a video file or a folder of frames.
        start: number of the first frame.
        count: number of frames; None goes to the end.
        shortest: frames of a scene, at least: a window.

    Raises:
        UserError: PySceneDetect is not installed, or the video cannot be read.
    """
    if not can_detect():
        raise UserError("cuts on: PySceneDetect is not installed; pip install vsr-adapter[cuts], or pass cuts off")
    from scenedetect import FrameTimecode
    from scenedetect.detectors import ContentDetector

    known = index(path)
    rate = float(known.info.rate)
    count = known.info.frames - start if count is None else count
    detector = ContentDetector(min_scene_len=shortest)
    found: list[int] = []
    number = start
    height = max(round(known.info.height * WIDTH / known.info.width), 1)
    for number, small in enumerate(small_frames(path, known, start, count, height), start):
        if small is not None:
            found += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, rate), small)]
    found += [cut.frame_num for cut in detector.post_process(FrameTimecode(number, rate))]
    return sorted(set(found))


def small_frames(path: Path, known: Index, start: int, count: int, height: int) -> Iterator[np.ndarray | None]:
    """8-bit BGR of ``height`` x `WIDTH`, as the detector wants it; None for what cannot be decoded."""
    if path.is_dir():
        for file in frame_files(path)[start : start + count]:
            pixels = read_pixels(file)[..., 2::-1]
            eight = pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
            yield cv2.resize(eight, (WIDTH, height), interpolation=cv2.INTER_AREA)
        return
    for frame in matched(path, known, start, count):
        small = None if frame is None else frame.reformat(WIDTH, height, "bgr24", interpolation=Interpolation.AREA)
        yield None if small is None else small.to_ndarray()
