"""E_warp and its relatives where the answer is known."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from tests.clips import cut
from vsr_adapter.metrics import TOF, Farneback, Flow, VGGWarpError, WarpError
from vsr_adapter.metrics.warping import squared_gradient, trusted, warp

PICTURE = torch.from_numpy(cut(0, 1, height=96, width=128)[0]).permute(2, 0, 1) / 255


def clip_of(*frames: Tensor) -> Tensor:
    return torch.stack(frames)[None]


def flicker(video: Tensor, amplitude: float) -> Tensor:
    sign = torch.tensor([(-1.0) ** t for t in range(video.shape[1])])
    return video + amplitude * sign[None, :, None, None, None]


STATIC = clip_of(*[PICTURE * 0.9 + 0.05] * 3)
# two pixels to the right and one down a frame, no border in view
MOVING = clip_of(*[PICTURE[:, 16 - t : 80 - t, 16 - 2 * t : 112 - 2 * t] for t in range(3)])


class Still(Flow):
    """No motion, whatever the frames."""

    name = "still"

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return torch.zeros(2, *first.shape[-2:], dtype=torch.float64)


def test_a_static_clip_has_no_error():
    assert WarpError()(STATIC, STATIC).item() < 1e-20
    assert VGGWarpError()(STATIC, STATIC).item() < 1e-10


def test_farneback_sees_a_little_motion_in_a_static_clip():
    """Of which the reason is OpenCV: docs/metrics.md says so."""
    assert 0 < WarpError(Farneback())(STATIC, STATIC).item() < 1e-5


def test_flicker_has_its_square():
    """+-0.005: neighbours differ by 0.01, E_warp is 1e-4, printed as 0.1."""
    metric = WarpError()
    assert metric(flicker(STATIC, 0.005), STATIC).item() == pytest.approx(1e-4, rel=1e-4)
    assert metric(flicker(STATIC, 0.005), STATIC).item() * metric.factor == pytest.approx(0.1, rel=1e-4)


def test_a_moving_clip_has_nearly_none_and_one_that_stands_still_has_much():
    metric = WarpError()
    moving = metric(MOVING, MOVING).item()
    standing = metric(clip_of(*[MOVING[0, 0]] * 3), MOVING).item()
    assert moving < 5e-5
    assert standing > 50 * moving


def test_vgg_error_of_a_moving_clip_is_small_beside_that_of_one_that_stands_still():
    metric = VGGWarpError()
    moving, standing = (metric(video, MOVING).item() for video in (MOVING, clip_of(*[MOVING[0, 0]] * 3)))
    assert moving < standing / 4
    assert 0 < standing < 4


def test_vgg_features_flicker_with_the_video():
    metric = VGGWarpError(Still())
    little, much = (metric(flicker(STATIC, amplitude), STATIC).item() for amplitude in (0.005, 0.04))
    assert 0 < little < much


def test_blur_lowers_the_error_below_the_truths_own():
    """The trap: the truth's own E_warp is not 0, and below it is not better."""
    truth = torch.from_numpy(np.stack(cut(0, 3, height=96, width=128))).permute(0, 3, 1, 2)[None] / 255
    blurred = torch.stack([torch.from_numpy(cv2.GaussianBlur(f.permute(1, 2, 0).numpy(), (0, 0), 3)) for f in truth[0]])
    metric = WarpError()
    own = metric(truth, truth).item()
    assert 0 < metric(blurred.permute(0, 3, 1, 2)[None].clamp(0, 1), truth).item() < own


def test_the_flow_is_the_truths():
    other = clip_of(*[PICTURE.flip(-1)[:, 16:80, 16:112]] * 3)
    assert WarpError()(other, MOVING).item() > 100 * WarpError()(other, other).item()


