"""docs/metrics.md shows what its own script prints."""

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()


def numbers(text: str) -> dict[str, list[float]]:
    """Rows of the table, by their heads."""
    lines = [line.rsplit(maxsplit=2) for line in text.splitlines()[1:]]
    return {head.strip(): [float(value) for value in values] for head, *values in lines}


@pytest.mark.bench  # half a minute of VGG16 and flows
def test_the_page_of_metrics_reproduces(capsys):
    script, expected = re.search(r"```python\n(import numpy.*?)```\n+```\n(.*?)```", PAGE, re.DOTALL).groups()
    exec(script, {})
    found, shown = numbers(capsys.readouterr().out), numbers(expected)
    assert list(found) == list(shown)
    assert len(found) == 10
    for head, values in shown.items():
        # OpenCV's flows change a little from release to release
        assert found[head] == pytest.approx(values, rel=0.01, abs=2e-4), head
