"""What users' videos have been through: light JPEG or H.264 compression of the low-resolution clip."""

import io
from collections.abc import Callable
from fractions import Fraction

import av
import cv2
import numpy as np


def jpeg(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each frame through JPEG, all at one quality of 50 to 95.

    Args:
        frames: 8-bit RGB, shape (T, h, w, 3).
        rng: draws the quality.
    """
    quality = int(rng.integers(50, 96))
    coded = [cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1] for frame in frames]
    decoded = [cv2.imdecode(one, cv2.IMREAD_COLOR) for one in coded]
    return np.stack([frame[..., ::-1] for frame in decoded if frame is not None])


def h264(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The clip through x264 at a CRF of 16 to 30; ``frames`` as for `jpeg`, height and width even."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        stream.options = {"crf": str(int(rng.integers(16, 31))), "preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    buffer.seek(0)
    with av.open(buffer) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def compressed(frames: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A clip through one of the two, shape of ``frames``; single frames are pictures, and get JPEG."""
    choices: list[Callable[[np.ndarray, np.random.Generator], np.ndarray]] = [jpeg, h264]
    return choices[int(rng.integers(2)) if len(frames) > 1 else 0](frames, rng)
