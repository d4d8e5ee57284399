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


class TimeGrid(NamedTuple):
    """Which lengths a backbone takes, and where windows may begin.

    Attributes:
        factor: frames per latent frame, but for the first: windows begin at multiples of it.
        step: lengths are 1 + k * step; a multiple of the factor.
    """

    factor: int = 1
    step: int = 1

    @property
    def least(self) -> int:
        """The shortest window: one of a single frame reaches no second multiple of the factor."""
        return 1 if self.factor == 1 else 1 + self.step

    def up(self, length: int) -> int:
        """The next length that is taken, from ``length`` on."""
        return 1 + -(-(length - 1) // self.step) * self.step

    def latent(self, frames: int) -> int:
        """Latent frames of a clip."""
        return 1 + (frames - 1) // self.factor

    def check(self, name: str, length: int, least: int = 1) -> None:
        """Refuses a length that is not taken, with the nearest two."""
        if length < least or self.up(length) != length:
            above = max(self.up(length), least)
            near = f"{above - self.step} or {above}" if above > least else f"{above} or {above + self.step}"
            raise UserError(f"{name} {length}: this backbone takes 1 + k * {self.step} frames; pass {near}")

    def overlaps(self, window: int) -> range:
        """Those with which windows of a length begin at multiples of the factor."""
        return range(window % self.factor, window, self.factor)

    def window(self, window: int | None, overlap: int | None, usual: tuple[int, int]) -> tuple[int, int]:
        """Length and overlap: as given, and else the next from the usual ones on that fit.

        Raises:
            UserError: what is given does not fit.
        """
        length = max(self.up(usual[0]), self.least) if window is None else window
        if overlap is None and length > 0:
            fitting = self.overlaps(length)
            overlap = next((one for one in fitting if one >= usual[1]), max(fitting, default=0))
        check_window(length, overlap or 0, self)
        return length, overlap or 0


ANY = TimeGrid()


def check_window(window: int, overlap: int, grid: TimeGrid = ANY) -> None:
    """Refuses windows that do not advance, or not along the grid.

    Raises:
        UserError: not 0 <= overlap < window, or, with the nearest two, what the grid does not take.
    """
    if not 0 <= overlap < window:
        raise UserError(f"window {window}, overlap {overlap}: 0 <= overlap < window must hold; pass a smaller overlap")
    grid.check("window", window, grid.least)
    fitting = grid.overlaps(window)
    if overlap not in fitting:
        near = [*[one for one in fitting if one < overlap][-1:], *[one for one in fitting if one > overlap][:1]]
        raise UserError(
            f"overlap {overlap}: windows of {window} frames must begin at multiples of {grid.factor}; pass "
            f"{' or '.join(map(str, near))}"
        )


def plan_windows(size: int, window: int, overlap: int, grid: TimeGrid = ANY) -> list[Window]:
    """Windows that cover [0, size).

    All have the length ``window``, the last one shifted back to end at ``size``, or, on a coarser grid, as far back as
    that allows; where it is shorter, the caller pads it by replication. So is the only one, where ``size`` is smaller.

    Args:
        size: length of the axis, at least 1.
        window: length of a window.
        overlap: what neighbours share, at least.
        grid: that windows keep to.

    Raises:
        UserError: ``size`` < 1, or what `check_window` refuses.
    """
    if size < 1:
        raise UserError(f"size {size}: there is nothing to cover; pass at least one frame or pixel")
    return [window for window, _ in stream_windows(range(size), window, overlap, grid)]


def stream_windows(
    items: Iterable[Item], window: int, overlap: int, grid: TimeGrid = ANY
) -> Iterator[tuple[Window, list[Item]]]:
    """The windows of `plan_windows` over a stream of unknown length, with their items; one window is held.

    Raises:
        UserError: what `check_window` refuses.
    """
    check_window(window, overlap, grid)
    source = iter(items)
    held = list(islice(source, window))
    stop = len(held)
    if held:
        yield Window(0, stop), held
    while len(held) == window:
        fresh = list(islice(source, window - overlap))
        if not fresh:
            return
        stop += len(fresh)
        start = -(-(stop - window) // grid.factor) * grid.factor
        held = [*held, *fresh][start - stop :]
        yield Window(start, stop), held


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