def test_pairs_and_clips_that_say_nothing_are_left_out():
    cut_clip = clip_of(PICTURE, PICTURE, torch.rand(PICTURE.shape, generator=torch.Generator().manual_seed(0)))

    class CutFlow(Still):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            jump = 0.0 if torch.equal(first, second) else 5.0
            return torch.full((2, *first.shape[-2:]), jump, dtype=torch.float64)  # there and back do not agree

    metric = WarpError(CutFlow())
    assert metric(cut_clip, cut_clip).item() < 1e-20  # of the first pair alone
    metric.reset()
    metric.update(cut_clip[:, 1:], cut_clip[:, 1:])
    assert metric.clips == 0
    assert metric.compute().isnan()


def test_warp_by_nothing_and_by_whole_pixels():
    image = PICTURE.double()
    still = torch.zeros(2, 96, 128, dtype=torch.float64)
    torch.testing.assert_close(warp(image, still), image, rtol=0, atol=1e-12)
    flow = torch.stack([still[0] + 3, still[1] - 2])
    out = warp(image, flow)
    torch.testing.assert_close(out[:, 2:, :-3], image[:, :-2, 3:], rtol=0, atol=1e-12)
    torch.testing.assert_close(out[:, 2:, -1], image[:, :-2, -1], rtol=0, atol=1e-12)  # clamped


def test_trusted_pixels_are_those_of_lais_rules():
    """The same, pixel by pixel, from the definition, on a flow that interpolates nowhere."""
    generator = np.random.default_rng(0)
    forward = generator.integers(-3, 4, (2, 12, 16)).astype(np.float64)
    forward[:, :6] = [[[2.0]], [[1.0]]]
    backward = generator.integers(-3, 4, (2, 12, 16)).astype(np.float64)
    backward[:, :8, :12] = [[[-2.0]], [[-1.0]]]
    expected = np.zeros((12, 16), dtype=bool)
    for y in range(12):
        for x in range(16):
            f = forward[:, y, x]
            w = backward[:, int(np.clip(y + f[1], 0, 11)), int(np.clip(x + f[0], 0, 15))]
            occluded = ((w + f) ** 2).sum() > 0.01 * ((w**2).sum() + (f**2).sum()) + 0.5
            right = forward[:, y, min(x + 1, 15)] - f
            below = forward[:, min(y + 1, 11), x] - f
            boundary = (right**2).sum() + (below**2).sum() > 0.01 * (f**2).sum() + 0.002
            expected[y, x] = not (occluded or boundary)
    found = trusted(torch.from_numpy(forward), torch.from_numpy(backward))
    assert 10 < expected.sum() < 100
    assert np.array_equal(found.numpy(), expected)


def test_gradient_of_a_ramp():
    ramp = torch.stack([torch.arange(5.0).expand(4, 5) * 0.5, torch.zeros(4, 5)]).double()
    gradient = squared_gradient(ramp)
    assert (gradient[:, :-1] == 0.25).all()
    assert (gradient[:, -1] == 0).all()


def test_tof_of_equal_motion_is_0_and_of_none_is_the_motion():
    assert TOF()(MOVING, MOVING).item() == 0
    assert TOF()(clip_of(*[MOVING[0, 0]] * 3), MOVING).item() == pytest.approx(5**0.5, rel=0.1)


def test_tof_is_tecogans():
    ours, truth = (
        (MOVING + 0.1 * torch.rand(MOVING.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1),
        MOVING,
    )
    grey = [
        [cv2.cvtColor((f * 255).round().byte().permute(1, 2, 0).numpy().copy(), cv2.COLOR_RGB2GRAY) for f in video[0]]
        for video in (ours, truth)
    ]
    distances = []
    for t in range(2):
        flows = [cv2.calcOpticalFlowFarneback(g[t], g[t + 1], None, 0.5, 3, 15, 3, 5, 1.2, 0) for g in grey]
        distances.append(np.sqrt(((flows[0] - flows[1]) ** 2).sum(-1)).mean())
    assert TOF()(ours, truth).item() == pytest.approx(np.mean(distances), rel=1e-5)
