"""Against scikit-image, torchmetrics and values from outside."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchmetrics.functional.image import structural_similarity_index_measure

from tests.clips import cut
from vsr_adapter.metrics import PSNR, SSIM
from vsr_adapter.metrics.fidelity import luma
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale


def real_pair():
    """The first frame at a quarter of the size and back, the second at a sixteenth."""
    frames = np.stack(cut(0, 2, height=48, width=64))
    truth = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255
    ours = [bicubic_upscale(bicubic_downscale(truth[:, i : i + 1], f), f) for i, f in enumerate((4, 16))]
    return torch.cat(ours, dim=1), truth


def flat(value: float, side: int = 32) -> torch.Tensor:
    return torch.full((1, 1, 3, side, side), value)


def images(video: torch.Tensor) -> list[np.ndarray]:
    return list((video[0] * 255).round().byte().permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (PSNR(), 48.1308036),
        (PSNR(channels="y"), 49.4527218),
        (SSIM(), 0.9130623),
        (SSIM(channels="y"), 0.9987801),
    ],
    ids=["psnr", "psnr-y", "ssim", "ssim-y"],
)
def test_ones_against_twos_as_basicsr_scores_them(metric, expected):
    # BasicSR's Y is float32, which costs it 3e-6 dB: exactly, it is 20 log10(255^2 / 219) = 49.4527249
    assert metric(flat(1 / 255), flat(2 / 255)).item() == pytest.approx(expected, abs=5e-6 if expected > 1 else 1e-7)


def test_black_against_white_is_0_db():
    assert PSNR()(flat(0.0), flat(1.0)).item() == 0


def test_equal_videos():
    _, truth = real_pair()
    assert PSNR()(truth, truth).item() == float("inf")
    assert SSIM()(truth, truth).item() == pytest.approx(1, abs=1e-12)


def test_kornias_example():
    """kornia.metrics.psnr(1, 1.2, max 2) is 20."""
    assert PSNR(rounded=False)(flat(0.5), flat(0.6)).item() == pytest.approx(20, abs=1e-5)


def test_psnr_is_scikit_images_averaged_over_frames():
    ours, truth = real_pair()
    expected = [peak_signal_noise_ratio(t, o) for o, t in zip(images(ours), images(truth), strict=True)]
    pooled = peak_signal_noise_ratio(np.stack(images(truth)), np.stack(images(ours)))
    assert abs(np.mean(expected) - pooled) > 0.1
    assert PSNR()(ours, truth).item() == pytest.approx(np.mean(expected), abs=1e-9)


def test_ssim_is_scikit_images_on_the_valid_region():
    ours, truth = real_pair()
    maps = [
        structural_similarity(
            t, o, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
        )[1]
        for o, t in zip(images(ours), images(truth), strict=True)
    ]
    expected = np.mean([m[5:-5, 5:-5].mean() for m in maps])
    assert SSIM()(ours, truth).item() == pytest.approx(expected, abs=1e-6)


def test_ssim_is_torchmetrics_cropped_to_the_valid_region_and_not_its_mean():
    ours, truth = ((video[0] * 255).round() / 255 for video in real_pair())
    mean, full = structural_similarity_index_measure(
        ours.double(), truth.double(), data_range=1.0, return_full_image=True, reduction="none"
    )
    score = SSIM()(ours[None], truth[None]).item()
    assert score == pytest.approx(full[..., 5:-5, 5:-5].mean().item(), abs=1e-6)
    assert abs(score - mean.mean().item()) > 1e-4


def test_luma_is_matlabs_studio_range():
    """MATLAB: rgb2ycbcr of white, black, red, green and blue."""
    colours = torch.tensor([[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=torch.float64)
    expected = [235, 16, 81.481, 144.553, 40.966]
    found = luma(colours.T[:, None, :])[0, 0] * 255
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=2e-3)
