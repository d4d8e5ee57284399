"""Bounds of what frames take, against what they take."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch

from tests.clips import cut
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.video.encode import Encoding, open_encoder
from vsr_adapter.video.index import Look
from vsr_adapter.video.read import Frame
from vsr_adapter.video.sizes import Bounds, bits, samples, size

RGB = Look(rgb=True, full=True, halved=(False, False))


def flat(height, width, frames, alpha):
    """Grey."""
    opacity = np.ones((height, width), np.float32)
    return [Frame(np.full((height, width, 3), 0.5, np.float32), opacity if alpha else None)] * frames


def noise(height, width, frames, alpha, levels=None):
    """Independent values in every channel, of all codes or of some levels."""
    random = np.random.default_rng(0)
    for _ in range(frames):
        opacity = random.random((height, width), np.float32) if alpha else None
        rgb = random.random((height, width, 3), np.float32)
        yield Frame(rgb if levels is None else (rgb * levels).astype(int).astype(np.float32) / (levels - 1), opacity)


def black_and_white(height, width, frames, alpha):
    """The noise that takes the most of x264, x265 and ffv1."""
    return noise(height, width, frames, alpha, 2)


def footage(height, width, frames, alpha):
    """The sample's, bicubic x4."""
    (like,) = flat(height, width, 1, alpha)
    for frame in cut(0, frames, height=height // 4, width=width // 4):
        large = bicubic_upscale(torch.from_numpy(frame).permute(2, 0, 1)[None] / 255, 4)[0]
        yield like._replace(rgb=large.permute(1, 2, 0).numpy())


KINDS = (flat, footage, noise, black_and_white)


def taken(folder, encoding, source, frames, height, width) -> tuple[int, Bounds]:
    """Bytes of one encoded file or folder, and the bounds."""
    look, path = encoding.look(source), folder / f"a{encoding.segment_suffix}"
    with open_encoder(path, 0, width, height, Fraction(25), encoding, look) as encoder:
        for frame in frames:
            encoder.write(frame)
    files = list(path.iterdir()) if encoding.images else [path]
    return sum(file.stat().st_size for file in files), size(encoding, look, height, width, encoder.frames)


CASES = [
    *((Encoding(codec=codec, crf=crf), Look()) for codec, crf in product(("x264", "x265"), (0, 1, 16, 30, 51))),
    *((Encoding(codec=codec, crf=16, depth=10), Look(halved=(False, False))) for codec in ("x264", "x265")),
    *((Encoding(crf=4, preset=preset), Look()) for preset in ("superfast", "ultrafast")),
    *((Encoding(codec="ffv1"), look._replace(depth=depth)) for look, depth in product((Look(), RGB), (8, 10, 16))),
    (Encoding(codec="ffv1"), RGB._replace(alpha=True)),
    (Encoding(codec="prores"), Look()),
    (Encoding(codec="prores"), RGB._replace(alpha=True)),
    (Encoding("png"), RGB._replace(alpha=True)),
    (Encoding("png"), Look()),
    (Encoding("png16"), Look()),
]


def name(case) -> str:
    encoding, look = case
    how = "" if encoding.codec in ("ffv1", "prores") or encoding.images else f"-{encoding.crf}-{encoding.preset}"
    depth = encoding.look(look).depth
    kind = encoding.format if encoding.images else encoding.codec
    return f"{kind}{how}-{depth}{'-rgb' * look.rgb}{'-alpha' * look.alpha}"


@pytest.mark.parametrize("case", CASES, ids=name)
def test_what_frames_take_lies_between_the_bounds(tmp_path, case):
    encoding, source = case
    for height, width, frames in [(64, 96, 4), (16, 16, 4)]:
        for kind in KINDS:
            folder = tmp_path / kind.__name__ / str(height)
            folder.mkdir(parents=True)
            video = kind(height, width, frames, source.alpha)
            count, bounds = taken(folder, encoding, source, video, height, width)
            assert bounds.least <= count <= bounds.most, kind.__name__


def test_bounds_grow_with_frames_and_pixels_and_lie_apart():
    for encoding, source in CASES:
        look = encoding.look(source)
        one, more, larger = (size(encoding, look, h, h, frames) for h, frames in ((64, 9), (64, 90), (128, 9)))
        assert 0 < one.least < more.least
        assert one.least < larger.least
        assert one.most < more.most
        assert one.most < larger.most
        assert one.least < one.most


@pytest.mark.bench
@pytest.mark.parametrize("case", CASES, ids=name)
def test_measure_bits_of_a_sample(tmp_path, case):
    """For the table of docs/predict.md: bounds, then flat, the sample, noise, black and white noise."""
    encoding, source = case
    height, width, frames = 192, 256, 12
    look = encoding.look(source)
    count = frames * samples(look, height, width) / 8
    measured = []
    for kind in KINDS:
        (tmp_path / kind.__name__).mkdir()
        video = kind(height, width, frames, source.alpha)
        measured.append(taken(tmp_path / kind.__name__, encoding, source, video, height, width)[0] / count)
    print(name(case), *bits(encoding, look), *(f"{one:.3f}" for one in measured))
