from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.clips import cut
from tests.stacks import CONFIGS, TINY_BACKBONES, loss, model
from vsr_adapter import Restorer
from vsr_adapter.errors import UserError
from vsr_adapter.inference import streaming
from vsr_adapter.inference.streaming import upscale_stream
from vsr_adapter.postprocess import WaveletColour
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale
from vsr_adapter.sampling import Tiling
from vsr_adapter.types import Clip

ONE_STEP = {"sampling__sampler__steps": 1}


@pytest.fixture(scope="module")
def stack():
    torch.manual_seed(0)
    stack = model()
    stack.sampler.steps = 1
    return stack


@pytest.fixture
def nearest(stack, monkeypatch):
    """Makes the sampler transparent: what is left is reading, padding, windows, blending and cropping."""

    def sample(model, lr, fields):
        assert lr.shape[1] == model.window == len(fields[0].frames)
        assert lr.shape[-1] % model.lr_multiple == lr.shape[-2] % model.lr_multiple == 0
        return lr.repeat_interleave(4, -1).repeat_interleave(4, -2)

    monkeypatch.setattr(streaming, "sample", sample)
    monkeypatch.setattr(stack, "sampling", replace(stack.sampling, tiles=Tiling(8, 4)))
    return stack


@pytest.mark.parametrize("frames", [1, 2, 8, 9, 15, 21])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (16, 16)])
def test_every_frame_comes_back_once_in_place_and_exactly(nearest, frames, height, width):
    video = cut(0, frames, height=height, width=width)
    restored = list(upscale_stream(nearest, iter(video)))
    assert len(restored) == frames
    for ours, frame in zip(restored, video, strict=True):
        assert np.array_equal(ours, frame.repeat(4, 0).repeat(4, 1))


def test_frames_keep_their_dtype(stack):
    video = cut(0, 2, height=8, width=8)
    assert next(upscale_stream(stack, video)).dtype == np.uint8
    for dtype in (np.float32, np.float64, np.float16):
        frames = list(upscale_stream(stack, [(frame / 255).astype(dtype) for frame in video]))
        assert frames[0].dtype == dtype
        assert frames[0].shape == (32, 32, 3)
        assert 0 <= frames[0].min() <= frames[0].max() <= 1


def test_float_and_8_bit_input_give_the_same_picture(stack):
    video = cut(0, 3, height=8, width=8)
    eight = np.stack(list(upscale_stream(stack, video)))
    floating = np.stack(list(upscale_stream(stack, [(frame / 255).astype(np.float32) for frame in video])))
    assert np.abs(eight / 255 - floating).max() <= 0.5 / 255 + 1e-3


def test_it_streams(nearest):
    taken = 0

    def camera():
        nonlocal taken
        while True:
            taken += 1
            yield cut(taken % 30, 1, height=8, width=8)[0]

    frames = upscale_stream(nearest, camera())
    for _ in range(50):
        next(frames)
    assert taken <= 50 + 8 + 6


def test_frames_that_are_none_or_change_are_refused(stack):
    frame = cut(0, 1, height=8, width=8)[0]
    for bad, message in [
        (frame[..., 0], r"frame 1 of shape \(8, 8\), uint8: must be \(H, W, 3\)"),
        (frame.astype(np.int32), r"int32: must be"),
        (frame[:4], r"frame 1 is 8x4 uint8, the first was 8x8 uint8: all must be alike"),
        (frame.astype(np.float32), r"frame 1 is 8x8 float32"),
    ]:
        with pytest.raises(UserError, match=message):
            list(upscale_stream(stack, [frame, bad]))


def test_the_restorer_of_a_config_upscales(tmp_path):
    restorer = Restorer.from_config(CONFIGS / "tiny.yaml", **ONE_STEP, sampling__condition="off")
    assert restorer.model.sampler.steps == 1
    assert restorer.model.sampling.condition == "off"
    frames = cut(0, 2, height=8, width=12)
    restored = list(restorer.restore(iter(frames)))
    assert [frame.shape for frame in restored] == [(32, 48, 3)] * 2
    again = list(Restorer.from_config("tiny.yaml", **ONE_STEP, sampling__condition="off").restore(frames))
    assert all(np.array_equal(a, b) for a, b in zip(restored, again, strict=True))


def test_bf16_is_near_fp32_and_does_not_leak():
    frames = cut(0, 1, height=8, width=8)
    full, half = (
        np.stack(list(Restorer.from_config("tiny.yaml", precision=p, **ONE_STEP).restore(frames)))
        for p in ("32-true", "bf16-mixed")
    )
    difference = np.abs(full.astype(int) - half).mean()
    assert 0 < difference < 10
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("name", TINY_BACKBONES)
def test_every_backbone_restores_and_trains(name):
    stack = model(name)
    stack.sampler.steps = 1
    frames = list(upscale_stream(stack, cut(0, 3, height=9, width=10)))
    assert [frame.shape for frame in frames] == [(36, 40, 3)] * 3
    size = max(stack.backbone.capabilities.size_multiple, 32)
    hr = torch.rand(1, stack.time.up(4), 3, size, size)
    losses = loss(stack, Clip(bicubic_downscale(hr), hr, ["a"]), ("val",))
    losses.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in stack.adapter.parameters())


def test_post_processing_sees_whole_frames_and_the_low_resolution_clip():
    frames = cut(0, 3, height=12, width=20)
    plain, fixed = model(), model(postprocess=[WaveletColour()])
    for stack in (plain, fixed):
        stack.sampler.steps = 1
    lr = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None] / 255
    before = np.stack(list(upscale_stream(plain, [frame.astype(np.float32) / 255 for frame in frames])))
    after = np.stack(list(upscale_stream(fixed, [frame.astype(np.float32) / 255 for frame in frames])))
    video = torch.from_numpy(before).permute(0, 3, 1, 2)[None]
    expected = WaveletColour()(video, bicubic_upscale(lr))[0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(after, expected, atol=1e-5)
    assert np.abs(after - before).max() > 0.01
