import math

import cv2
import numpy as np
import pytest
import torch
from kornia.filters import get_gaussian_kernel2d

from tests.clips import cut
from vsr_adapter.data.degradations.draws import Draws
from vsr_adapter.data.degradations.kernels import (
    SHAPES,
    generalised_gaussian,
    plateau,
    random_kernels,
    sinc,
    squared_distance,
)
from vsr_adapter.data.degradations.steps import (
    JPEG,
    Blur,
    Noise,
    Resize,
    ResizeTo,
    SincBlur,
    UnsharpMask,
    VideoCodec,
    interpolated,
)
from vsr_adapter.video.recompress import recompress


@pytest.fixture(scope="module")
def clip():
    return torch.from_numpy(np.stack(cut(0, 4, height=48, width=64))).permute(0, 3, 1, 2) / 255


def array(frame):
    return frame.permute(1, 2, 0).numpy()


def one(*values):
    return [torch.tensor([value]) for value in values]


def test_draws_are_a_function_of_the_key():
    def numbers(*key):
        draws = Draws(*key)
        return [
            draws.uniform(0, 1),
            draws.choice(range(99)),
            *draws.walk(0, 9, 1, 3).tolist(),
            *draws.normal(2).tolist(),
        ]

    assert numbers(0, "a", 1) == numbers(0, "a", 1)
    assert len({tuple(numbers(*key)) for key in [(0, "a", 1), (1, "a", 1), (0, "b", 1), (0, "a", 2)]}) == 4


def test_choices_are_as_often_as_their_weights():
    found = [Draws(i).choice("abc", (2, 1, 0)) for i in range(600)]
    assert found.count("a") == pytest.approx(400, abs=50)
    assert found.count("c") == 0


def test_walks_stay_in_range_and_take_small_steps():
    for seed in range(20):
        walk = Draws(seed).walk(1, 2, 0.3, 50)
        assert walk.min() >= 1
        assert walk.max() <= 2
        assert 0 < walk.diff().abs().max() <= 0.3 + 1e-6


def test_a_round_gaussian_is_kornias():
    sigma, zero, beta = one(1.7, 0.0, 1.0)
    kernel = generalised_gaussian(squared_distance(9, sigma, sigma, zero), beta)
    torch.testing.assert_close(kernel, get_gaussian_kernel2d(9, (1.7, 1.7)))


def test_an_ellipse_turns_and_has_its_deviations():
    wide, narrow, quarter, beta = one(2.0, 0.8, math.pi / 2, 1.0)
    lying, standing = (
        generalised_gaussian(squared_distance(21, wide, narrow, angle), beta)[0] for angle in (quarter * 0, quarter)
    )
    torch.testing.assert_close(standing, lying.T)
    x = torch.arange(21) - 10.0
    assert (lying.sum(0) * x**2).sum().sqrt().item() == pytest.approx(2, rel=0.01)
    assert (lying.sum(1) * x**2).sum().sqrt().item() == pytest.approx(0.8, rel=0.01)


def test_shapes_by_their_formulas():
    sigma, zero, beta = one(2.0, 0.0, 1.5)
    distance = squared_distance(7, sigma, sigma, zero)
    for kernel, form in [
        (generalised_gaussian(distance, beta), lambda d: math.exp(-0.5 * d**3)),
        (plateau(distance, beta), lambda d: 1 / (1 + d**3)),
    ]:
        ratio = (kernel[0, 3, 5] / kernel[0, 3, 3]).item()
        assert ratio == pytest.approx(form(2 / 2.0), rel=1e-5)


def test_sinc_is_a_low_pass():
    """Flat below its cutoff, nothing above: measured on waves along a row."""
    kernel = sinc(21, torch.tensor([math.pi / 2]))[0]
    x = torch.arange(21) - 10.0
    gains = [(kernel.sum(0) * torch.cos(w * x)).sum().item() for w in (0.0, 0.25 * math.pi, 0.8 * math.pi)]
    assert gains[0] == pytest.approx(1, abs=1e-5)
    assert gains[1] == pytest.approx(1, abs=0.15)
    assert gains[2] == pytest.approx(0, abs=0.1)
    assert kernel.min() < 0


def test_every_shape_comes_and_all_kernels_sum_to_1(monkeypatch):
    for shape in SHAPES:
        monkeypatch.setattr("vsr_adapter.data.degradations.kernels.WEIGHTS", [float(s == shape) for s in SHAPES])
        for seed in range(4):
            kernels = random_kernels(Draws(seed), 3, (0.2, 3))
            assert kernels.shape[1] in range(7, 22, 2)
            torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(3))
            assert not torch.equal(kernels[0], kernels[1])


