"""Windows in time and tiles in space: which frames and places the network gets, and how its results are joined."""

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler

from tests.guards.door import UPSCALE, UPSCALE_SFT, Pass, Run, V, clip, guards, of, of_class, predicted, restored, video
from tests.guards.oracles import (
    assert_standard_normal,
    bicubic,
    correlation,
    decoded,
    ramped,
    replayed,
    scheduler,
)

# which place of a frame a pass is for, is seen from the clip that the network gets: at level 0 with hardly any noise
SEEN = {"backbone": UPSCALE, "noise_level": 0, "sampler__steps": 1}
SFT = {**SEEN, "backbone": UPSCALE_SFT}


def frames_of(one: Pass, frames: np.ndarray) -> list[int]:
    """Numbers of the frames that a pass was given, by what they show."""
    known = clip(frames)[0].transpose(0, 1)
    return [int((known - seen).square().flatten(1).mean(1).argmin()) for seen in one.low_res[0].transpose(0, 1)]


def windows(run: Run, frames: np.ndarray) -> list[list[int]]:
    return [frames_of(one, frames) for one in run.passes]


@guards("window", "overlap")
def test_windows_have_the_frames_and_the_overlap_that_are_set_and_are_blended_over_it():
    frames = video(13)
    run = restored(frames, **SEEN, window=6, overlap=3)
    assert windows(run, frames) == [[*range(6)], [*range(3, 9)], [*range(6, 12)], [*range(7, 13)]]
    assert len(run.frames) == 13
    for a, b in [(0, 1), (1, 2)]:
        assert torch.equal(run.passes[a].z[:, :, 3:], run.passes[b].z[:, :, :3]), "the noise of a frame is its own"
    parts = [decoded(replayed([one], scheduler(1, config=V))) for one in run.passes]
    expected = ramped(list(zip([0, 3, 6, 7], parts, strict=True)))
    np.testing.assert_allclose(run.frames, expected, atol=1e-4)
    wider = restored(frames, **SEEN, window=6, overlap=1)
    assert windows(wider, frames) == [[*range(6)], [*range(5, 11)], [*range(7, 13)]]


@guards("window", "overlap")
def test_predict_cuts_the_same_windows_and_gives_the_same_frames(tmp_path):
    frames = video(9)
    settings = {**SEEN, "window": 5, "overlap": 1, "sampler__eta": 1, "noise_level": 77, "guidance_scale": 2, "seed": 4}
    door, python = predicted(tmp_path, frames, **settings), restored(frames, **settings)
    assert len(door.passes) == len(python.passes) == 4
    for ours, theirs in zip(door.passes, python.passes, strict=True):
        assert torch.equal(ours.t, theirs.t)
        assert torch.equal(ours.level, theirs.level)
        assert (ours.z.shape, ours.tokens.shape) == (theirs.z.shape, theirs.tokens.shape)
    for i in (0, 2):
        torch.testing.assert_close(door.passes[i].low_res, python.passes[i].low_res, atol=1e-5, rtol=0)
        torch.testing.assert_close(door.passes[i].z, python.passes[i].z)
    np.testing.assert_allclose(door.frames, python.frames, atol=0.51 / 255)


@guards("window")
def test_without_a_window_it_is_the_adapters_frames_and_short_videos_are_filled_up():
    adapter = of_class("adapters.LinearLinear", frames=4, tokens=100, in_dim=64, text_dim=32)
    frames = video(3)
    run = restored(frames, **SEEN, adapter=adapter)
    assert windows(run, frames) == [[0, 1, 2, 2]]
    assert len(run.frames) == 3


def place(one: Pass, frames: np.ndarray, side: int) -> tuple[int, int]:
    """Top and left of the tile that a pass was given, by what it shows."""
    whole = clip(frames)[0]
    cells = [(y, x) for y in range(whole.shape[2] - side + 1) for x in range(whole.shape[3] - side + 1)]
    errors = [(whole[..., y : y + side, x : x + side] - one.low_res[0]).square().mean() for y, x in cells]
    return cells[int(torch.stack(errors).argmin())]


TALL = (1, 20, 28)


@guards("tiles", "tiles.size", "tiles.overlap")
@pytest.mark.parametrize(
    ("size", "overlap", "rows", "columns"),
    [(16, 4, [0, 4], [0, 12]), (16, 8, [0, 4], [0, 8, 12]), (20, 4, [0], [0, 8])],
)
def test_tiles_have_the_size_and_the_overlap_that_are_set(size, overlap, rows, columns):
    frames = video(*TALL)
    settings = {**SEEN, "window": 1, "overlap": 0, "tiles.size": size, "tiles.overlap": overlap}
    run = restored(frames, **settings)
    assert {one.z.shape[-2:] for one in run.passes} == {(size, size)}
    assert [place(one, frames, size) for one in run.passes] == [(y, x) for y in rows for x in columns]
    for (left, one), (right, other) in pairwise(zip(columns, run.passes, strict=False)):
        shared = left + size - right
        assert torch.equal(one.z[..., -shared:], other.z[..., :shared]), "the noise of a place is its own"
        assert not torch.equal(one.z[..., :shared], other.z[..., :shared])
    tiles = iter(decoded(replayed([one], scheduler(1, config=V)))[0] for one in run.passes)
    lines = [(4 * y, ramped([(4 * x, next(tiles)) for x in columns], 1)) for y in rows]
    np.testing.assert_allclose(run.frames[0], ramped(lines), atol=1e-4)


