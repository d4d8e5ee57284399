import cv2
import numpy as np
import pytest
import torch
from kornia.color import rgb_to_lab
from skimage.exposure import match_histograms

from tests.clips import cut
from vsr_adapter.postprocess import CLAHE, AdaIN, HistogramMatching, LabStatistics, WaveletColour
from vsr_adapter.postprocess.colour import blur_a_trous


def between(low: float, high: float, seed: int = 0, side: int = 40) -> torch.Tensor:
    return low + (high - low) * torch.rand(1, 2, 3, side, side, generator=torch.Generator().manual_seed(seed))


def smooth(video: torch.Tensor) -> torch.Tensor:
    """L of the wavelet fix, applied as StableSR writes it: level by level, on one image."""
    low = video.flatten(0, 1)
    for level in range(5):
        low = blur_a_trous(low, 2**level)
    return low.reshape(video.shape)


def test_wavelet_fix_removes_a_constant_cast_exactly():
    truth = between(0.3, 0.6)
    cast = truth + torch.tensor([0.1, -0.05, 0.02])[:, None, None]
    torch.testing.assert_close(WaveletColour()(cast, truth), truth, atol=1e-6, rtol=0)


def test_wavelet_fix_is_high_of_the_content_and_low_of_the_style():
    content, style = between(0.4, 0.6), between(0.3, 0.7, seed=1)
    expected = content - smooth(content) + smooth(style)
    torch.testing.assert_close(WaveletColour()(content, style), expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(WaveletColour()(content, style), content + smooth(style - content), atol=1e-6, rtol=0)


def test_wavelet_fix_keeps_detail_that_the_style_lacks():
    stripes = (torch.arange(40) % 2 * 0.2 + 0.4).expand(1, 1, 3, 40, 40)
    out = WaveletColour()(stripes, torch.full_like(stripes, 0.7))
    inner = out[..., 2:-2]  # the border is replicated, and stripes have none there
    torch.testing.assert_close(inner.mean().item(), 0.7, atol=5e-3, rtol=0)
    torch.testing.assert_close(inner.std().item(), stripes.std().item(), atol=5e-3, rtol=0)


def test_blur_a_trous_is_scipys_with_holes():
    from scipy.ndimage import convolve

    image = between(0, 1)[0, :1]
    for dilation in (1, 4):
        taps = np.zeros(2 * dilation + 1)
        taps[[0, dilation, -1]] = 0.25, 0.5, 0.25
        expected = [convolve(plane, np.outer(taps, taps), mode="nearest") for plane in image[0].double().numpy()]
        torch.testing.assert_close(
            blur_a_trous(image, dilation)[0].double(), torch.from_numpy(np.stack(expected)), atol=1e-6, rtol=0
        )


def test_statistics_after_adain_are_the_styles():
    out, style = AdaIN()(between(0.2, 0.9), between(0.4, 0.6, seed=1)), between(0.4, 0.6, seed=1)
    for statistic, tolerance in [(torch.mean, 1e-6), (torch.std, 2e-4)]:  # 1e-5 is added to the variance
        torch.testing.assert_close(statistic(out, dim=(3, 4)), statistic(style, dim=(3, 4)), atol=tolerance, rtol=0)


def test_statistics_in_lab_are_the_styles():
    style = between(0.4, 0.6, seed=1)
    out = rgb_to_lab(LabStatistics()(between(0.3, 0.7), style)[0])
    for statistic in (torch.mean, torch.std):
        torch.testing.assert_close(
            statistic(out, dim=(2, 3)), statistic(rgb_to_lab(style[0]), dim=(2, 3)), atol=0.02, rtol=0
        )


def test_histogram_matching_is_scikit_images_plane_by_plane():
    video = (between(0, 1) * 255).round() / 255
    style = (between(0.2, 0.5, seed=1) * 255).round() / 255
    out = HistogramMatching()(video, style)
    for frame, like, found in zip(video[0], style[0], out[0], strict=True):
        expected = match_histograms(frame.permute(1, 2, 0).numpy(), like.permute(1, 2, 0).numpy(), channel_axis=2)
        np.testing.assert_allclose(found.permute(1, 2, 0).numpy(), expected, atol=2e-3)


def test_clahe_is_opencvs_on_the_lightness_but_for_rounding():
    frames = np.stack(cut(0, 1, height=64, width=64))
    video = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255
    out = rgb_to_lab(CLAHE(clip_limit=2.0, grid=4)(video, video)[0])
    lab = rgb_to_lab(video[0])
    lightness = (lab[0, 0] * 2.55).round().byte().numpy()
    expected = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(4, 4)).apply(lightness) / 2.55
    assert np.corrcoef(out[0, 0].numpy().ravel(), expected.ravel())[0, 1] > 0.995


def test_clahe_raises_low_contrast():
    dull = between(0.4, 0.6)
    assert CLAHE(grid=4)(dull, dull).std() > 1.3 * dull.std()


def test_clahe_keeps_grey_grey():
    grey = between(0.3, 0.7)[:, :, :1].expand(1, 2, 3, 40, 40)
    out = CLAHE(grid=4)(grey, grey)
    assert out.amax(dim=2).sub(out.amin(dim=2)).max() < 1e-3


@pytest.mark.parametrize("step", [AdaIN(), LabStatistics(), WaveletColour()], ids=lambda step: type(step).__name__)
def test_a_flat_video_takes_the_styles_colour_without_nan(step):
    video, style = torch.full((1, 1, 3, 20, 20), 0.5), torch.full((1, 1, 3, 20, 20), 0.25)
    torch.testing.assert_close(step(video, style), style, atol=1e-3, rtol=0)
