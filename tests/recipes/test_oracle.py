"""What captions are worth, with the shipped weights: rows are paired by clip, and the tokens reach the denoiser."""

from pathlib import Path

import numpy as np
import pytest

from recipes.mini import oracle, unet
from recipes.mini.footage import validation
from recipes.mini.oracle import compared
from recipes.mini.training import read
from recipes.mini.unet import UNetStage
from tests.clips import cut
from vsr_adapter.assets import shipped


@pytest.fixture
def state(tmp_path, monkeypatch):
    """Prepared media, cuts of the shipped sample."""
    for folder in ("photographs", "clips", "validation"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "photographs" / "photo.npy", cut(0, 1, height=160, width=160)[0])
    for folder in ("clips", "validation"):
        np.save(tmp_path / folder / "clip.npy", cut(0, 8, height=64, width=96))
    monkeypatch.setattr(oracle, "STARTS", (0, 4))
    monkeypatch.setattr(unet, "SHAPES", unet.SHAPES[:1])
    return tmp_path


def test_every_medium_and_level_has_its_rows(state, capsys):
    oracle.oracle(state, Path(shipped("mini")), levels=(0, 150), size=64)
    _, *lines = [line for line in capsys.readouterr().out.splitlines() if "---" not in line]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[:2] for row in rows[::5]] == [
        [level, media] for level in ["0", "150"] for media in ("trained on", "bikes")
    ]
    assert [row[2] for row in rows[:5]] == ["null", "truth", "another's", "truth - null", "another's - null"]
    for null, truth, _, gain in zip(rows[::5], rows[1::5], rows[2::5], rows[3::5], strict=True):
        assert float(gain[3].split()[0]) == pytest.approx(float(truth[3]) - float(null[3]), abs=2e-4)
        assert truth[3] != null[3], "the denoiser does not see its tokens"


def test_another_clips_caption_is_the_next_ones(state):
    stage = UNetStage(state, Path(shipped("mini")), decoder=True)
    read(stage, Path(shipped("mini")))
    clip = validation(state, frames=4, size=64, starts=(0,))[0]
    _, truth, another, *_ = compared(stage, 0, "bikes", [clip, clip])
    assert truth[3:] == another[3:]