@guards("tiles.size")
def test_auto_is_the_largest_tile_that_fits_into_the_memory_that_is_free(monkeypatch):
    sides = []
    for megabytes in (12, 24):
        monkeypatch.setattr("builtins.open", machine_with(megabytes))
        run = restored(video(1), sampler__steps=1, window=1, overlap=0, **{"tiles.size": "auto"})
        assert run.frames.shape == (1, 64, 64, 3)
        sides.append(run.passes[0].z.shape[-1])
    assert 32 <= sides[0] < sides[1] <= 160


def machine_with(megabytes: int):
    """`open` on a machine with that much memory free."""
    real = open
    said = f"MemTotal: 9999999 kB\nMemAvailable: {megabytes * 1000} kB\n"
    return lambda file, *args, **more: io.StringIO(said) if file == "/proc/meminfo" else real(file, *args, **more)


@guards("tiles.batch")
def test_a_batch_of_tiles_is_sampled_together():
    frames = video(*TALL)
    one, three = (restored(frames, **SEEN, window=1, overlap=0, **{"tiles.batch": batch}) for batch in (1, 3))
    assert [single.z.shape[0] for single in one.passes] == [1, 1, 1, 1]
    assert [several.z.shape[0] for several in three.passes] == [3, 1]
    torch.testing.assert_close(torch.cat([several.z for several in three.passes]), torch.cat([x.z for x in one.passes]))
    np.testing.assert_allclose(three.frames, one.frames, atol=1e-4)


def whole(parts: list[torch.Tensor], starts: list[int]) -> torch.Tensor:
    """One row of tiles in latent space (B, C, T, h, w), joined."""
    return torch.from_numpy(ramped([(at, part.numpy()) for at, part in zip(starts, parts, strict=True)], -1)).float()


@guards("tiles.mode", "Sampler.eta")
def test_joint_tiles_are_one_frame_that_is_denoised_with_noise_of_its_own_in_each_step():
    frames, steps = video(2, 16, 28), 3
    settings = {**SFT, "window": 2, "overlap": 0, "sampler__steps": steps, "sampler__eta": 1, "tiles.mode": "joint"}
    run = restored(frames, **settings)
    assert len(run.passes) == 2 * steps
    lefts, ddim, noises = [0, 12], scheduler(steps, DDIMScheduler, V), []
    for i, t in enumerate(ddim.timesteps):
        pair = run.passes[2 * i : 2 * i + 2]
        assert [place(one, frames, 16) for one in pair] == [(0, 0), (0, 12)], "each tile is told of its own clip"
        assert torch.equal(pair[0].low_res[..., 12:], pair[1].low_res[..., :4])
        tokens = of(run.calls, "LinearLinear")
        assert [torch.equal(one.tokens, its.output) for one, its in zip(pair, tokens, strict=True)] == [True, True]
        assert torch.equal(pair[0].z[..., 12:], pair[1].z[..., :4]), "they agree after every step"
        if i + 1 == steps:
            break
        z = torch.cat([pair[0].z, pair[1].z[..., 4:]], -1)
        prediction = whole([one.prediction for one in pair], lefts)
        still = torch.zeros_like(z)
        mean = ddim.step(prediction, t, z, eta=1, variance_noise=still).prev_sample
        deviation = ddim.step(prediction, t, z, eta=1, variance_noise=still + 1).prev_sample - mean
        later = run.passes[2 * i + 2 : 2 * i + 4]
        noises.append((torch.cat([later[0].z, later[1].z[..., 4:]], -1) - mean) / deviation)
        assert_standard_normal(noises[-1])
    assert abs(correlation(*noises)) < 0.1


@guards("tiles.mode")
@pytest.mark.parametrize("mode", ["blend", "joint"])
def test_each_tile_is_decoded_with_its_own_clip(mode):
    frames = video(2, 16, 28)
    run = restored(frames, **SFT, window=2, overlap=0, **{"tiles.mode": mode})
    clips = [call.inputs[1] for call in of(run.calls, "Decoder")]
    expected = clip(frames)
    assert len(clips) == 2
    for seen, left in zip(clips, [0, 12], strict=True):
        torch.testing.assert_close(seen, expected[..., left : left + 16])


@guards("tiles.mode")
def test_predict_joins_tiles_as_the_python_door_does(tmp_path):
    frames = video(3, 16, 28)
    settings = {**SFT, "window": 2, "overlap": 1, "sampler__steps": 2, "sampler__eta": 1, "tiles__mode": "joint"}
    python, door = restored(frames, **settings), predicted(tmp_path, frames, **settings)
    np.testing.assert_allclose(door.frames, python.frames, atol=0.51 / 255)
    blend = restored(frames, **{**settings, "tiles__mode": "blend"})
    assert np.abs(blend.frames - python.frames).max() > 0.01


@guards("scale")
@pytest.mark.parametrize("scale", [2, 4])
def test_the_scale_is_that_of_the_output(scale):
    start = of_class("diffusion.NoisedLowResStart", strength=0.4)
    run = restored(scale=scale, sampler__steps=5, start=start)
    assert run.frames.shape == (8, 16 * scale, 16 * scale, 3)
    assert run.passes[0].z.shape[-2:] == (4 * scale, 4 * scale)
    pixels = torch.cat([call.inputs[0] for call in of(run.calls, "Encoder")])
    torch.testing.assert_close((pixels + 1) / 2, bicubic(video(), scale), atol=1e-4, rtol=0)
