"""Generated sources that hold more than pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.clips import cut

RATE = 16000


def add_audio(container, codec: str, seconds: float = 3.0):
    """A tone; returns its packets."""
    stream = container.add_stream(codec, rate=RATE, layout="mono")
    stream.metadata["language"] = "deu"
    samples = np.sin(np.arange(int(RATE * seconds)) / 20).astype(np.float32)
    packets = []
    for start in range(0, len(samples), 1024):
        block = samples[None, start : start + 1024]
        frame = av.AudioFrame.from_ndarray(block, "flt", "mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def rich_video(
    path: Path, audio: str | None = "aac", variable: bool = True, frames: int = 24, offset: int = 0, **look
) -> Path:
    """H.264 with B-frames, irregular times, a tone, chapters, metadata, pixel aspect, rotation and colour tags."""
    path.parent.mkdir(parents=True, exist_ok=True)
    base = Fraction(1, 90000)
    steps = [9000 + (1234 * i % 4000 if variable else 0) for i in range(frames)]
    times = offset + np.cumsum([0, *steps[:-1]])
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "a rich one"
        stream = container.add_stream("libx264", rate=10, options={"crf": "5", "bf": "2", "g": "12"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, look.get("pix_fmt", "yuv420p")
        context = stream.codec_context
        context.time_base, stream.time_base = base, base
        context.sample_aspect_ratio = look.get("aspect", Fraction(4, 3))
        context.colorspace = look.get("space", 1)
        context.color_primaries = context.color_trc = look.get("tags", 1)
        context.color_range = look.get("range", 1)
        if look.get("rotation"):
            stream.set_display_rotation(look["rotation"])
        tone = add_audio(container, audio, look.get("seconds", 3.0)) if audio else []
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        container.mux(tone)
        for picture, time in zip(cut(0, frames, height=48, width=64), times, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = int(time), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
