"""What the captions of the truth are worth to the denoiser, on the media it trained on and on bikes.mp4.

They are the words that it was taught, said of the very clip, by one who has seen the truth. Where even they do not
help, it is no fault of an adapter's that its tokens do not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from recipes.mini.captions import Caption, describe
from recipes.mini.effect import difference
from recipes.mini.footage import Footage, Shape, validation
from recipes.mini.training import mean, read
from recipes.mini.unet import UNetStage
from vsr_adapter.data.trials import lone
from vsr_adapter.evaluation.loop import evaluate
from vsr_adapter.evaluation.table import piped
from vsr_adapter.metrics import LPIPS, PSNR
from vsr_adapter.peers import Ask, Peer
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.types import Clip

FRAMES = 4
FRESH = 1_000_003  # a seed that no stage draws from: the same media, other crops and cameras
STARTS = tuple(range(2, 246, 20))  # in bikes.mp4; no clip of FRAMES crosses a cut
TOKENS = ("null", "truth", "another's")


def oracle(
    state: Path = Path("build/mini"),
    weights: Path = Path("vsr_adapter/assets/mini"),
    levels: tuple[int, ...] = (0, 150, 300),
    size: int = 160,
    threads: int = 1,
) -> None:
    """Prints PSNR and LPIPS of one step with null tokens, the caption of the truth, and that of another clip.

    Args:
        state: folder that `media.prepare` filled.
        weights: folder of exported weights.
        levels: of the noise in the low-resolution clip.
        size: side of the clips in pixels.
        threads: of the CPU.
    """
    torch.set_num_threads(threads)
    stage = UNetStage(state, weights, decoder=True)
    read(stage, weights)
    clips = {"trained on": fresh(state, size, len(STARTS)), "bikes": validation(state, FRAMES, size, STARTS)}
    rows = [row for level in levels for name, media in clips.items() for row in compared(stage, level, name, media)]
    print("\n".join(piped([["noise level", "media", "caption", "PSNR", "LPIPS-alex"], *rows])))


def fresh(state: Path, size: int, count: int) -> list[Clip]:
    """New draws of the training media, one clip a batch; clean BIx4."""
    footage = Footage(state, [Shape(1, FRAMES, size, 1)], FRESH)
    drawn = [footage.batch(number) for number in range(count)]
    return [clip._replace(lr=bicubic_downscale(clip.hr)) for clip in drawn]


def compared(stage: UNetStage, level: int, name: str, clips: list[Clip]) -> Iterator[list[str]]:
    """Rows of one level and medium: means over clips, then differences to null tokens with paired intervals."""
    captions = [describe(clip) for clip in clips]
    others = [*captions[1:], *captions[:1]]
    said: dict[str, Sequence[Caption | None]] = {"null": [None] * len(clips), "truth": captions, "another's": others}
    found = figures(stage, level, clips, said)
    for tokens in TOKENS:
        yield [str(level), name, tokens, *(f"{mean(values):.4f}" for values in found[tokens])]
    for tokens in TOKENS[1:]:
        pairs = zip(found[tokens], found["null"], strict=True)
        yield [str(level), name, f"{tokens} - null", *(difference(ours, theirs) for ours, theirs in pairs)]


def told(tokens: str) -> str:
    """The row of a network that is told so: that of the truth is the truth's own."""
    return f"told {tokens}"


class Told(Peer):
    """The network that is told a caption, or nothing.

    Args:
        stage: whose network.
        name: of the tokens.
        caption: of what is to be scored; None for null tokens.
        level: of the noise in the low-resolution clip.
    """

    def __init__(self, stage: UNetStage, name: str, caption: Caption | None, level: int):
        self.stage, self.name, self.caption, self.level = stage, told(name), caption, level

    def __call__(self, ask: Ask) -> Tensor:
        """One step."""
        network = self.stage.network
        null = network.get_buffer("null.null_tokens")
        tokens = null if self.caption is None else network["captions"](self.caption)
        return self.stage.sample(network, ask.lr[None], tokens, 1, self.level)[0]


def figures(
    stage: UNetStage, level: int, clips: list[Clip], said: dict[str, Sequence[Caption | None]]
) -> dict[str, tuple[list[float], list[float]]]:
    """PSNR in dB and LPIPS of each clip, by tokens."""
    metrics = [PSNR(), LPIPS(rounded=False)]
    found = []
    for number, clip in enumerate(clips):
        methods = [Told(stage, tokens, captions[number], level) for tokens, captions in said.items()]
        found += evaluate(methods, metrics, lone(clip.name[0], clip.lr[0], clip.hr[0])).scores
    ours = {tokens: [score.values for score in found if score.method == told(tokens)] for tokens in said}
    psnr, lpips = (metric.label for metric in metrics)
    return {tokens: ([one[psnr] for one in each], [one[lpips] for one in each]) for tokens, each in ours.items()}
