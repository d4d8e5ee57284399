"""What an adapter is worth: the commands behind the table run, and differences are paired."""

import json
from itertools import product

import pytest

from recipes.mini import effect
from recipes.mini.effect import COLUMNS, CONTROLS, ROLES, Job, Settings, difference, run, table
from tests.clips import real_clips


def scores(folder, psnr, lpips):
    """A results folder with three clips, and another method's rows, which must not be taken for ours."""
    folder.mkdir(parents=True)
    rows = [
        {"clip": str(number), "method": method, "values": {"PSNR": psnr[number] - less, "LPIPS-alex": lpips + less}}
        for number in range(3)
        for method, less in [("bicubic", 1), ("ours", 0)]
    ]
    (folder / "scores.json").write_text(json.dumps({"clips": rows}))


def test_a_gain_on_every_clip_is_told_from_the_differences_between_clips():
    ours, theirs = [20.1, 30.2, 40.3], [20.0, 30.0, 40.0]
    assert difference(ours, theirs) == "+0.2000 [+0.1000, +0.3000]"
    assert difference(ours, ours) == "+0.0000 [+0.0000, +0.0000]"


def test_the_table_averages_seeds_and_holds_the_adapter_against_every_control(tmp_path):
    for role, more in [("val", 0), ("train", 1)]:
        for seed in (0, 1):
            adapter, constant = tmp_path / f"150-adapter-{seed}" / role, tmp_path / f"150-constant-{seed}" / role
            scores(adapter / "adapter", [20 + seed, 30 + seed, 40 + seed + more], 0.2)
            scores(adapter / "shuffled", [20, 30, 40], 0.3)
            scores(constant / "constant", [19, 29, 39], 0.3)
        scores(tmp_path / "150-null-0" / role / "null", [18, 28, 38], 0.4)
    rows = list(table(tmp_path, levels=(150,), seeds=(0, 1)))
    assert rows[0] == ["150", "val", "adapter", "30.5000", "0.2000"]
    assert rows[7][:4] == ["150", "train", "adapter", "30.8333"]
    assert [row[2] for row in rows[4:7]] == [f"adapter - {control}" for control in CONTROLS]
    assert [row[3].split()[0] for row in rows[4:7]] == ["+2.5000", "+0.5000", "+1.5000"]
    assert rows[4][4] == "-0.2000 [-0.2000, -0.2000]"


@pytest.mark.parametrize(("tokens", "results"), [("constant", {"constant"}), ("adapter", {"adapter", "shuffled"})])
def test_a_job_fits_on_the_shipped_stack_and_tests_what_it_fitted(tmp_path, tokens, results):
    for role in ("train", "val"):
        real_clips(tmp_path / "videos" / role, 1, size=96)
    job, settings = Job(tmp_path / "job", tokens, 150, 0), Settings(tmp_path / "videos", steps=1, size=32, clips=1)
    run(job, settings)
    assert {path.parent.name for path in job.folder.glob("val/*/scores.json")} == results
    for role, name in product(ROLES, results):
        assert set(effect.scores(job.folder / role / name)) == set(COLUMNS)
    before = {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")}
    run(job, settings)
    assert {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")} == before
