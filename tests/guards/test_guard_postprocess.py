"""Post-processing: whole frames after each step, against the same frames without it and a library that is not ours."""

import cv2
import numpy as np
import pytest
import pywt
import torch
from kornia.enhance import equalize_clahe
from scipy.ndimage import convolve, gaussian_filter
from skimage.color import lab2rgb, rgb2lab
from skimage.exposure import match_histograms

from tests.clips import real_clips
from tests.guards.door import guards, of_class, predicted, restored, trainer_run, video
from tests.guards.oracles import bicubic
from vsr_adapter.video.images import read_pixels

SETTINGS = {"window": 3, "overlap": 0, "sampler__steps": 1}


def frames():
    return video(3, 12, 16)


def style() -> np.ndarray:
    """Where colours are taken from."""
    return bicubic(frames()).permute(0, 2, 3, 1).numpy()


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Without any step."""
    return restored(frames(), **SETTINGS).frames


def after(*steps) -> np.ndarray:
    return restored(frames(), **SETTINGS, postprocess=list(steps)).frames


def step(name: str, **init_args):
    return of_class(f"postprocess.{name}", **init_args)


def each(images: np.ndarray, change) -> np.ndarray:
    """Every plane of every frame."""
    return np.stack([np.stack([change(image[..., c]) for c in range(3)], -1) for image in images]).clip(0, 1)


def moved(content: np.ndarray, like: np.ndarray) -> np.ndarray:
    """Mean and deviation of another's planes."""
    axes = {"axis": (1, 2), "keepdims": True}
    scale = np.sqrt(like.var(ddof=1, **axes) + 1e-5) / np.sqrt(content.var(ddof=1, **axes) + 1e-5)
    return (content - content.mean(**axes)) * scale + like.mean(**axes)


@guards("postprocess", "WaveletColour", "WaveletColour.levels")
def test_the_wavelet_fix_takes_low_frequencies_of_the_upscaled_clip(plain):
    def low(plane):
        for dilation in (1, 2):
            taps = np.zeros(2 * dilation + 1)
            taps[[0, dilation, -1]] = 0.25, 0.5, 0.25
            plane = convolve(plane, np.outer(taps, taps), mode="nearest")
        return plane

    expected = np.stack(
        [
            np.stack([a[..., c] - low(a[..., c]) + low(b[..., c]) for c in range(3)], -1)
            for a, b in zip(plain, style(), strict=True)
        ]
    )
    np.testing.assert_allclose(after(step("WaveletColour", levels=2)), expected.clip(0, 1), atol=1e-4)


@guards("AdaIN")
def test_adain_takes_the_statistics_in_rgb(plain):
    np.testing.assert_allclose(after(step("AdaIN")), moved(plain, style()).clip(0, 1), atol=1e-3)


@guards("LabStatistics")
def test_lab_statistics_are_taken_in_lab(plain):
    expected = lab2rgb(moved(rgb2lab(plain), rgb2lab(style()))).clip(0, 1)
    np.testing.assert_allclose(after(step("LabStatistics")), expected, atol=5e-3)
    assert np.abs(expected - moved(plain, style())).max() > 0.02, "RGB's are others"


@guards("HistogramMatching")
def test_histograms_are_the_styles(plain):
    expected = [match_histograms(a, b, channel_axis=2) for a, b in zip(plain, style(), strict=True)]
    np.testing.assert_allclose(after(step("HistogramMatching")), np.stack(expected), atol=5e-3)


@guards("CLAHE", "CLAHE.clip_limit", "CLAHE.grid")
def test_clahe_equalises_the_lightness_by_its_limit_and_grid(plain):
    lab = rgb2lab(plain)
    lightness = torch.from_numpy(lab[..., 0])[:, None].clamp(0, 100) / 100
    equalised = equalize_clahe(lightness.float(), 3.5, (4, 4))
    lab[..., 0] = 100 * equalised[:, 0].numpy()
    found = after(step("CLAHE", clip_limit=3.5, grid=4))
    # bins are narrow: rounding in two Labs moves a pixel into the next
    assert np.abs(found - lab2rgb(lab).clip(0, 1)).mean() < 2e-3
    for other in ({"clip_limit": 3.5}, {"grid": 4}):
        assert np.abs(found - after(step("CLAHE", **other))).mean() > 5e-3


