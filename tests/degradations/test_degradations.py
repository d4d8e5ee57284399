import numpy as np
import pytest
import torch
from scipy.ndimage import correlate, gaussian_filter

from tests.clips import cut, real_clips
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.degradations import Bicubic, BlurDown, Degradation, DUFBlurDown, RealWorld
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale
from vsr_adapter.training.datamodule import ClipDataModule

EVERY = [Bicubic(), BlurDown(), DUFBlurDown(), RealWorld()]


@pytest.fixture(scope="module")
def hr():
    return torch.from_numpy(np.stack(cut(0, 3, height=64, width=72))).permute(0, 3, 1, 2) / 255


def planes(clip):
    return clip.flatten(0, 1).double().numpy()


@pytest.mark.parametrize("degradation", EVERY, ids=lambda d: d.name)
def test_a_quarter_of_the_size_in_8_bit_and_the_same_for_the_same_key(degradation, hr):
    lr = degradation(hr, 4, (0, "clip", 0))
    assert lr.shape == (3, 3, 16, 18)
    torch.testing.assert_close((lr * 255).round() / 255, lr)
    assert lr.min() >= 0
    assert lr.max() <= 1
    assert torch.equal(degradation(hr, 4, (0, "clip", 0)), lr)


@pytest.mark.parametrize("key", [(1, "clip", 0), (0, "other", 0), (0, "clip", 1)])
def test_the_real_world_differs_by_seed_clip_and_epoch(key, hr):
    assert not torch.equal(RealWorld()(hr, 4, key), RealWorld()(hr, 4, (0, "clip", 0)))


def test_the_real_world_ignores_the_global_generator(hr):
    torch.manual_seed(1)
    first = RealWorld()(hr, 4, (0,))
    torch.manual_seed(2)
    np.random.seed(2)
    assert torch.equal(RealWorld()(hr, 4, (0,)), first)


def test_the_real_world_is_worse_than_bicubic_and_still_the_clip(hr):
    bicubic = bicubic_downscale(hr)
    errors = [float((RealWorld()(hr, 4, (seed,)) - bicubic).square().mean()) for seed in range(6)]
    shuffled = float((bicubic.flip(-1) - bicubic).square().mean())
    assert all(1e-4 < error < shuffled for error in errors)
    assert max(errors) > 1.5 * min(errors)


def test_bd_is_the_matlab_script(hr):
    """The script is ``fspecial('gaussian', 12, 1.6)``, ``imfilter(x, h, 'replicate')``, ``x(2:4:end-2, 2:4:end-2)``."""
    line = np.exp(-((np.arange(12) - 5.5) ** 2) / (2 * 1.6**2))
    kernel = np.outer(line, line) / line.sum() ** 2
    # imfilter's origin is tap floor((12 + 1) / 2) = 6, counted from 1; scipy's is tap 6, counted from 0
    blurred = [correlate(plane, kernel, mode="nearest", origin=-1) for plane in planes(hr)]
    expected = np.stack(blurred)[:, 1:-2:4, 1:-2:4]
    ours = planes(BlurDown()(hr, 4))
    assert np.abs(ours - expected).max() < 0.51 / 255


def test_bd_duf_is_pixels_0_4_8_of_scipys_blur(hr):
    expected = [gaussian_filter(plane, 1.6, mode="mirror")[::4, ::4] for plane in planes(hr)]
    assert np.abs(planes(DUFBlurDown()(hr, 4)) - np.stack(expected)).max() < 0.51 / 255


@pytest.mark.parametrize(("degradation", "place"), [(Bicubic(), 1.5), (BlurDown(), 1.5), (DUFBlurDown(), 0)])
def test_phases(degradation, place):
    """An LR pixel shows the middle of its block, but for DUF, which shows its upper left pixel."""
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64)
    step = (ramp[0, 0, 0, 1] - ramp[0, 0, 0, 0]).item()
    column = degradation(ramp, 4, ())[0, 0, 8, 8].item()
    assert (column - ramp[0, 0, 0, 32].item()) / step == pytest.approx(place, abs=0.5 / 255 / step)


def test_another_phase_costs_many_decibels(hr):
    """Trap 4: what lies 1.5 pixels off scores as if it were bad."""
    scores = [(bicubic_upscale(d(hr, 4, ())) - hr).square().mean().log10() * -10 for d in (BlurDown(), DUFBlurDown())]
    assert scores[0] > scores[1] + 1


@pytest.mark.parametrize("degradation", EVERY, ids=lambda d: d.name)
def test_sizes_that_do_not_divide_are_refused(degradation):
    with pytest.raises(UserError, match=r"(18x17|by 4).*multiples of 4"):
        degradation(torch.rand(1, 3, 17, 18), 4, ())


def test_bd_is_defined_by_4():
    with pytest.raises(UserError, match=r"BD of 16x16 by 2: is defined by 4"):
        BlurDown()(torch.rand(1, 3, 16, 16), 2)


class Tagged(Degradation):
    """Writes down the keys that it is given."""

    name = "tagged"

    def __init__(self):
        self.keys = []

    def __call__(self, hr, scale, key):
        self.keys.append(key)
        return bicubic_downscale(hr, scale)


def test_clips_are_degraded_by_seed_name_and_epoch(tmp_path):
    clips = real_clips(tmp_path, 2)
    tagged = Tagged()
    loader = ClipDataModule(train=clips, size=64, num_workers=0, seed=7, degradation=tagged).train_dataloader()
    for epoch in (0, 3):
        loader.sampler.set_epoch(epoch)
        assert len(list(loader)) == 2
    assert sorted(tagged.keys) == [(7, f"clip0{i}/00000000", epoch) for i in (0, 1) for epoch in (0, 3)]
    assert ClipDataset(clips, size=64, degradation=tagged)[1].lr.shape == (8, 3, 16, 16)
    assert tagged.keys[-1] == (0, "clip01/00000000", 0)


def test_workers_that_live_on_know_the_epoch(tmp_path):
    clips = real_clips(tmp_path, 1, frames=2)
    settings = {"train": clips, "size": 64, "frames": 2, "degradation": RealWorld()}
    loaders = [ClipDataModule(**settings, num_workers=workers).train_dataloader() for workers in (0, 1)]
    for epoch in (0, 1):
        for loader in loaders:
            loader.sampler.set_epoch(epoch)
        here, there = (next(iter(loader)).lr for loader in loaders)
        assert torch.equal(here, there)
        if epoch == 0:
            first = here
    assert not torch.equal(here, first)
