"""Colour: the standards' own values, swscale as the oracle, and there and back without change."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from tests.clips import SAMPLE
from vsr_adapter.video.colour import COEFFICIENTS, Matrix, double, from_rgb, halve, rounded, to_rgb, usual_space


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("depth", [8, 10, 12])
@pytest.mark.parametrize("space", sorted(COEFFICIENTS))
def test_black_white_and_grey_have_the_codes_of_the_standard(space, depth, full):
    matrix, unit = Matrix(space, full, depth), 1 << (depth - 8)
    black, white = (0, (1 << depth) - 1) if full else (16 * unit, 235 * unit)
    grey = np.full((1, 2), 128 * unit)
    rgb = to_rgb(np.array([[black, white]]), grey, grey, matrix)
    np.testing.assert_allclose(rgb, [[[0] * 3, [1] * 3]], atol=1e-6)
    blue = from_rgb(np.array([[[0, 0, 1.0]]]), matrix)
    assert blue[1][0, 0] == pytest.approx(128 * unit + (((1 << depth) - 1) / 2 if full else 112 * unit))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("ours", "theirs"), [(1, Colorspace.ITU709), (6, Colorspace.ITU601), (9, Colorspace.BT2020)])
def test_colours_are_swscales(ours, theirs, full):
    """Flat colours, where its filters do not matter; it computes in integers."""
    colours = np.random.default_rng(0).integers(0, 256, (50, 3), dtype=np.uint8)
    for colour in colours:
        frame = av.VideoFrame.from_ndarray(np.broadcast_to(colour, (16, 16, 3)).copy(), format="rgb24")
        codes = frame.reformat(
            format="yuv444p", dst_colorspace=theirs, dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG
        ).to_ndarray()[:, 8, 8]
        expected = from_rgb(colour[None, None] / 255, Matrix(ours, full, 8))
        assert np.abs(codes - np.array(expected)[:, 0, 0]).max() <= 1.6


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("space", sorted(COEFFICIENTS))
@pytest.mark.parametrize("depth", [8, 10])
def test_any_code_comes_back(space, full, depth):
    y, cb, cr = np.random.default_rng(0).integers(0, 1 << depth, (3, 64, 64))
    matrix = Matrix(space, full, depth)
    back = from_rgb(to_rgb(y, cb, cr, matrix), matrix)
    for codes, again in zip((y, cb, cr), back, strict=True):
        assert np.array_equal(rounded(again, depth), codes)


@pytest.mark.parametrize("cosited", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3, 4, 9, 10])
def test_halving_undoes_doubling(cosited, length):
    samples = np.random.default_rng(length).random((3, (length + 1) // 2)).astype(np.float32) * 255
    twice = double(samples, length, 1, cosited)
    assert twice.shape == (3, length)
    np.testing.assert_allclose(halve(twice, 1, cosited), samples, atol=1e-4)
    assert np.array_equal(double(samples.T, length, 0, cosited), twice.T)


@pytest.mark.parametrize(("cosited", "shift"), [(True, 0.0), (False, -0.25)])
def test_a_ramp_is_interpolated_where_the_samples_stand(cosited, shift):
    ramp = np.arange(20.0, dtype=np.float32)[None]
    inner = slice(4, -4)
    expected = np.arange(40) / 2 + shift
    np.testing.assert_allclose(double(ramp, 40, 1, cosited)[0, inner], expected[inner], atol=1e-5)


def test_real_chroma_comes_back():
    with av.open(str(SAMPLE)) as container:
        frame = next(container.decode(video=0))
    chroma = frame.to_ndarray()[frame.height :].astype(np.float32)
    for cosited in (False, True):
        again = halve(double(chroma, 2 * chroma.shape[1], 1, cosited), 1, cosited)
        assert np.array_equal(rounded(again, 8), chroma)


def test_what_players_assume():
    assert usual_space(2, 480) == 6
    assert usual_space(2, 720) == 1
    assert usual_space(9, 480) == 9
