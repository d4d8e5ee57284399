"""What an adapter is worth: the commands behind the table run, and differences are paired."""

import json

import pytest

from recipes.mini import effect
from recipes.mini.effect import COLUMNS, CONTROLS, Job, Settings, difference, run, table
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
    for seed in (0, 1):
        scores(tmp_path / f"150-adapter-{seed}" / "adapter", [20 + seed, 30 + seed, 40 + seed], 0.2)
        scores(tmp_path / f"150-adapter-{seed}" / "shuffled", [20, 30, 40], 0.3)
        scores(tmp_path / f"150-constant-{seed}" / "constant", [19, 29, 39], 0.3)
    scores(tmp_path / "150-null-0" / "null", [18, 28, 38], 0.4)
    rows = list(table(tmp_path, levels=(150,), seeds=(0, 1)))
    assert rows[0] == ["150", "adapter", "30.5000", "0.2000"]
    assert [row[1] for row in rows[4:]] == [f"adapter - {control}" for control in CONTROLS]
    assert [row[2].split()[0] for row in rows[4:]] == ["+2.5000", "+0.5000", "+1.5000"]
    assert rows[4][3] == "-0.2000 [-0.2000, -0.2000]"


@pytest.mark.parametrize(("tokens", "results"), [("constant", {"constant"}), ("adapter", {"adapter", "shuffled"})])
def test_a_job_fits_on_the_shipped_stack_and_tests_what_it_fitted(tmp_path, tokens, results):
    for role in ("train", "val"):
        real_clips(tmp_path / "videos" / role, 2, size=96)
    job, settings = Job(tmp_path / "job", tokens, 150, 0), Settings(tmp_path / "videos", steps=1, size=32, clips=1)
    run(job, settings)
    assert {path.parent.name for path in job.folder.glob("*/scores.json")} == results
    for name in results:
        assert set(effect.scores(job.folder / name)) == set(COLUMNS)
    before = {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")}
    run(job, settings)
    assert {path: path.stat().st_mtime_ns for path in job.folder.rglob("*")} == before
