"""What every metric accepts, refuses and averages."""

import copy
import multiprocessing

import pytest
import torch
import torch.distributed as dist

from vsr_adapter.errors import UserError
from vsr_adapter.metrics import LPIPS, PSNR, SSIM, TLPIPS, TOF, VGGWarpError, WarpError

EVERY = [PSNR, SSIM, LPIPS, WarpError, VGGWarpError, TOF, TLPIPS]
LABELS = [
    "PSNR",
    "SSIM",
    "LPIPS-alex",
    "E_warp[DIS] x1000",
    "E_warp-VGG16-relu3_3[DIS]",
    "tOF[Farneback]",
    "tLPIPS-alex x100",
]


@pytest.fixture(scope="module", params=EVERY, ids=lambda kind: kind.__name__)
def metric(request):
    return request.param()


def videos(clips=1, frames=2, side=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(clips, frames, 3, side, side, generator=generator)
    return (truth + 0.1 * torch.rand(truth.shape, generator=generator)).clamp(0, 1), truth


def test_labels_name_the_network_the_flow_and_the_factor():
    assert [kind().label for kind in EVERY] == LABELS
    assert PSNR(channels="y").label == "PSNR-Y"


def test_defaults_need_no_download(metric, monkeypatch):
    def refuse(*_):
        raise AssertionError("connects")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert type(metric)().per_clip(*videos()).isfinite().all()


def test_the_mean_is_over_clips_whatever_the_batches(metric):
    ours, truth = videos(3)
    metric.reset()
    metric.update(ours[:2], truth[:2])
    metric.update(ours[2:], truth[2:])
    scores = metric.per_clip(ours, truth)
    assert scores.shape == (3,)
    assert scores.dtype == torch.float64
    assert scores.unique().numel() == 3
    torch.testing.assert_close(metric.compute(), scores.mean())
    metric.reset()
    torch.testing.assert_close(metric(ours, truth), scores.mean())


def test_autocast_does_not_reach_the_metrics(metric):
    ours, truth = videos()
    expected = metric.per_clip(ours, truth)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(metric.per_clip(ours, truth), expected)


def test_metrics_can_be_copied(metric):
    ours, truth = videos()
    assert torch.equal(copy.deepcopy(metric).per_clip(ours, truth), metric.per_clip(ours, truth))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda v: v.fill_(torch.nan), r"prediction holds NaN or infinity: .* mend what made it"),
        (lambda v: v.fill_(torch.inf), r"prediction holds NaN or infinity"),
        (lambda v: v.mul_(255), r"prediction spans \[0\.\d+, 25\d\.?\d*\]: metrics take video in \[0, 1\]; scale"),
        (lambda v: v.neg(), r"prediction spans \[-\S+, \S+\]: .* scale or clamp it before"),
        (lambda v: v[..., :-4], r"prediction \(1, 2, 3, 32, 28\), target .* must be equal, no metric resizes or crops"),
        (lambda v: v[:, :1], r"prediction \(1, 1, 3, 32, 32\), target \(1, 2, 3, 32, 32\): must be equal"),
        (lambda v: v[0], r"prediction of shape \(2, 3, 32, 32\): metrics take \(B, T, 3, H, W\); permute"),
        (lambda v: (v * 255).byte(), r"prediction is torch.uint8: metrics take floats in \[0, 1\]; divide it by 255"),
    ],
)
def test_predictions_that_are_none_are_refused(metric, spoil, message):
    ours, truth = videos()
    with pytest.raises(UserError, match=message) as error:
        metric.update(spoil(ours), truth)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", [WarpError, VGGWarpError, TOF, TLPIPS])
def test_one_frame_has_no_neighbour(kind):
    with pytest.raises(UserError, match=r"clip of 1 frames: \S+.* takes at least 2; pass longer clips"):
        kind().update(*videos(frames=1))


@pytest.mark.parametrize(("kind", "side"), [(SSIM, 11), (LPIPS, 31), (WarpError, 12), (TLPIPS, 31)])
def test_frames_that_are_too_small_are_refused_and_the_smallest_are_scored(kind, side):
    assert kind().per_clip(*videos(side=side)).isfinite().all()
    with pytest.raises(UserError, match=rf"frames of {side}x{side}, 1 cut from each side: .* at least {side}x{side}"):
        kind(border=1).update(*videos(side=side))


def test_the_border_is_cut_before_anything(metric):
    ours, truth = videos(side=40)
    inner = (..., slice(4, -4), slice(4, -4))
    cut = type(metric)(border=4).per_clip(ours, truth)
    assert torch.equal(cut, metric.per_clip(ours[inner], truth[inner]))
    with pytest.raises(UserError, match="border -1: "):
        type(metric)(border=-1)


def test_rounding_is_to_8_bit():
    ours, truth = videos()
    rounded = [(video * 255).round() / 255 for video in (ours, truth)]
    torch.testing.assert_close(PSNR().per_clip(ours, truth), PSNR(rounded=False).per_clip(*rounded))
    assert not torch.equal(PSNR().per_clip(ours, truth), PSNR(rounded=False).per_clip(ours, truth))


def share(rank, folder, results):
    torch.set_num_threads(1)  # a forked process must not wait for threads that stayed behind
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    metric = PSNR()
    ours, truth = videos(3)
    mine = slice(0, 2) if rank == 0 else slice(2, 3)
    metric.update(ours[mine], truth[mine])
    results.put(metric.compute().item())
    dist.destroy_process_group()


def test_two_processes_with_unequal_shares_agree_with_one(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    processes = [context.Process(target=share, args=(rank, tmp_path, results)) for rank in range(2)]
    for process in processes:
        process.start()
    both = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(timeout=60)
    expected = PSNR()(*videos(3)).item()
    assert both == pytest.approx([expected, expected], rel=1e-14)
