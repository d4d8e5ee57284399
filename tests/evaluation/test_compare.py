"""`vsr compare` from the user's door."""

import json
import re

import numpy as np
import pytest
import torch

from tests.clips import cut, write_folder
from vsr_adapter.cli import main
from vsr_adapter.evaluation.place import delay
from vsr_adapter.metrics import PSNR
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale

FRAMES = cut(0, 8, top=96, left=16, height=64, width=96)
TRUTH = torch.from_numpy(np.stack(FRAMES)).permute(0, 3, 1, 2) / 255
METRICS = "--metrics=[{class_path: vsr_adapter.metrics.PSNR}, {class_path: vsr_adapter.metrics.WarpError}]"


def images(clip):
    return list((clip.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("compare")
    bicubic = bicubic_upscale(bicubic_downscale(TRUTH))
    write_folder(root / "test" / "walk", FRAMES)
    write_folder(root / "bicubic" / "walk", images(bicubic))
    write_folder(root / "sharp" / "walk", images(bicubic + 0.5 * (TRUTH - bicubic)))
    write_folder(root / "shifted" / "walk", images((0.5 * bicubic + 0.5 * TRUTH).roll(2, dims=3)))
    write_folder(root / "late" / "walk", [FRAMES[0], *FRAMES[:-1]])
    return root


def peers(root, *names):
    entries = [f"{{class_path: vsr_adapter.peers.Folder, init_args: {{path: {root / name}}}}}" for name in names]
    return f"--peers=[{', '.join(entries)}]"


def run(root, *more):
    return main(["compare", f"--test={root / 'test'}", "--size=64", METRICS, *more])


def test_one_table_for_several_methods(folders, tmp_path, capsys):
    both = peers(folders, "bicubic", "sharp")
    assert run(folders, both, f"--output={tmp_path / 'out'}") == 0
    printed = capsys.readouterr().out
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert list(content["means"]) == ["bicubic", "sharp", "truth"]
    crop = (..., slice(0, 64), slice(16, 80))
    rounded = torch.from_numpy(np.stack(images(bicubic_upscale(bicubic_downscale(TRUTH))))).permute(0, 3, 1, 2) / 255
    expected = PSNR()(rounded[crop][None], TRUTH[crop][None]).item()
    assert content["means"]["bicubic"]["PSNR"]["value"] == pytest.approx(expected)
    assert content["means"]["sharp"]["PSNR"]["value"] > expected + 5
    assert content["means"]["bicubic"]["s/frame"]["value"] is None  # a folder's: it was made before
    assert "LR: BIx4 of the crop" in printed
    assert "sharp" in printed


def test_bicubic_is_what_is_compared_where_nothing_is_said(folders, capsys):
    assert run(folders) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()[-2:]] == ["bicubic", "truth"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "shifted",
            r"shifted, walk/00000000: fits \d+\.\d dB better \(-2, 0\) HR pixels away; it was made from another LR",
        ),
        ("late", r"late, walk/00000000: fits \d+\.\d dB better -1 frames later; write its frames in time"),
    ],
)
def test_what_lies_elsewhere_is_refused_with_the_shift_that_fits(folders, name, message, capsys):
    assert run(folders, peers(folders, name)) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_two_rows_of_one_name_are_refused(folders, capsys):
    assert run(folders, peers(folders, "bicubic", "bicubic")) == 1
    assert "bicubic: is the name of two rows; give one of them a name of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"), [(["--sizes=3"], "sizes"), (["--peers=nosuch.Thing"], "nosuch"), (["--size=many"], "size")]
)
def test_wrong_options_are_one_line(folders, more, message, capsys):
    assert run(folders, *more) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error


def test_delays_have_their_sign():
    moving = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    late, gain = delay(moving[1:7], moving[:6])
    assert (late, gain > 10) == (1, True)
    assert delay(moving, moving)[0] == 0
    assert delay(moving[:1], moving[:1]) == (0, 0)
