"""Opt-in measurements (`make bench`): minutes each, figures printed."""

import resource
import subprocess
import sys
import time
from itertools import islice

import numpy as np
import pytest
import torch

from tests.clips import SAMPLE, cut, write_video
from tests.stacks import backbone
from vsr_adapter import Restorer
from vsr_adapter.frozen import kernels
from vsr_adapter.inference.tiles import plan_tiles
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.types import Condition
from vsr_adapter.video.read import read_frames


@pytest.mark.bench
@torch.no_grad()
@pytest.mark.parametrize(("name", "size"), [("upscale_sft", 80), ("ali_kl", 40)])
def test_one_full_width_denoising_step_fits_24_gb(name, size):
    """Random bf16 weights, a clip of 8 frames, on the CPU."""
    unet = backbone(name).unet
    unet.precision = "bfloat16"
    unet.load()
    z, tokens, clip = torch.randn(1, 4, 8, size, size), torch.randn(1, 196, 1024), torch.randn(1, 8, 3, size, size)
    begin = time.perf_counter()
    with kernels(unet):
        prediction = unet.denoise(z, torch.tensor([500]), Condition(tokens, clip, torch.tensor([120])))
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n{name} {size}x{size}x8: {seconds:.0f} s, peak of the process {peak:.1f} GB")
    assert prediction.shape == z.shape
    assert prediction.isfinite().all()
    assert peak < 24


PREDICT = """
import resource, sys
from vsr_adapter.types import Condition
from vsr_adapter.cli import main
where = ["--input", sys.argv[1], "--output", sys.argv[2]]
code = main(["predict", "--config", "tiny.yaml", "--steps", "1", "--quiet", *where])
print("PEAK", code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.bench
def test_the_memory_of_600_frames_is_that_of_100(tmp_path):
    """Peak resident memory of whole runs, each in a process of its own."""
    peaks = {}
    for frames in (100, 600):
        footage = [cut(number % 32, 1, height=32, width=32)[0] for number in range(frames)]
        source = write_video(tmp_path / f"{frames}.mp4", footage)
        command = [sys.executable, "-c", PREDICT, str(source), str(tmp_path / "out")]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        code, peaks[frames] = map(int, said.split("PEAK ")[1].split())
        assert code == 0
    ratio = peaks[600] / peaks[100]
    print(f"\npeak of 100 frames {peaks[100] / 1e3:.0f} MB, of 600 frames {peaks[600] / 1e3:.0f} MB: ratio {ratio:.3f}")
    assert ratio < 1.03


def seam_ratio(frames, plan, scale):
    """Mean jump between neighbouring pixels across the borders of tiles, over that elsewhere."""
    video = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
    across, elsewhere = [], []
    for axis, windows in ((2, plan.rows), (3, plan.columns)):
        jumps = video.diff(dim=axis).abs().mean(dim=[d for d in range(4) if d != axis])
        inner = {scale * edge - 1 for window in windows for edge in window} & set(range(len(jumps)))
        border = torch.tensor([place in inner for place in range(len(jumps))])
        across.append(jumps[border])
        elsewhere.append(jumps[~border])
    return (torch.cat(across).mean() / torch.cat(elsewhere).mean()).item()


@pytest.mark.bench
@pytest.mark.parametrize(("mode", "most"), [("joint", 1.05), ("blend", 1.10)])
def test_tiles_leave_no_seams_on_real_footage(mode, most):
    """The stack of `vsr predict` without a config, on the sample made small."""
    tiles = {f"sampling__tiles__{name}": value for name, value in [("mode", mode), ("size", 32), ("overlap", 8)]}
    restorer = Restorer.from_config("default.yaml", **tiles)
    lr = bicubic_downscale(torch.from_numpy(np.stack(list(islice(read_frames(SAMPLE), 8)))).permute(0, 3, 1, 2) / 255)
    frames = list(restorer.restore(lr.permute(0, 2, 3, 1).numpy()))
    plan = plan_tiles(lr.shape[2], lr.shape[3], restorer.model.sampling.tiles, restorer.model.lr_multiple)
    ratio = seam_ratio(frames, plan, restorer.model.scale)
    print(f"\nseam ratio, {mode}: {ratio:.3f} over {len(plan.places)} tiles")
    assert ratio <= most
