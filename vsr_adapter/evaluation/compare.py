"""`vsr compare`: one table for several methods, on the same clips."""

from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Literal

import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torch.utils.data import default_collate

from vsr_adapter.data.alignment import CLEAR, align_upscaled
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.errors import CommandLineError, UserError
from vsr_adapter.evaluation.protocol import preparation, versions
from vsr_adapter.evaluation.score import default_metrics, score
from vsr_adapter.evaluation.table import Score, Table
from vsr_adapter.metrics import ClipMetric
from vsr_adapter.metrics.base import check_video
from vsr_adapter.peers import Ask, Bicubic, Peer
from vsr_adapter.resize import bicubic_downscale

LATE = 2  # frames that are searched on each side


def compare(
    test: Path,
    peers: list[Peer] | None = None,
    lr: Path | None = None,
    origin: str | None = None,
    frames: int = 8,
    size: int | Literal["whole"] = 320,
    clips: int = 1,
    shifted_lr: bool = False,
    partial: bool = False,
    metrics: list[ClipMetric] | None = None,
    output: Path | None = None,
) -> Table:
    """Scores methods on the clips that `vsr test` would take; the truth is the last row.

    Args:
        test: a set as distributed, or any folder of videos.
        peers: the methods; None takes bicubic alone.
        lr: low-resolution twins of any folder.
        origin: which twins of those that a set ships; ``made`` for none.
        frames: of a clip.
        size: side of the HR crop, in pixels; ``whole`` crops nothing.
        clips: of a video, at most.
        shifted_lr: whether LR twins may lie elsewhere than HR.
        partial: whether the set may lack clips or frames.
        metrics: None takes PSNR, SSIM, LPIPS and E_warp.
        output: folder for ``scores.md``, ``scores.csv`` and ``scores.json``.

    Raises:
        UserError: what the data set or a method refuses, two methods of one name, a method that lies elsewhere.
    """
    peers, metrics = peers or [Bicubic()], metrics or default_metrics()
    names = [peer.name for peer in peers] + ["truth"]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{name}: is the name of two rows; give one of them a name of its own")
    dataset = ClipDataset(test, lr, frames, size, limit=clips, origin=origin)
    dataset.check_test(shifted_lr, partial)
    scores: list[Score] = []
    for number in range(len(dataset)):
        clip = default_collate([dataset[number]])
        for peer in peers:
            start = perf_counter()
            video = peer(ask(dataset, number, clip.lr[0]))
            seconds = (perf_counter() - start) / frames
            check_place(peer.name, video, clip.hr[0], clip.name[0])
            scores += score(metrics, peer.name, video[None], clip, seconds, dataset.scored)
        scores += score(metrics, "truth", clip.hr, clip, scored=dataset.scored)
    rows = {f"row {peer.name}": peer.about for peer in peers}
    lines = {**dataset.describe(), "metrics": preparation(metrics), **rows, "versions": versions()}
    table = Table(lines, scores)
    if output is not None:
        table.write(output)
    return table


def ask(dataset: ClipDataset, number: int, lr: Tensor) -> Ask:
    """A clip, and where it is from."""
    item = dataset.items[number]
    video, _ = item.name.rsplit("/", 1)
    top, left = dataset.corner(item)
    return Ask(lr, video, item.hr, item.start, top, left, dataset.scale)


def check_place(name: str, video: Tensor, truth: Tensor, clip: str) -> None:
    """Refuses what is shifted in space or in time: it would score badly, and nothing would say why.

    Args:
        name: of the method.
        video: in [0, 1], shape (T, 3, H, W).
        truth: same shape.
        clip: name of the clip.

    Raises:
        UserError: another size, values that are none of a video, or it fits better elsewhere.
    """
    check_video(f"{name}, {clip}", video[None])
    if video.shape != truth.shape:
        raise UserError(f"{name}, {clip}: gives {tuple(video.shape)}, the truth is {tuple(truth.shape)}; mend it")
    late, gain = delay(bicubic_downscale(video), bicubic_downscale(truth))
    if late and gain >= CLEAR:
        raise UserError(f"{name}, {clip}: fits {gain:.1f} dB better {late:+d} frames later; write its frames in time")
    place = align_upscaled(video[0], truth[0])
    if not place.centred:
        raise UserError(
            f"{name}, {clip}: fits {place.gain:.1f} dB better ({place.dx:g}, {place.dy:g}) HR pixels away; "
            "it was made from another LR"
        )


def delay(video: Tensor, truth: Tensor) -> tuple[int, float]:
    """Frames by which a clip shows what the truth shows later, and the dB by which it fits better so."""
    reach = min(LATE, (len(video) - 1) // 2)
    middle = range(reach, len(video) - reach)
    errors = [
        torch.stack([(video[t] - truth[t + late]).square().mean() for t in middle]).mean()
        for late in range(-reach, reach + 1)
    ]
    best = min(range(len(errors)), key=lambda i: errors[i].item())
    gain = 10 * (errors[reach].clamp(min=1e-12) / errors[best].clamp(min=1e-12)).log10()
    return best - reach, gain.item()


def main(arguments: Sequence[str]) -> None:
    """The command: prints the table.

    Raises:
        UserError: as `compare`; what the data set calls ``--data.X`` is ``--X`` here.
    """
    parser = ArgumentParser(prog="vsr compare", description="One table for several methods.", exit_on_error=False)
    parser.add_function_arguments(compare, sub_configs=True)
    try:
        settings = parser.parse_args(list(arguments))
    except ArgumentError as error:
        raise CommandLineError(f"{' '.join(str(error).split())}; see vsr compare --help") from error
    try:
        print(compare(**parser.instantiate(settings).as_dict()).text())
    except UserError as error:
        raise UserError(str(error).replace("--data.", "--")) from error
