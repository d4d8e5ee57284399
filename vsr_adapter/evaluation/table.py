"""Numbers of clips by method, their means with intervals, and the protocol that they hold under."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SECONDS = "s/frame"
LEVEL = 0.95
RESAMPLES = 10_000


class Score(NamedTuple):
    """One clip by one method.

    Attributes:
        clip: its name.
        method: such as ``ours`` or ``bicubic``.
        values: by head of the column, as printed; NaN where a metric says nothing.
    """

    clip: str
    method: str
    values: dict[str, float]


class Mean(NamedTuple):
    """A mean over clips, with its interval.

    Attributes:
        value: of the clips that have a number.
        low: end of the interval; NaN for fewer than two clips.
        high: other end.
    """

    value: float
    low: float
    high: float


def bootstrap(values: Sequence[float]) -> Mean:
    """Mean, and the 95 % percentile interval of the bootstrap over clips (Efron 1979); the same numbers every time.

    Args:
        values: of the clips; NaN are left out.
    """
    known = np.array([value for value in values if not math.isnan(value)])
    if known.size == 0:
        return Mean(math.nan, math.nan, math.nan)
    if known.size == 1 or np.isinf(known).any():
        return Mean(known.mean().item(), math.nan, math.nan)
    picks = np.random.default_rng(0).integers(known.size, size=(RESAMPLES, known.size))
    low, high = np.quantile(known[picks].mean(axis=1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Mean(known.mean().item(), low.item(), high.item())


def shown(value: float) -> str:
    """Four significant digits; a dash for NaN."""
    return "-" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1 else f"{value:.3f}"


@dataclass
class Table:
    """What a test found.

    Attributes:
        protocol: what the numbers depend on, by name.
        scores: of every clip and method, in any order.
    """

    protocol: dict[str, str]
    scores: list[Score]

    def __post_init__(self) -> None:
        self.methods = list(dict.fromkeys(score.method for score in self.scores))
        self.columns = list(dict.fromkeys(column for score in self.scores for column in score.values))
        # sorted, since processes come in any order
        self.scores = sorted(self.scores, key=lambda score: (score.clip, self.methods.index(score.method)))

    def mean(self, method: str, column: str) -> Mean:
        """Of the clips of a method."""
        return bootstrap([s.values.get(column, math.nan) for s in self.scores if s.method == method])

    def means(self) -> list[list[str]]:
        """Rows of text: a method, and each mean with its interval."""
        rows = []
        for method in self.methods:
            row = [method]
            for column in self.columns:
                mean = self.mean(method, column)
                interval = "" if math.isnan(mean.low) else f" [{shown(mean.low)}, {shown(mean.high)}]"
                row.append(shown(mean.value) + interval)
            rows.append(row)
        return rows

    def clips(self) -> list[list[str]]:
        """Rows of text: a clip, a method, its numbers."""
        return [
            [s.clip, s.method, *(shown(s.values.get(column, math.nan)) for column in self.columns)] for s in self.scores
        ]

    def text(self) -> str:
        """Protocol and means, for a terminal."""
        lines = [f"{name}: {value}" for name, value in self.protocol.items()]
        return "\n".join([*lines, "", *columns([["", *self.columns], *self.means()])])

    def markdown(self) -> str:
        """Protocol, means, and every clip."""
        lines = [*(f"- {name}: {value}" for name, value in self.protocol.items()), ""]
        lines += piped([["mean [95 %]", *self.columns], *self.means()])
        return "\n".join([*lines, "", *piped([["clip", "method", *self.columns], *self.clips()]), ""])

    def csv(self) -> str:
        """Every clip, unrounded."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["clip", "method", *self.columns])
        for score in self.scores:
            writer.writerow([score.clip, score.method, *(score.values.get(column, "") for column in self.columns)])
        return file.getvalue()

    def json(self) -> str:
        """Protocol, means and every clip, unrounded; null for what is no finite number."""
        means = {m: {column: self.mean(m, column)._asdict() for column in self.columns} for m in self.methods}
        content = {"protocol": self.protocol, "means": means, "clips": [score._asdict() for score in self.scores]}
        return json.dumps(finite(content), indent=1, allow_nan=False) + "\n"

    def write(self, folder: Path) -> None:
        """Writes ``scores.md``, ``scores.csv`` and ``scores.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        for ending, content in [("md", self.markdown()), ("csv", self.csv()), ("json", self.json())]:
            (folder / f"scores.{ending}").write_text(content)


def finite(content: Any) -> Any:
    """The same with None in the place of NaN and infinity, which JSON has not."""
    if isinstance(content, dict):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def columns(rows: list[list[str]]) -> list[str]:
    """Lines whose cells stand under one another."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def piped(rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table; the first row is its head."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]
