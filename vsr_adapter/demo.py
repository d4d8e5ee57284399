"""`make demo`: the shipped clip, made small by exact bicubic and upscaled again, beside bicubic and the truth."""

import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import torch

from vsr_adapter import assets
from vsr_adapter.cli import main
from vsr_adapter.metrics import PSNR, SSIM
from vsr_adapter.video.images import write_png
from vsr_adapter.video.read import read_frames
from vsr_adapter.video.resize import bicubic_downscale, bicubic_upscale

SAMPLE = Path(assets.__file__).parent / "sample.mp4"
FRAMES = 16
CROP = slice(88, 248), slice(8, 200)  # a walking man


def video(frames: list[np.ndarray]) -> torch.Tensor:
    """8-bit frames as a video in [0, 1], shape (1, T, 3, H, W)."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[None] / 255


def images(clip: torch.Tensor) -> list[np.ndarray]:
    """A video (1, T, 3, H, W) in [0, 1] as 8-bit frames."""
    return list((clip[0] * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())


def demo(output: Path) -> int:
    """Writes the small clip, the upscaled one and a strip LR | bicubic | ours | truth; prints their metrics."""
    truth = video([frame[CROP] for frame in islice(read_frames(SAMPLE), FRAMES)])
    lr = bicubic_downscale(truth)
    (output / "sample_lr").mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(images(lr)):
        write_png(output / "sample_lr" / f"{number:08d}.png", frame)
    code = main(["predict", "--input", str(output / "sample_lr"), "--output", str(output / "upscaled"), "--overwrite"])
    if code:
        return code
    ours = video(list(read_frames(output / "upscaled" / "sample_lr.mp4")))
    bicubic = bicubic_upscale(lr)
    for name, clip in [("bicubic", bicubic), ("ours", ours)]:
        print(f"{name:8} PSNR {PSNR()(clip, truth).item():.2f} dB, SSIM {SSIM()(clip, truth).item():.4f}")
    pixels = lr.repeat_interleave(4, -1).repeat_interleave(4, -2)
    strip = np.hstack([images(clip)[FRAMES // 2] for clip in (pixels, bicubic, ours, truth)])
    cv2.imwrite(str(output / "strip.png"), cv2.cvtColor(strip, cv2.COLOR_RGB2BGR))
    print(f"{output / 'strip.png'}: LR | bicubic | ours | truth")
    return 0


if __name__ == "__main__":
    sys.exit(demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
