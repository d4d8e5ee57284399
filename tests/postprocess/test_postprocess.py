"""What all steps share."""

import pytest
import torch
import yaml
from jsonargparse import ArgumentParser

from tests.stacks import CONFIGS
from vsr_adapter.errors import UserError
from vsr_adapter.postprocess import (
    CLAHE,
    AdaIN,
    Bilateral,
    Gaussian,
    HistogramMatching,
    LabStatistics,
    NonLocalMeans,
    Postprocess,
    WaveletColour,
    WaveletShrinkage,
    hybrid,
    postprocess,
)

EVERY = [
    WaveletColour(),
    AdaIN(),
    LabStatistics(),
    HistogramMatching(),
    CLAHE(grid=2),
    Gaussian(),
    Bilateral(),
    NonLocalMeans(),
    NonLocalMeans(frames=3),
    WaveletShrinkage(),
]
COLOURS = EVERY[:4]
DENOISERS = EVERY[5:]


def name(step: Postprocess) -> str:
    return type(step).__name__


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("step", EVERY, ids=name)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_shape_dtype_and_range_are_kept_on_any_size(step, dtype):
    video, style = noise(2, 3, 3, 21, 26).to(dtype), noise(2, 3, 3, 21, 26, seed=1).to(dtype)
    before = video.clone()
    out = step(video, style)
    assert (out.shape, out.dtype) == (video.shape, dtype)
    assert out.min() >= 0
    assert out.max() <= 1
    assert not torch.equal(out, video)
    assert torch.equal(video, before)


@pytest.mark.parametrize("step", EVERY, ids=name)
def test_clips_are_treated_by_themselves(step):
    video, style = noise(2, 3, 3, 24, 24), noise(2, 3, 3, 24, 24, seed=1)
    torch.testing.assert_close(step(video, style)[1:], step(video[1:], style[1:]))


@pytest.mark.parametrize("step", COLOURS, ids=name)
def test_a_video_that_is_its_style_is_left_alone(step):
    video = noise(1, 2, 3, 20, 24)
    torch.testing.assert_close(step(video, video), video, atol=2e-4, rtol=0)


@pytest.mark.parametrize("step", DENOISERS, ids=name)
def test_a_flat_video_is_left_alone(step):
    video = torch.tensor([0.2, 0.5, 0.8])[:, None, None].expand(1, 3, 3, 20, 24)
    tolerance = 1.1 / 255 if isinstance(step, NonLocalMeans) else 1e-5  # OpenCV goes through 8-bit Lab
    torch.testing.assert_close(step(video, video), video, atol=tolerance, rtol=0)


@pytest.mark.parametrize("step", DENOISERS, ids=name)
def test_noise_falls(step):
    truth = torch.linspace(0.2, 0.8, 32).expand(1, 3, 3, 32, 32)
    noisy = truth + 0.02 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    before, after = (float((video - truth).square().mean()) for video in (noisy, step(noisy, noisy)))
    assert after < 0.7 * before


@pytest.mark.parametrize("step", EVERY, ids=name)
def test_a_style_of_another_size_is_refused(step):
    with pytest.raises(UserError, match=r"style \(1, 1, 3, 8, 8\), video \(1, 1, 3, 32, 32\): must be equal; pass"):
        step(noise(1, 1, 3, 32, 32), noise(1, 1, 3, 8, 8))


def test_steps_follow_one_another():
    video, style = noise(1, 3, 3, 24, 24), noise(1, 3, 3, 24, 24, seed=1)
    first, second = hybrid()
    assert torch.equal(postprocess([first, second], video, style), second(first(video, style), style))
    assert not torch.equal(postprocess([second, first], video, style), postprocess([first, second], video, style))
    assert postprocess([], video, style) is video


def test_the_preset_is_a_list_of_class_paths():
    path = CONFIGS / "postprocess" / "hybrid.yaml"
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--steps", type=list[Postprocess])
    steps = parser.instantiate(parser.parse_args([f"--steps={yaml.safe_load(path.read_text())}"])).steps
    assert [vars(step) for step in steps] == [vars(step) for step in hybrid()]
    assert list(map(type, steps)) == list(map(type, hybrid()))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WaveletColour(0), "levels 0: of the blur; pass 1 or more"),
        (lambda: CLAHE(clip_limit=0), "clip_limit 0, grid 8: must be positive"),
        (lambda: Gaussian(0), "sigma 0: must be positive; leave the step out"),
        (lambda: Bilateral(size=4), "size 4: must be odd and positive; pass 5"),
        (lambda: Bilateral(sigma_colour=-1), "sigma_colour -1: must be positive"),
        (lambda: NonLocalMeans(search=20), "search 20: must be odd and positive; pass 21"),
        (lambda: NonLocalMeans(frames=0), "frames 0: must be odd and positive; pass 1"),
        (lambda: NonLocalMeans(luminance=0), "luminance 0: must be positive"),
        (lambda: WaveletShrinkage(wavelet="sym99"), "wavelet sym99: pywt has none of that name"),
        (lambda: WaveletShrinkage(levels=0), "levels 0: must be positive"),
        (lambda: CLAHE()(noise(1, 1, 3, 8, 40), noise(1, 1, 3, 8, 40)), "frames of 40x8: CLAHE needs more than 8"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(UserError, match=message):
        make()
