import csv
import json
import math

import numpy as np
import pytest
from scipy.stats import bootstrap as scipys

from vsr_adapter.evaluation.table import Score, Table, bootstrap

VALUES = [31.2, 28.4, 35.9, 30.0, 27.7, 33.3, 29.1, 36.0]


def test_the_interval_is_scipys():
    expected = scipys((VALUES,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    mean = bootstrap(VALUES)
    assert mean.value == pytest.approx(np.mean(VALUES))
    assert (mean.low, mean.high) == pytest.approx(tuple(expected), abs=0.1)
    assert bootstrap(VALUES) == mean


def test_the_interval_shrinks_with_the_number_of_clips():
    few, many = bootstrap(VALUES), bootstrap(VALUES * 16)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("values", "mean"), [([], math.nan), ([2.0], 2.0), ([math.inf, 30.0], math.inf)])
def test_too_few_clips_and_infinity_have_no_interval(values, mean):
    found = bootstrap(values)
    assert found.value == pytest.approx(mean, nan_ok=True)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_clips_that_say_nothing_are_left_out():
    assert bootstrap([math.nan, *VALUES]) == bootstrap(VALUES)


@pytest.fixture
def table():
    scores = [
        Score(f"clip{i}", method, {"PSNR": psnr, "E_warp[DIS] x1000": 0.1 * i})
        for i in (1, 0)
        for method, psnr in (("ours", 30.0 + i), ("truth", math.inf))
    ]
    return Table({"LR": "BIx4 of the crop", "seed": "0"}, scores)


def test_markdown_has_protocol_means_and_clips(table):
    lines = table.markdown().splitlines()
    assert lines[:2] == ["- LR: BIx4 of the crop", "- seed: 0"]
    assert "| mean [95 %] | PSNR | E_warp[DIS] x1000 |" in lines
    assert "| ours | 30.500 [30.000, 31.000] | 0.05 [0, 0.1] |" in lines
    assert "| truth | inf | 0.05 [0, 0.1] |" in lines
    assert lines[-4:] == [
        "| clip0 | ours | 30.000 | 0 |",
        "| clip0 | truth | inf | 0 |",
        "| clip1 | ours | 31.000 | 0.1 |",
        "| clip1 | truth | inf | 0.1 |",
    ]


def test_files_can_be_read_again(table, tmp_path):
    table.write(tmp_path / "deep" / "folder")
    with (tmp_path / "deep" / "folder" / "scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clip"] for row in rows] == ["clip0", "clip0", "clip1", "clip1"]
    assert float(rows[2]["PSNR"]) == 31
    content = json.loads((tmp_path / "deep" / "folder" / "scores.json").read_text())
    assert content["protocol"]["LR"] == "BIx4 of the crop"
    assert content["means"]["ours"]["PSNR"]["value"] == 30.5
    assert content["means"]["truth"]["PSNR"]["value"] is None
    assert content["clips"][0] == {
        "clip": "clip0",
        "method": "ours",
        "values": {"PSNR": 30.0, "E_warp[DIS] x1000": 0.0},
    }
    assert (tmp_path / "deep" / "folder" / "scores.md").read_text() == table.markdown()


def test_text_stands_in_columns(table):
    head, ours, truth = table.text().splitlines()[-3:]
    assert head.index("E_warp") == ours.index("0.05") == truth.index("0.05")
