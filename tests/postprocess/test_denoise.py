import cv2
import numpy as np
import pytest
import torch
from kornia.filters import gaussian_blur2d
from skimage.restoration import estimate_sigma

from tests.clips import cut
from vsr_adapter.postprocess import Bilateral, Gaussian, NonLocalMeans, WaveletShrinkage


@pytest.fixture(scope="module")
def real():
    frames = np.stack([cut(0, 1, height=40, width=56)[0]] * 3)
    return torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255


def noisy(video: torch.Tensor, sigma: float = 8 / 255) -> torch.Tensor:
    return (video + sigma * torch.randn(video.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def error(video: torch.Tensor, truth: torch.Tensor) -> float:
    return float((video - truth).square().mean())


def test_gaussian_is_opencvs(real):
    out = Gaussian(1.0)(real, real)[0, 0].permute(1, 2, 0).numpy()
    expected = cv2.GaussianBlur(real[0, 0].permute(1, 2, 0).numpy(), (7, 7), 1.0, borderType=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(out, expected, atol=1e-5)


def test_bilateral_without_edges_is_gaussian_and_with_all_edges_nothing(real):
    space = (1.5, 1.5)
    plain = gaussian_blur2d(real[0], 5, space, border_type="replicate")
    torch.testing.assert_close(Bilateral(sigma_colour=1e4)(real, real)[0], plain, atol=1e-5, rtol=0)
    torch.testing.assert_close(Bilateral(sigma_colour=1e-4)(real, real), real, atol=1e-5, rtol=0)


def test_non_local_means_is_opencvs_on_bgr(real):
    out = NonLocalMeans(5, 7)(real, real)[0, 0]
    image = (real[0, 0] * 255).round().byte().flip(0).permute(1, 2, 0).contiguous().numpy()
    expected = cv2.fastNlMeansDenoisingColored(image, None, 5, 7, 7, 21)[..., ::-1]
    assert np.array_equal((out * 255).round().byte().permute(1, 2, 0).numpy(), expected)


def test_neighbouring_frames_help_non_local_means(real):
    video = noisy(real)
    alone, together = (NonLocalMeans(8, 8, search=7, frames=frames)(video, video) for frames in (1, 3))
    assert error(together, real) < 0.9 * error(alone, real) < 0.9 * error(video, real)


def test_non_local_means_reaches_only_its_neighbours(real):
    other = real.clone()
    other[:, 2] = 0.5
    step = NonLocalMeans(search=7, frames=3)
    assert torch.equal(step(other, other)[:, 0], step(real, real)[:, 0])
    assert not torch.equal(step(other, other)[:, 1], step(real, real)[:, 1])


def test_wavelet_shrinkage_by_nothing_gives_the_video_back(real):
    out = WaveletShrinkage(strength=1e-9)(real, real)
    torch.testing.assert_close(out, real, atol=2e-6, rtol=0)


def test_wavelet_shrinkage_removes_most_noise_and_not_the_picture(real):
    video = noisy(real, 16 / 255)
    out = WaveletShrinkage(strength=0.3)(video, video)
    assert error(out, real) < 0.8 * error(video, real)
    sigmas = [
        estimate_sigma(v[0, 0].permute(1, 2, 0).numpy(), channel_axis=2, average_sigmas=True) for v in (video, out)
    ]
    assert sigmas[1] < sigmas[0] / 2
