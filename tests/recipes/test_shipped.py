"""The shipped weights: what the package reads, and better than bicubic on the sample, which nothing trained on."""

from pathlib import Path

import torch

from tests.clips import cut
from vsr_adapter import assets
from vsr_adapter.backbones import Backbone, UpscaleUNetPart, VideoVAEPart
from vsr_adapter.metrics import PSNR
from vsr_adapter.video.resize import bicubic_downscale, bicubic_upscale

MINI = Path(assets.__file__).parent / "mini"


@torch.no_grad()
def test_one_step_of_the_shipped_weights_is_better_than_bicubic():
    backbone = Backbone(UpscaleUNetPart(str(MINI)), VideoVAEPart(str(MINI))).load()
    frames = torch.stack([torch.from_numpy(frame) for frame in cut(frames=4, top=64, left=64, height=128, width=128)])
    hr = frames.permute(0, 3, 1, 2)[None] / 255
    lr, level, random = bicubic_downscale(hr), torch.tensor([20]), torch.Generator().manual_seed(0)
    low_res = backbone.unet.noise_low_res(lr, level, torch.randn(lr.shape, generator=random))
    z = torch.randn(1, 4, 4, 32, 32, generator=random)
    v = backbone.denoise(z, torch.tensor(999), backbone.null_tokens, low_res, level)
    ours = backbone.decode(-v, lr)  # z_0 = -v at zero signal-to-noise
    assert PSNR().per_clip(ours, hr) > PSNR().per_clip(bicubic_upscale(lr), hr)


def test_the_weights_stay_below_their_limit():
    assert sum(path.stat().st_size for path in MINI.rglob("*")) < 30e6
