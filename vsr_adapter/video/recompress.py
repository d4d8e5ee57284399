"""Lossy compression of a clip in memory: what a video on the web has been through."""

import io
from typing import Literal

import av
import numpy as np
from av.video.reformatter import Interpolation

Codec = Literal["libx264", "mpeg4"]
# libav's default conversion from 4:2:0 truncates, and darkens all channels by one level of 255
EXACT = Interpolation.BICUBIC | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND


def recompress(frames: np.ndarray, codec: Codec, bit_rate: int) -> np.ndarray:
    """Encodes and decodes a clip, in 4:2:0, at one frame a second.

    One thread encodes: with more, x264 gives other bits for another number of them.

    Args:
        frames: 8-bit RGB, shape (T, H, W, 3).
        codec: encoder.
        bit_rate: bits per frame, as the rate is one frame a second; encoders keep to it roughly.

    Returns:
        8-bit RGB, shape (T, H, W, 3).
    """
    count, height, width, _ = frames.shape
    even = np.pad(frames, [(0, 0), (0, height % 2), (0, width % 2), (0, 0)], mode="edge")
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream(codec, rate=1)
        stream.height, stream.width, stream.pix_fmt = *even.shape[1:3], "yuv420p"
        stream.bit_rate = bit_rate
        stream.codec_context.thread_count = 1
        for image in even:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as container:
        decoded = [
            frame.reformat(format="rgb24", interpolation=EXACT).to_ndarray() for frame in container.decode(video=0)
        ]
    assert len(decoded) == count, f"{codec} gave {len(decoded)} of {count} frames"
    return np.stack(decoded)[:, :height, :width]
