"""Metrics of a test: their numbers for the row "bicubic", which no model has a part in, against sums by hand."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchvision.models.optical_flow import raft_large

from tests.clips import real_clips
from tests.guards.door import Step, guards, of_class, trainer_run
from tests.guards.oracles import bicubic
from vsr_adapter import metrics as ours


def metric(name: str, **init_args: Any) -> dict[str, Any]:
    return of_class(f"metrics.{name}", **init_args)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 1, frames=3, size=64)


def scored(clips, folder, *chosen: dict[str, Any], frames: int = 3) -> tuple[dict[str, float], Step]:
    """Numbers of bicubic upscaling, and the clip."""
    data = [f"--data.test={clips}", "--data.size=64", f"--data.frames={frames}", "--output", str(folder)]
    step = trainer_run("test", *data, metrics=list(chosen), sampler__steps=1)[0]
    rows = json.loads((folder / "scores.json").read_text())["clips"]
    return next(row["values"] for row in rows if row["method"] == "bicubic"), step


def pair(step: Step, border: int = 0, rounded: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    """Bicubic and truth, shape (1, T, 3, H, W), cut and rounded by hand."""
    inner = slice(border, -border or None)
    both = bicubic(step.lr[0].permute(0, 2, 3, 1).numpy())[None], step.hr
    both = tuple(video[..., inner, inner] for video in both)
    return tuple((video * 255).round() / 255 for video in both) if rounded else both


def luma(frame: np.ndarray) -> np.ndarray:
    """BT.601, studio range."""
    return (16 + frame @ np.array([65.481, 128.553, 24.966])) / 255


def over_frames(videos: tuple[torch.Tensor, torch.Tensor], number: Any, planes: Any = lambda frame: frame) -> float:
    images = [planes(video[0].permute(0, 2, 3, 1).double().numpy()) for video in videos]
    return float(np.mean([number(truth, found) for found, truth in zip(*images, strict=True)]))


def psnr(truth: np.ndarray, found: np.ndarray) -> float:
    return peak_signal_noise_ratio(truth, found, data_range=1)


def ssim(truth: np.ndarray, found: np.ndarray) -> float:
    axis = {"channel_axis": 2} if truth.ndim == 3 else {}
    how = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1}
    _, full = structural_similarity(truth, found, full=True, **how, **axis)
    return full[5:-5, 5:-5].mean()


FIDELITY = [f"{name}.{argument}" for name in ("PSNR", "SSIM") for argument in ("channels", "rounded", "border")]


@guards("metrics", "PSNR", "SSIM", *FIDELITY)
def test_fidelity_of_the_planes_rounded_and_cut_as_is_said(clips, tmp_path):
    chosen = [metric(name, **more) for name in ("PSNR", "SSIM") for more in (BARE, {"channels": "y"})]
    found, step = scored(clips, tmp_path, *chosen)
    assert set(found) - {"s/frame"} == {"PSNR", "PSNR-Y", "SSIM", "SSIM-Y"}
    bare, eight = pair(step, 6, rounded=False), pair(step)
    assert found["PSNR"] == pytest.approx(over_frames(bare, psnr), abs=1e-4)
    assert found["SSIM"] == pytest.approx(over_frames(bare, ssim), abs=1e-4)
    assert found["PSNR-Y"] == pytest.approx(over_frames(eight, psnr, luma), abs=1e-4)
    assert found["SSIM-Y"] == pytest.approx(over_frames(eight, ssim, luma), abs=1e-4)
    assert abs(found["PSNR"] - over_frames(pair(step, 6), psnr)) > 1e-4, "rounding has a part in it"
    assert abs(found["PSNR"] - over_frames(pair(step, 0, rounded=False), psnr)) > 0.01, "the border too"


BARE = {"rounded": False, "border": 6}
PERCEPTUAL = [f"{name}.{argument}" for name in ("LPIPS", "TLPIPS") for argument in ("rounded", "border")]


@guards("LPIPS", "TLPIPS", *PERCEPTUAL)
def test_perceptual_distances_are_lpips_own_of_what_is_left(clips, tmp_path):
    found, step = scored(clips, tmp_path, metric("LPIPS", **BARE), metric("TLPIPS", **BARE))
    bare = pair(step, 6, rounded=False)
    network = ours.LPIPS().network
    between = [network(*(video[0][i : i + 1] * 2 - 1 for video in bare)).item() for i in range(3)]
    label, changes = next(name for name in found if name.startswith("LPIPS")), []
    assert found[label] == pytest.approx(np.mean(between), rel=1e-4)
    for i in range(2):
        a, b = (network(video[0][i : i + 1] * 2 - 1, video[0][i + 1 : i + 2] * 2 - 1).item() for video in bare)
        changes.append(abs(a - b))
    label = next(name for name in found if name.startswith("tLPIPS"))
    assert found[label] == pytest.approx(100 * np.mean(changes), rel=1e-3)


def flow(video: torch.Tensor, i: int, method: Any) -> np.ndarray:
    """OpenCV's, from frame i to the next."""
    grey = [
        cv2.cvtColor((255 * frame).round().byte().permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for frame in video[0]
    ]
    return method(grey[i], grey[i + 1])


def farneback(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """TecoGAN's settings."""
    return cv2.calcOpticalFlowFarneback(first, second, None, 0.5, 3, 15, 3, 5, 1.2, 0)


def fast(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST).calc(first, second, None)


@guards("TOF", "TOF.flow", "TOF.border", "TOF.rounded", "DIS", "DIS.preset", "Farneback")
def test_tof_is_the_distance_of_the_flows_that_are_named(clips, tmp_path):
    dis = metric("DIS", preset="ultrafast")
    found, step = scored(clips, tmp_path, metric("TOF", **BARE), metric("TOF", flow=dis))
    for name, method, videos in [
        ("tOF[Farneback]", farneback, pair(step, 6)),
        ("tOF[DIS-ultrafast]", fast, pair(step)),
    ]:
        distances = [
            np.sqrt(np.square(flow(videos[0], i, method) - flow(videos[1], i, method)).sum(-1)).mean() for i in (0, 1)
        ]
        assert found[name] == pytest.approx(np.mean(distances), rel=1e-3)


FLOWS = [f"{name}.{argument}" for name in ("WarpError", "VGGWarpError") for argument in ("flow", "rounded", "border")]


@guards("WarpError", "VGGWarpError", *FLOWS)
def test_warp_errors_are_of_the_named_flow_on_what_is_left(clips, tmp_path):
    """Cut and rounded by hand, they are those of the bare metric."""
    names = ("WarpError", "VGGWarpError")
    given = {"flow": metric("Farneback"), "rounded": True, "border": 8}
    found, step = scored(clips, tmp_path, *(metric(name, **given) for name in names))
    for name in names:
        bare = getattr(ours, name)(ours.Farneback())
        expected = bare.per_clip(*pair(step, 8)).item() * bare.factor
        assert found[bare.label] == pytest.approx(expected, rel=1e-3)
        assert abs(expected - bare.per_clip(*pair(step)).item() * bare.factor) > 1e-3 * expected


NETWORKS = ("LPIPS", "TLPIPS")


@guards(*(f"{name}.net" for name in NETWORKS))
@pytest.mark.parametrize("name", NETWORKS)
def test_the_other_network_is_refused_without_its_weights(name, clips, capsys):
    with pytest.raises(AssertionError):
        trainer_run("test", f"--data.test={clips}", metrics=[metric(name, net="vgg")], sampler__steps=1)
    assert "vsr: error: lpips trunk of vgg: not shipped (59 MB); write it with" in capsys.readouterr().err


@guards(*(f"{name}.trunk" for name in NETWORKS))
def test_a_trunk_is_what_the_network_reads(clips, tmp_path):
    plain, _ = scored(clips, tmp_path / "plain", *map(metric, NETWORKS))
    trunk = other_trunk(tmp_path)
    given, _ = scored(clips, tmp_path / "given", *(metric(name, trunk=trunk) for name in NETWORKS))
    assert set(given) == set(plain)
    for label in set(plain) - {"s/frame"}:
        assert given[label] != pytest.approx(plain[label], rel=1e-3)


def other_trunk(folder: Any) -> str:
    """AlexNet's weights, halved."""
    shipped = Path(ours.__file__).parent / "weights" / "alexnet.safetensors"
    save_file({name: tensor / 2 for name, tensor in load_file(shipped).items()}, folder / "trunk.safetensors")
    return str(folder / "trunk.safetensors")


@guards("RAFT", "RAFT.weights", "RAFT.updates")
def test_raft_refines_the_flow_as_often_as_is_said_by_the_weights_of_the_file(clips, tmp_path):
    torch.manual_seed(0)
    network = raft_large().eval()
    torch.save(network.state_dict(), tmp_path / "raft.pth")
    flow = metric("RAFT", weights=str(tmp_path / "raft.pth"), updates=2)
    found, step = scored(clips, tmp_path / "out", metric("TOF", flow=flow), frames=2)
    ours, truth = (F.pad(video[0] * 2 - 1, [0, 64, 0, 64], mode="replicate") for video in pair(step))
    with torch.no_grad():
        flows = [network(video[:1], video[1:], num_flow_updates=2)[-1][0, :, :64, :64] for video in (ours, truth)]
    expected = (flows[0] - flows[1]).square().sum(0).sqrt().mean().item()
    assert found["tOF[RAFT]"] == pytest.approx(expected, rel=1e-3)
