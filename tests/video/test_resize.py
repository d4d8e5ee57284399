"""Against MATLAB's imresize, written here from its definition."""

import numpy as np
import pytest
import torch

from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale


def cubic(x):
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return near * (x <= 1) + far * ((x > 1) & (x <= 2))


def imresize_axis(values, scale, axis):
    """MATLAB: kernel widened by 1 / scale when shrinking, symmetric borders, weights normalised."""
    size = values.shape[axis]
    kernel = (lambda x: scale * cubic(scale * x)) if scale < 1 else cubic
    width = 4 / min(scale, 1)
    out = np.arange(round(size * scale)) + 1
    centre = out / scale + 0.5 * (1 - 1 / scale)
    index = np.floor(centre - width / 2)[:, None] + np.arange(int(np.ceil(width)) + 2)
    weight = kernel(centre[:, None] - index)
    weight /= weight.sum(1, keepdims=True)
    mirror = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    source = np.take(values, mirror[((index - 1) % (2 * size)).astype(int)], axis=axis)
    shape = [1] * source.ndim
    shape[axis : axis + 2] = weight.shape
    return (source * weight.reshape(shape)).sum(axis + 1)


def imresize(image, scale):
    return imresize_axis(imresize_axis(image.astype(np.float64), scale, 0), scale, 1)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (8, 16), (64, 48), (100, 36)])
def test_downscaling_is_matlabs_to_the_bit(height, width):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.floor(np.clip(imresize(image, 0.25), 0, 255) + 0.5)
    ours = bicubic_downscale(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    assert ours.shape == (1, 3, height // 4, width // 4)
    assert np.count_nonzero((ours[0].permute(1, 2, 0) * 255).round().numpy() != expected) == 0


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (20, 16)])
def test_upscaling_is_matlabs(height, width):
    image = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.clip(imresize(image, 4) / 255, 0, 1)
    ours = bicubic_upscale(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)
    np.testing.assert_allclose(ours[0].permute(1, 2, 0).numpy(), expected, atol=2e-6)


def test_a_flat_video_stays_flat():
    flat = torch.full((2, 3, 3, 16, 8), 100 / 255)
    torch.testing.assert_close(bicubic_downscale(flat), torch.full((2, 3, 3, 4, 2), 100 / 255))
    torch.testing.assert_close(bicubic_upscale(flat), torch.full((2, 3, 3, 64, 32), 100 / 255))


def test_resizing_commutes_with_mirroring():
    video = torch.rand(1, 2, 3, 32, 24)
    for resize in (bicubic_downscale, bicubic_upscale):
        torch.testing.assert_close(resize(video.flip(-1)), resize(video).flip(-1), atol=4e-3, rtol=0)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(UserError, match=r"frames of 10x9: must be multiples of 4 .* crop to 8x8"):
        bicubic_downscale(torch.rand(3, 9, 10))
