"""The recipe's batches: camera motion, damage and captions."""

import numpy as np
import pytest
import torch

from recipes.mini.captions import GRID, CaptionEmbedding, describe
from recipes.mini.damage import h264, jpeg
from recipes.mini.footage import Footage, Shape
from recipes.mini.motion import Camera, path, reach, view
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.types import Clip

RNG = np.random.default_rng


def photograph(height=80, width=96):
    return RNG(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(size=96):
    rows, columns = np.mgrid[:size, :size] / size
    return np.stack([128 + 90 * np.sin(6 * rows + 3 * columns)] * 3, -1).round().astype(np.uint8)


def test_a_camera_that_does_not_move_sees_the_photograph():
    image = photograph(64, 64)
    np.testing.assert_array_equal(view(image, Camera(), 64), image)
    np.testing.assert_array_equal(view(photograph(), Camera(), 64), photograph()[8:72, 16:80])


def test_a_pan_of_whole_pixels_moves_the_view():
    np.testing.assert_array_equal(view(photograph(), Camera(x=3, y=-2), 64), photograph()[6:70, 19:83])


def test_a_full_size_photograph_is_averaged():
    halved = photograph().astype(np.float64).reshape(40, 2, 48, 2, 3).mean(axis=(1, 3))
    assert np.abs(view(photograph(), Camera(), 32, factor=2) - halved[4:36, 8:40]).max() <= 0.5


def test_a_quarter_turn_is_a_quarter_turn():
    image = photograph(64, 64)
    turned = view(image, Camera(turn=np.pi / 2), 64)
    np.testing.assert_array_equal(turned, np.rot90(image, 1))


def test_brightness_scales():
    assert np.abs(view(smooth(), Camera(gain=1.1), 64) - 1.1 * smooth()[16:80, 16:80]).max() <= 0.5 + 1e-9


def test_all_frames_of_a_path_lie_within_its_reach():
    """A white ground of that size shows no border, which reflection would hide: the corners are computed."""
    for seed in range(50):
        cameras = path(8, RNG(seed))
        half = reach(cameras, 96) / 2
        for camera in cameras:
            turn = np.array([[np.cos(camera.turn), -np.sin(camera.turn)], [np.sin(camera.turn), np.cos(camera.turn)]])
            corners = turn @ (np.array([[-48, -48, 48, 48], [-48, 48, -48, 48]]) / camera.zoom)
            assert np.abs(corners + np.array([[camera.x], [camera.y]])).max() <= half + 1e-6


@pytest.mark.parametrize("damage", [jpeg, h264])
def test_damage_is_light_and_keeps_colours(damage):
    clip = np.stack([smooth(32)] * 3)
    damaged = damage(clip, RNG(0))
    assert damaged.shape == clip.shape
    assert damaged.dtype == np.uint8
    assert 0 < np.abs(damaged.astype(int) - clip).mean() < 8


@pytest.fixture
def state(tmp_path):
    for folder in ("photographs", "clips"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "photographs" / "000.npy", photograph(200, 260))
    np.save(tmp_path / "clips" / "clip.npy", RNG(1).integers(0, 256, (9, 96, 96, 3), dtype=np.uint8))
    return tmp_path


def test_a_batch_is_a_function_of_seed_and_step(state):
    footage = Footage(state, [Shape(2, 4, 32, 1)], seed=5)
    first, again = footage.batch(3), Footage(state, [Shape(2, 4, 32, 1)], seed=5).batch(3)
    torch.testing.assert_close(first.hr, again.hr, atol=0, rtol=0)
    torch.testing.assert_close(first.lr, again.lr, atol=0, rtol=0)
    assert first.hr.shape == (2, 4, 3, 32, 32)
    assert first.lr.shape == (2, 4, 3, 8, 8)
    assert not torch.equal(first.hr, footage.batch(4).hr)


def test_media_that_were_not_prepared_are_asked_for(tmp_path):
    with pytest.raises(UserError, match=r"holds no prepared media; run `python -m recipes\.mini prepare`"):
        Footage(tmp_path, [Shape(1, 1, 32, 1)])


def caption(luma):
    """Of a grey clip, shape (T, H, W) in [0, 1]."""
    hr = (luma[None, :, None].expand(-1, -1, 3, -1, -1) * 255).round() / 255
    return describe(Clip(bicubic_downscale(hr), hr, ["clip"]))


def test_a_flat_clip_has_no_detail_no_orientation_and_no_motion():
    flat = caption(torch.full((2, 64, 64), 0.3))
    assert flat.energy.eq(0).all()
    assert flat.orientation.eq(0).all()
    assert flat.motion.eq(0).all()
    assert flat.brightness.eq(2).all()


@pytest.mark.parametrize(("axis", "word"), [(-1, 1), (-2, 5)])
def test_stripes_have_their_orientation(axis, word):
    ramp = torch.linspace(0, 1, 64) * 40
    stripes = 0.5 + 0.3 * torch.sin(ramp if axis == -1 else ramp[:, None]).expand(64, 64)
    assert caption(stripes[None]).orientation.eq(word).all()


def test_what_downscaling_removes_is_energy_and_where_it_stands():
    fine = torch.full((1, 64, 64), 0.5)
    fine[..., :16, 16:32] += 0.25 * (-1.0) ** torch.arange(16)
    energy = caption(fine).energy
    assert energy[0, 1] == 6
    assert energy[0, 15] == 0


def test_flicker_is_motion():
    clip = torch.full((4, 32, 32), 0.5) + 0.1 * (-1.0) ** torch.arange(4)[:, None, None]
    assert caption(clip).motion.eq(3).all()
    assert caption(clip[:1]).motion.eq(0).all()


def test_captions_become_tokens():
    tokens = CaptionEmbedding(32)(caption(torch.rand(2, 64, 64)))
    assert tokens.shape == (1, GRID * GRID, 32)
