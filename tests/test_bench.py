"""Opt-in measurements (`make bench`): minutes each, figures printed."""

import resource
import time

import pytest
import torch

from tests.stacks import backbone
from vsr_adapter.frozen import kernels


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
        prediction = unet.denoise(z, torch.tensor([500]), tokens, clip, torch.tensor([120]))
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"\n{name} {size}x{size}x8: {seconds:.0f} s, peak of the process {peak:.1f} GB")
    assert prediction.shape == z.shape
    assert prediction.isfinite().all()
    assert peak < 24
