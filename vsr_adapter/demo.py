"""`make demo`: the shipped clip, made small by exact bicubic and upscaled again, beside bicubic and the truth."""

import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from vsr_adapter import assets
from vsr_adapter.cli import main
from vsr_adapter.data.trials import lone
from vsr_adapter.evaluation.loop import default_metrics, evaluate
from vsr_adapter.evaluation.table import Table
from vsr_adapter.frames import to_8_bit, to_video
from vsr_adapter.peers import Bicubic, Folder
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.video.encode import Encoder, Encoding
from vsr_adapter.video.images import write_png
from vsr_adapter.video.index import Look, probe
from vsr_adapter.video.read import Frame, read_frames

SAMPLE = Path(assets.__file__).parent / "sample.mp4"
FRAMES = 8
CROP = slice(88, 248), slice(8, 200)  # a walking man


def demo(output: Path, options: Sequence[str] = ()) -> int:
    """Writes the small clip, the upscaled one, and LR | bicubic | ours | truth as a video and a picture.

    Prints the metrics against the truth. More ``options`` are those of `vsr predict`.
    """
    truth = to_video([frame[CROP] for frame in islice(read_frames(SAMPLE), FRAMES)])
    lr = bicubic_downscale(truth)
    (output / "sample_lr").mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(to_8_bit(lr)):
        write_png(output / "sample_lr" / f"{number:08d}.png", frame)
    # so many frames alone: the folder may hold more, of an earlier version's demo
    more = ["--frames", str(FRAMES), "--tile", "48", "--output_format", "png", "--overwrite", *options]
    code = main(["predict", "--input", str(output / "sample_lr"), "--output", str(output / "upscaled"), *more])
    if code:
        return code
    methods = [Bicubic(), Folder(output / "upscaled", "ours")]
    found = evaluate(methods, default_metrics(), lone("sample_lr", lr, truth))
    print(Table({}, found.scores).text())
    pixels = lr.repeat_interleave(4, -1).repeat_interleave(4, -2)
    shown = [to_8_bit(clip) for clip in (pixels, found.outputs["bicubic"], found.outputs["ours"], truth)]
    strips = np.concatenate(shown, axis=2)  # side by side
    write_png(output / "strip.png", strips[FRAMES // 2])
    height, width = strips.shape[1:3]
    with Encoder(output / "strip.mp4", width, height, probe(SAMPLE).rate, Encoding(), Look()) as encoder:
        for strip in strips:
            encoder.write(Frame(strip.astype(np.float32) / 255))
    print(f"{output / 'strip.png'}, {output / 'strip.mp4'}: LR | bicubic | ours | truth")
    return 0


if __name__ == "__main__":
    sys.exit(demo(Path(sys.argv[1] if len(sys.argv) > 1 else "demo")))