@guards("Gaussian", "Gaussian.sigma")
def test_gaussian_blurs_by_sigma(plain):
    expected = each(plain, lambda plane: gaussian_filter(plane, 1.3, mode="nearest", radius=4))
    np.testing.assert_allclose(after(step("Gaussian", sigma=1.3)), expected, atol=1e-4)


@guards("Bilateral", "Bilateral.size", "Bilateral.sigma_colour", "Bilateral.sigma_space")
def test_bilateral_is_the_mean_over_near_and_like_pixels(plain):
    reach, colour, space = 3, 0.3, 2.0
    wide = np.pad(plain, [(0, 0), (reach, reach), (reach, reach), (0, 0)], mode="edge")
    total, weights = np.zeros_like(plain), np.zeros((*plain.shape[:3], 1))
    for dy in range(2 * reach + 1):
        for dx in range(2 * reach + 1):
            there = wide[:, dy : dy + plain.shape[1], dx : dx + plain.shape[2]]
            unlike = np.abs(there - plain).sum(-1, keepdims=True) / colour
            far = ((dy - reach) ** 2 + (dx - reach) ** 2) / space**2
            weight = np.exp(-0.5 * (unlike**2 + far))
            total, weights = total + weight * there, weights + weight
    found = after(step("Bilateral", size=7, sigma_colour=colour, sigma_space=space))
    np.testing.assert_allclose(found, total / weights, atol=1e-4)


@guards("NonLocalMeans", *(f"NonLocalMeans.{name}" for name in ("luminance", "colour", "template", "search", "frames")))
def test_non_local_means_is_opencvs_with_these_settings(plain):
    images = [np.ascontiguousarray((255 * image[..., ::-1]).round().astype(np.uint8)) for image in plain]
    images = [images[0], *images, images[-1]]
    expected = [
        cv2.fastNlMeansDenoisingColoredMulti(images[i : i + 3], 1, 3, None, 9, 6, 5, 9)[..., ::-1] for i in range(3)
    ]
    given = {"luminance": 9, "colour": 6, "template": 5, "search": 9, "frames": 3}
    found = after(step("NonLocalMeans", **given))
    np.testing.assert_allclose(found, np.stack(expected) / 255, atol=1e-5)


@guards("WaveletShrinkage", *(f"WaveletShrinkage.{name}" for name in ("strength", "wavelet", "levels")))
def test_wavelet_shrinkage_thresholds_a_stationary_transform(plain):
    def shrunk(plane):
        parts = pywt.swt2(plane, "haar", 2)
        sigma = np.median(np.abs(parts[-1][1][2])) / 0.6745
        threshold = 1.5 * sigma * np.sqrt(2 * np.log(plane.size))
        soft = [(low, tuple(pywt.threshold(d, threshold, "soft") for d in details)) for low, details in parts]
        return pywt.iswt2(soft, "haar")

    found = after(step("WaveletShrinkage", strength=1.5, wavelet="haar", levels=2))
    np.testing.assert_allclose(found, each(plain.astype(np.float64), shrunk), atol=1e-3)


@guards("postprocess")
def test_steps_follow_each_other_in_the_order_of_the_list_in_predict_too(plain, tmp_path):
    adain, blur = step("AdaIN"), step("Gaussian", sigma=2.0)
    first = each(moved(plain, style()).clip(0, 1), lambda plane: gaussian_filter(plane, 2.0, mode="nearest", radius=6))
    found = after(adain, blur)
    np.testing.assert_allclose(found, first, atol=1e-3)
    assert np.abs(after(blur, adain) - first).max() > 0.01
    door = predicted(tmp_path, frames(), **SETTINGS, postprocess=[adain, blur])
    np.testing.assert_allclose(door.frames, found, atol=0.51 / 255)


@guards("postprocess")
def test_a_test_scores_and_shows_what_is_post_processed(tmp_path):
    real_clips(tmp_path / "clips", 1, size=32)
    data = [f"--data.test={tmp_path / 'clips'}", "--output", str(tmp_path / "out")]
    settings = {"sampler__steps": 1, "metrics": [of_class("metrics.PSNR")], "postprocess": [step("AdaIN")]}
    trainer_run("test", *data, **settings)
    folder = next((tmp_path / "out" / "pictures").rglob("output.png")).parent
    ours, bicubics = (read_pixels(folder / f"{name}.png") / 255 for name in ("output", "bicubic"))
    np.testing.assert_allclose(ours.mean((0, 1)), bicubics.mean((0, 1)), atol=0.03)
    np.testing.assert_allclose(ours.std((0, 1)), bicubics.std((0, 1)), atol=0.03)
