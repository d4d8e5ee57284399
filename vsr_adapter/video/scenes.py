"""Scene cuts, by PySceneDetect where it is installed."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np

from vsr_adapter.errors import UserError
from vsr_adapter.video.index import index
from vsr_adapter.video.read import read

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

    rate = float(index(path).info.rate)
    detector = ContentDetector(min_scene_len=shortest)
    found: list[int] = []
    number = start
    for number, frame in enumerate(read(path, start, count, "repeat"), start):
        picture = np.rint(frame.rgb[..., ::-1].clip(0, 1) * 255).astype(np.uint8)
        height = max(round(picture.shape[0] * WIDTH / picture.shape[1]), 1)
        small = cv2.resize(picture, (WIDTH, height), interpolation=cv2.INTER_AREA)
        found += [cut.frame_num for cut in detector.process_frame(FrameTimecode(number, rate), small)]
    found += [cut.frame_num for cut in detector.post_process(FrameTimecode(number, rate))]
    return sorted(set(found))
