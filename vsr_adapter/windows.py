"""One 1-D plan of overlapping windows, for time, height and width alike, and the blend that undoes it."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from vsr_adapter.errors import UserError

Item = TypeVar("Item")


class Window(NamedTuple):
    """A half-open range [start, stop)."""

    start: int
    stop: int

    def times(self, factor: Fraction | int) -> "Window":
        """The same range where a unit is ``factor`` units; the borders must fall on whole ones."""
        start, stop = self.start * Fraction(factor), self.stop * Fraction(factor)
        assert start.denominator == stop.denominator == 1
        return Window(int(start), int(stop))


def check_window(window: int, overlap: int) -> None:
    """Refuses windows that do not advance.

    Raises:
        UserError: not 0 <= overlap < window.
    """
    if not 0 <= overlap < window:
        raise UserError(f"window {window}, overlap {overlap}: 0 <= overlap < window must hold; pass a smaller overlap")


def plan_windows(size: int, window: int, overlap: int) -> list[Window]:
    """Windows that cover [0, size).

    All have the length ``window``, the last one shifted back to end at ``size``; where ``size`` is smaller there is
    one window [0, size), which the caller pads by replication.

    Args:
        size: length of the axis, at least 1.
        window: length of a window.
        overlap: what neighbours share, at least.

    Raises:
        UserError: ``size`` < 1, or not 0 <= overlap < window.
    """
    if size < 1:
        raise UserError(f"size {size}: there is nothing to cover; pass at least one frame or pixel")
    return [window for window, _ in stream_windows(range(size), window, overlap)]


def stream_windows(items: Iterable[Item], window: int, overlap: int) -> Iterator[tuple[Window, list[Item]]]:
    """The windows of `plan_windows` over a stream of unknown length, with their items; one window is held.

    Raises:
        UserError: not 0 <= overlap < window.
    """
    check_window(window, overlap)
    source = iter(items)
    held = list(islice(source, window))
    stop = len(held)
    if held:
        yield Window(0, stop), held
    while len(held) == window:
        fresh = list(islice(source, window - overlap))
        if not fresh:
            return
        held = [*held, *fresh][-window:]
        stop += len(fresh)
        yield Window(stop - window, stop), held


def windows_of(items: Iterable[Item], windows: Sequence[Window]) -> Iterator[tuple[Window, list[Item]]]:
    """Planned windows, ascending, with their items; those of one window are held.

    Args:
        items: from the start of the first window on; no more are taken than the windows need.
        windows: their union must have no gap.
    """
    source, held, begin = iter(items), list[Item](), windows[0].start
    for window in windows:
        del held[: window.start - begin]
        begin = window.start
        held += islice(source, window.stop - begin - len(held))
        yield window, list(held)


def blend(parts: Iterable[tuple[Window, Tensor]], dim: int = 0) -> Iterator[Tensor]:
    """Joins overlapping windows, and yields each stretch as soon as no later window can change it.

    Where windows overlap, the later one fades in linearly. The mix is a lerp, so windows that agree come back
    bit for bit.

    Args:
        parts: windows in order of their start, each with its tensor, ``stop - start`` long along ``dim``.
        dim: axis of the windows.

    Yields:
        Stretches that follow each other along ``dim`` and cover it once.
    """
    tail: Tensor | None = None
    begin = 0  # position of the first element of tail
    for window, part in parts:
        if tail is None:
            tail, begin = part, window.start
            continue
        done = window.start - begin
        shared = begin + tail.shape[dim] - window.start
        if done:
            yield tail.narrow(dim, 0, done)
        ramp = torch.arange(1, shared + 1, device=part.device, dtype=part.dtype) / (shared + 1)
        weight = ramp.reshape([-1 if axis == dim % part.ndim else 1 for axis in range(part.ndim)])
        mixed = torch.lerp(tail.narrow(dim, done, shared), part.narrow(dim, 0, shared), weight)
        tail = torch.cat([mixed, part.narrow(dim, shared, part.shape[dim] - shared)], dim)
        begin = window.start
    if tail is not None:
        yield tail


def blend_tiles(
    parts: Iterable[Tensor], rows: Sequence[Window], columns: Sequence[Window], factor: Fraction | int = 1
) -> Tensor:
    """Joins overlapping tiles, by `blend` along each row of them, then down the rows.

    Args:
        parts: tiles, row by row, shape (..., h, w).
        rows: of the plan.
        columns: of the plan.
        factor: pixels of a part for each unit of the plan.
    """
    source = iter(parts)
    across = [window.times(factor) for window in columns]
    lines = (
        (row.times(factor), torch.cat(list(blend(zip(across, islice(source, len(across)), strict=True), -1)), -1))
        for row in rows
    )
    return torch.cat(list(blend(lines, -2)), -2)
