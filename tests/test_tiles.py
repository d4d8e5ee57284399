"""Laws of tiling: nothing changes an identity, places see their own noise, and joint tiles are one frame."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.clips import cut
from tests.stacks import model
from vsr_adapter.errors import UserError
from vsr_adapter.inference.sample import sample, sample_jointly
from vsr_adapter.inference.streaming import upscale_stream, upscale_stretch
from vsr_adapter.inference.tiles import padded, plan_tiles, upscaled
from vsr_adapter.sampling import Tiling
from vsr_adapter.seeds import BLOCK, NoiseField
from vsr_adapter.windows import Window, blend, blend_tiles, plan_windows, windows_of

SIZES = [(1, 1, 1), (1, 1, 50), (3, 7, 16), (8, 16, 17), (9, 33, 40), (17, 5, 64)]


@pytest.mark.parametrize("multiple", [1, 2, 4])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_an_identity_network_returns_its_input_bit_for_bit(size, batch, multiple):
    frames, height, width = size
    video = torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(0))
    plan = plan_tiles(height, width, Tiling(16, 5), multiple)
    parts = []
    for window, block in windows_of(list(video), plan_windows(frames, 8, 2)):
        whole = padded(torch.stack(block), 8, plan.size)
        assert whole.shape[0] == 8
        result = upscaled(whole, plan, batch, lambda lr, fields: lr, (0,), window.start, 1)
        parts.append((window, result[: len(block), :, :height, :width]))
    assert torch.equal(torch.cat(list(blend(parts))), video)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_cover_the_frame_at_borders_that_the_backbone_takes(size):
    plan = plan_tiles(size[1], size[2], Tiling(16, 5), 4)
    for windows, length in zip(plan, size[1:], strict=True):
        assert {stop - start for start, stop in windows} == {16}
        assert all(start % 4 == 0 for start, _ in windows)
        assert windows[0].start == 0
        assert windows[-1].stop >= length
        assert all(b.start <= a.stop - 5 for a, b in pairwise(windows))


def test_overlapping_tiles_share_the_noise_of_their_places():
    whole = NoiseField((0,), range(2), 0, 0, 96)("start", (4, 96, 96))
    for top, left in [(0, 0), (16, 40), (BLOCK, 2 * BLOCK - 1), (80, 80)]:
        tile = NoiseField((0,), range(2), top, left, 16)("start", (4, 16, 16))
        assert torch.equal(tile, whole[..., top : top + 16, left : left + 16])
    half = NoiseField((0,), range(2), 16, 40, 16)("start", (4, 8, 8))
    assert torch.equal(half, whole[..., 8:16, 20:28]), "f8 latents have half as many cells as pixels"
    assert abs(whole.mean()) < 0.02
    assert abs(whole.std() - 1) < 0.02


def test_what_a_tile_gets_is_its_own_place():
    video = torch.arange(40.0 * 40).reshape(1, 1, 40, 40).expand(2, 3, -1, -1)
    plan = plan_tiles(40, 40, Tiling(16, 4), 1)
    seen = []

    def network(lr, fields):
        seen.extend(
            (float(one[0, 0, 0, 0]), field.top * 40 + field.left) for one, field in zip(lr, fields, strict=True)
        )
        return lr.repeat_interleave(4, -1).repeat_interleave(4, -2)

    result = upscaled(video, plan, 2, network, (0,), 0, 4)
    assert torch.equal(result, video.repeat_interleave(4, -1).repeat_interleave(4, -2))
    assert len(seen) == len(plan.places) == 9
    assert all(corner == place for corner, place in seen)


@pytest.mark.parametrize("segments", [[(0, 5), (5, 20)], [(0, 12), (12, 13), (13, 20)]])
def test_stretches_of_a_video_are_those_of_the_whole(segments):
    stack = model(tiles=Tiling(16, 4))
    stack.sampler.steps = 1
    frames = [frame.astype(np.float32) / 255 for frame in cut(0, 20, height=12, width=20)]
    windows = plan_windows(20, 8, 2)
    whole = list(upscale_stream(stack, frames))
    for begin, end in segments:
        touching = [w for w in windows if w.start < end and w.stop > begin]
        # windows that end before `begin` but overlap the first one that reaches it do not matter
        part = list(upscale_stretch(stack, frames[touching[0].start :], touching, begin, end, stack.sampling.tiles))
        assert len(part) == end - begin
        assert all(np.array_equal(a, b) for a, b in zip(part, whole[begin:end], strict=True))


@pytest.mark.parametrize("name", ["tiny_ali_kl", "tiny_upscale_sft"])
def test_another_batch_changes_at_most_one_code(name):
    frames = cut(0, 3, height=20, width=40)
    results = []
    for batch in (1, 4):
        stack = model(name, tiles=Tiling(16, 4, batch))
        stack.sampler.steps = 2
        results.append(np.stack(list(upscale_stream(stack, frames))).astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


@torch.no_grad()
@pytest.mark.parametrize("name", ["tiny_ali_kl", "tiny_upscale_sft"])
def test_one_joint_tile_is_a_plain_sample_and_more_agree_at_each_step(name):
    stack = model(name, tiles=Tiling(16, 4))
    stack.sampler.steps = 2
    lr, field = torch.rand(1, 8, 3, 16, 16), NoiseField((0,), range(8), 0, 0, 16)
    alone = [Window(0, 16)]
    assert torch.equal(sample_jointly(stack, [lr], [field], alone, alone), sample(stack, lr, [field]))
    plan = plan_tiles(16, 28, stack.sampling.tiles, stack.lr_multiple)
    video = torch.rand(8, 3, *plan.size)
    fields = [NoiseField((0,), range(8), y.start, x.start, 16) for y, x in plan.places]
    tiles = [video[None, ..., y.start : y.stop, x.start : x.stop] for y, x in plan.places]
    joint = sample_jointly(stack, tiles, fields, plan.rows, plan.columns)
    assert joint.shape == (1, 8, 3, 64, 4 * plan.size[1])
    # what a tile sees of its neighbour changes it, there
    apart = blend_tiles((sample(stack, t, [f]) for t, f in zip(tiles, fields, strict=True)), plan.rows, plan.columns, 4)
    assert not torch.allclose(joint, apart, atol=1e-4)


def test_joint_tiles_of_a_network_that_sees_no_borders_are_the_whole_frame():
    """A denoiser that works point by point gives the same in any tiles."""
    from vsr_adapter.diffusion import JointDenoiser

    plan = plan_tiles(40, 24, Tiling(16, 4), 2)
    z = torch.randn(1, 4, 2, plan.size[0] // 2, plan.size[1] // 2)
    joint = JointDenoiser([lambda z_t, t: torch.tanh(z_t) * t] * len(plan.places), *plan, Fraction(1, 2))
    assert torch.equal(joint(z, torch.tensor(3.0)), torch.tanh(z) * 3)


def test_settings_that_make_no_sense_are_refused():
    for settings, message in [((8, 8), "overlap < window"), ((8, 2, 0), "at least 1 tile")]:
        with pytest.raises(UserError, match=message):
            Tiling(*settings)
    assert Tiling(80, 16).halved(16) == Tiling(32, 8)
    with pytest.raises(UserError, match="none smaller makes sense"):
        Tiling(16, 4).halved(1)