def test_unsharp_mask_is_real_esrgans(clip):
    image = array(clip[0])
    blurred = cv2.GaussianBlur(image, (51, 51), 0, borderType=cv2.BORDER_REPLICATE)
    mask = (np.abs(image - blurred) * 255 > 10).astype(np.float32)
    soft = cv2.GaussianBlur(mask, (51, 51), 0, borderType=cv2.BORDER_REPLICATE)
    expected = soft * np.clip(image + 0.5 * (image - blurred), 0, 1) + (1 - soft) * image
    np.testing.assert_allclose(array(UnsharpMask()(clip, Draws(0))[0]), expected, atol=2e-3)


@pytest.mark.parametrize(("mode", "flag"), [("bilinear", cv2.INTER_LINEAR), ("area", cv2.INTER_AREA)])
@pytest.mark.parametrize("size", [(24, 32), (96, 128)])
def test_resizing_is_opencvs(clip, mode, flag, size):
    expected = cv2.resize(array(clip[0]), size[::-1], interpolation=flag)
    np.testing.assert_allclose(array(interpolated(clip[:1], *size, mode)[0]), expected, atol=1e-5)


def test_random_sizes_are_even_and_in_range(clip):
    sizes = [Resize()(clip, Draws(seed)).shape[-2:] for seed in range(30)]
    assert all(h % 2 == 0 and w % 2 == 0 for h, w in sizes)
    assert min(h for h, _ in sizes) >= int(48 * 0.15 / 2) * 2
    assert max(h for h, _ in sizes) <= 48 * 1.5
    assert sum(h < 48 for h, _ in sizes) > sum(h > 48 for h, _ in sizes) > 0
    assert ResizeTo(5, 9)(clip, Draws(0)).shape == (4, 3, 5, 9)


@pytest.mark.parametrize("step", [Blur(), SincBlur(probability=1), Noise(), JPEG(), VideoCodec()])
def test_steps_keep_frames_and_channels_and_change_the_clip(step, clip):
    for seed in range(3):
        out = step(clip, Draws(seed))
        assert out.shape == clip.shape
        assert not torch.equal(out, clip)
        assert out.isfinite().all()


@pytest.mark.parametrize("step", [Blur(probability=0), SincBlur(probability=0)])
def test_steps_of_no_probability_do_nothing(step, clip):
    assert step(clip, Draws(0)) is clip


def test_gaussian_noise_has_its_deviation():
    grey = torch.full((6, 3, 64, 64), 0.5)
    seen = set()
    for seed in range(12):
        noise = Noise(sigma=(10, 10), scale=(1, 1))(grey, Draws(seed)) - 0.5
        same = torch.equal(noise[:, 0], noise[:, 1])
        gaussian = abs(noise.std().item() * 255 - 10) < 0.5
        # one level: Poisson(x) - x, of variance x
        assert gaussian or noise.std().item() == pytest.approx(0.5**0.5, rel=0.05)
        seen.add((same, gaussian))
    assert len(seen) == 4


def test_jpeg_is_opencvs_and_falls_with_the_quality(clip):
    exact = JPEG(quality=(50, 50))(clip, Draws(0))
    _, file = cv2.imencode(
        ".jpg", (array(clip[1].flip(0)) * 255).round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 50]
    )
    assert np.array_equal((array(exact[1].flip(0)) * 255).round(), cv2.imdecode(file, cv2.IMREAD_COLOR))
    errors = [(JPEG(quality=(q, q))(clip, Draws(0)) - clip).square().mean() for q in (95, 60, 30)]
    assert errors[0] < errors[1] < errors[2]


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize(("height", "width"), [(48, 64), (15, 21), (2, 2)])
def test_codecs_take_any_size_and_give_the_clip_back_in_order(codec, height, width):
    levels = np.array([40, 90, 140, 190, 240], dtype=np.uint8)
    flat = np.broadcast_to(levels[:, None, None, None], (5, height, width, 3)).copy()
    out = recompress(flat, codec, 100_000)
    assert out.shape == flat.shape
    assert np.abs(out.astype(int) - flat).max() <= 6


def test_fewer_bits_are_more_error():
    frames = np.stack(cut(0, 6, height=192, width=256))
    errors = [
        np.square(recompress(frames, "libx264", rate).astype(float) - frames).mean() for rate in (100_000, 10_000)
    ]
    assert errors[1] > 2 * errors[0]
