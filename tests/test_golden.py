"""Losses and outputs of each tiny stack, as they were; `python -m tests.test_golden` writes them anew.

What changes them by more than rounding changes results: say so in CHANGELOG.md, then write them.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from torch import Tensor

from tests.bits import NAMES, entries

GOLDEN = Path(__file__).parent / "data" / "golden" / "seeded.json"
SAMPLES = 48
CLOSE = 1e-4  # of outputs in [0, 1] and of losses near 1, relative for PSNR and norms; other CPUs round by 1e-6


def summary(values: Tensor) -> dict[str, list[float]]:
    """Shape, mean and deviation, and values spread over the whole: all of them, where they are few."""
    flat = values.double().flatten()
    # strides that share no factor with rows and columns would walk down one column
    picked = flat[:: max(len(flat) // SAMPLES, 1) | 1]
    spread = [flat.mean().item(), flat.std().item()]
    return {"shape": list(values.shape), "spread": [round(one, 7) for one in spread + picked.tolist()]}


def computed(folder: Path, names: list[str]) -> dict[str, dict[str, list[float]]]:
    return {entry: summary(values) for entry, values in entries(folder, names)}


@pytest.mark.parametrize("name", NAMES)
def test_losses_and_outputs_of_a_stack_are_what_they_were(name, tmp_path):
    golden = json.loads(GOLDEN.read_text())
    found = computed(tmp_path, [name])
    assert set(found) == {entry for entry in golden if entry.startswith(f"{name}/")}
    off = {
        entry: (found[entry]["spread"], then["spread"])
        for entry, then in golden.items()
        if entry in found
        and (
            found[entry]["shape"] != then["shape"]
            or found[entry]["spread"] != pytest.approx(then["spread"], abs=CLOSE, rel=CLOSE)
        )
    }
    assert not off, f"{', '.join(off)}: not what they were"


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in computed(Path(folder), NAMES).items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")
