"""`vsr data check`, and frames that would mislead."""

import cv2
import numpy as np
import pytest

from tests.clips import cut, write_folder, write_video
from tests.datasets.test_layouts import BI, DUF, FRAMES, gt
from vsr_adapter.cli import main
from vsr_adapter.data.check import check
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.errors import UserError
from vsr_adapter.video.find import frame_files


def test_check_tells_what_is_there(tmp_path, capsys):
    root = gt(tmp_path / "UDM10", "band", "lake", bd=DUF)
    write_folder(root / "GT" / "clap", FRAMES)
    assert main(["data", "check", str(root)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{root}: UDM10, test: 3 clips, LR BD, BI"
    assert lines[1].split() == ["clip", "frames", "HR", "LR", "BD", "LR", "BI"]
    assert lines[2].split() == ["band", "3", "80x64", "20x16", "at", "(-1.5,", "-1.5)", "20x16", "centred"]
    assert lines[3].split() == ["clap", "3", "80x64", "-", "-"]
    problems = "\n".join(lines[5:])
    for problem in [
        "UDM10: 3 clips, a whole UDM10 has 10; copy it again",
        "UDM10: band: 3 frames, a whole one has 32; copy it again",
        "clap: has no LR of BI",
        "BDx4/lake: fits ",
    ]:
        assert problem in problems


def test_check_of_a_whole_folder_finds_nothing_wrong(tmp_path, capsys):
    write_folder(tmp_path / "hr" / "clip", FRAMES)
    write_folder(tmp_path / "lr" / "clip", BI)
    write_video(tmp_path / "hr" / "film.mp4", cut(0, 8))
    assert main(["data", "check", str(tmp_path / "hr")]) == 0
    assert "a folder of clips: 2 clips (count not checked), LR none, it will be made" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "hr"), "--lr", str(tmp_path / "lr")]) == 1
    assert "! film: has no LR of" in capsys.readouterr().out


def test_check_names_the_missing_clips(tmp_path):
    report = check(gt(tmp_path / "Vid4", "city", "walk"))
    missing = [line.rpartition("Vid4: ")[2] for line in report.lines if "is missing" in line]
    assert missing == [f"{name}: is missing; copy it again" for name in ("calendar", "foliage")]


@pytest.mark.parametrize("name", ["SPMCS", "YouHQ40"])
def test_check_claims_no_count_that_is_not_known(tmp_path, name):
    root = tmp_path / name
    write_folder(root / "GT" / "0", FRAMES)
    for part in ("BIx4", "LQ"):
        write_folder(root / part / "0", BI)
    report = check(root)
    assert report.problems == 0
    assert f"{name}, test: 1 clips (count not checked), LR " in report.lines[0]
    described = ClipDataset(root, frames=3, size=64).describe()
    assert described["data"] == f"{name}, 1 clips of 3 frames, count not checked"


def spoil_gap(folder):
    frame_files(folder)[1].unlink()


def spoil_16_bit(folder):
    cv2.imwrite(str(folder / "00000001.png"), FRAMES[1].astype(np.uint16) * 257)


def spoil_palette(folder):
    from PIL import Image

    Image.fromarray(FRAMES[1]).quantize(16).save(folder / "00000001.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_16_bit, r"00000001.png: PNG of 16 bit, frames have 8; convert it"),
        (spoil_palette, r"00000001.png: PNG .*convert it"),
        (spoil_gap, r"00000000.png: the next frame is 2 later, the others are 1; add those that are missing"),
    ],
)
def test_frames_that_would_mislead_are_refused(tmp_path, spoil, message):
    folder = write_folder(tmp_path / "set" / "clip", [*FRAMES, FRAMES[0]])
    assert len(ClipDataset(tmp_path / "set", frames=3, size=64)[0].hr) == 3
    spoil(folder)
    with pytest.raises(UserError, match=message):
        ClipDataset(tmp_path / "set", frames=3, size=64)[0]
    report = check(tmp_path / "set")
    assert report.problems == 1
    assert report.lines[-1].startswith("! ")
