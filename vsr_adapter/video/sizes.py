"""How large frames become: bounds by a stated rule, before a picture is encoded.

A codec's bits are counted for each coded sample: a pixel has one of luma, one of alpha where there is alpha, and of
chroma two, one or a half, as its planes are halved. The lower bound is below what flat grey took, up to 1920x1080 and
as frames grow further; the upper one above what noise took, of all codes or of black and white alone, at all of these
CRF, presets and depths, be it a single frame. Footage lies between, and where cannot be known before it is encoded.
The table of docs/predict.md is measured by `make bench` (tests/video/test_sizes.py).
"""

from typing import NamedTuple

from vsr_adapter.video.encode import Encoding
from vsr_adapter.video.index import Look

FILE = (500, 8000)  # bytes of a file without its frames
FRAME = (0, 200)  # of a frame without its pixels: headers, and its line in the container's tables
BLOCK = 16  # pixels: sides are filled up to it by most codecs


class Bounds(NamedTuple):
    """The least and the most: bits of a sample, or bytes."""

    least: float
    most: float


def bits(encoding: Encoding, look: Look) -> Bounds:
    """Bits of a coded sample.

    Args:
        encoding: codec, CRF and preset.
        look: how the result is stored, of `Encoding.look`.
    """
    if encoding.images:
        # deflate reaches 1032 to 1; what it cannot make smaller it stores as it is
        return Bounds(look.depth / 1032, look.depth * 1.02)
    if encoding.codec == "ffv1":  # 8 bits by Golomb codes with runs, more by a range coder; RGB takes a bit more
        return Bounds(0.0001 if look.depth == 8 else 0.02, look.depth * 1.25 + 1)
    if encoding.codec == "prores":  # has a target of bits, but none for alpha, or beside it
        return Bounds(0.02, 18 if look.alpha else 4)
    # below 1 x264 is lossless, or nearly; the fastest presets do without what keeps noise small, trees above all
    most = 14 if encoding.crf < 1 else max(9.5 - 0.21 * encoding.crf, 0.6)
    return Bounds(0.00001, most * (2 if encoding.preset in ("ultrafast", "superfast") else 1))


def samples(look: Look, height: int, width: int) -> float:
    """Coded samples of a frame."""
    across, down = look.halved
    chroma = 0.5 if across and down else 1 if across or down else 2
    return height * width * (1 + (2 if look.rgb else chroma) + look.alpha)


def size(encoding: Encoding, look: Look, height: int, width: int, frames: int, files: int = 1) -> Bounds:
    """Bytes of a video's frames, or of a folder of PNG.

    Args:
        encoding: how they are written.
        look: how they are stored, of `Encoding.look`.
        height: pixels.
        width: pixels.
        frames: how many.
        files: that they are spread over; a PNG is one of its own.
    """
    each = bits(encoding, look)
    if encoding.images:
        filters = height  # a byte names each line's
        least = frames * samples(look, height, width) * each.least / 8
        return Bounds(least, frames * (samples(look, height, width) * each.most / 8 + filters + FRAME[1]))
    full = samples(look, -(-height // BLOCK) * BLOCK, -(-width // BLOCK) * BLOCK)
    return Bounds(
        files * FILE[0] + frames * (samples(look, height, width) * each.least / 8 + FRAME[0]),
        files * FILE[1] + frames * (full * each.most / 8 + FRAME[1]),
    )
