"""Kept defects, accepted survivors, and the table of those that are neither."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml

from tests.mutants.harness import Verdict
from tests.mutants.source import Mutant, path_of

HERE = Path(__file__).parent


class Defect(NamedTuple):
    """Old text of a module and new text for it."""

    name: str
    module: str
    old: str
    new: str

    @property
    def text(self) -> str:
        return path_of(self.module).read_text()

    def planted(self) -> str:
        """The module's text with the defect.

        Raises:
            AssertionError: the old text is not there once: the code was moved, move the defect too.
        """
        assert self.text.count(self.old) == 1, (
            f"{self.name}: {self.module} has its `old` {self.text.count(self.old)} times"
        )
        return self.text.replace(self.old, self.new)


def defects() -> list[Defect]:
    return [Defect(**one) for one in yaml.safe_load((HERE / "defects.yaml").read_text())]


def accepted() -> dict[str, str]:
    """Reasons, by name of the mutant."""
    return tomllib.loads((HERE / "accepted.toml").read_text())


def survivors(found: Sequence[tuple[Mutant, Verdict]], reasons: Mapping[str, str]) -> tuple[str, int]:
    """A table in Markdown, and how many survived without a reason."""
    lines = ["| name | file | line | kind | change | accepted |", "|---|---|---|---|---|---|"]
    left = 0
    for mutant, verdict in sorted(found, key=lambda one: (one[0].module, one[0].line)):
        if verdict.what == "survived":
            reason = reasons.get(mutant.name, "")
            left += not reason
            change = mutant.change.replace("|", "\\|")
            lines.append(f"| {mutant.name} | {mutant.module} | {mutant.line} | {mutant.kind} | `{change}` | {reason} |")
    return "\n".join(lines), left
