"""Real footage for tests: cuts of the shipped sample."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from vsr_adapter import assets
from vsr_adapter.video.images import write_png
from vsr_adapter.video.read import read_frames

SAMPLE = Path(assets.__file__).parent / "sample.mp4"


def cut(
    start: int = 0, frames: int = 8, top: int = 0, left: int = 0, height: int = 64, width: int = 64
) -> list[np.ndarray]:
    """Frames of the sample, cropped."""
    return [
        np.ascontiguousarray(frame[top : top + height, left : left + width])
        for frame in read_frames(SAMPLE, start, frames)
    ]


def write_video(path: Path, frames: list[np.ndarray], rate: Fraction = Fraction(10), bframes: int = 2) -> Path:
    """Nearly lossless H.264 with B-frames and a keyframe every 12 frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"crf": "5", "bf": str(bframes), "g": "12", "sc_threshold": "0"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv444p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def write_folder(path: Path, frames: list[np.ndarray]) -> Path:
    """A folder of PNG frames."""
    path.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        write_png(path / f"{number:08d}.png", frame)
    return path


def real_clips(folder: Path, count: int = 10, frames: int = 8, size: int = 64) -> Path:
    """Videos of different parts of the sample."""
    for i in range(count):
        top, left = 32 * (i % 5), 96 * (i // 5) + 16 * (i % 3)
        write_video(folder / f"clip{i:02d}.mp4", cut(3 * (i % 7), frames, top, left, size, size))
    return folder
