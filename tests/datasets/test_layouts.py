"""Sets as distributed, with the files of a small picture in their places."""

import json
import shutil

import numpy as np
import pytest
import torch

from tests.clips import cut, write_folder
from vsr_adapter.cli import main
from vsr_adapter.data.alignment import align
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.degradations import Bicubic, BlurDown, DUFBlurDown, RealWorld
from vsr_adapter.data.folders import number_of
from vsr_adapter.data.layouts import LAYOUTS, find_pairs, recognise
from vsr_adapter.errors import UserError
from vsr_adapter.metrics import PSNR, TOF
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.training.datamodule import ClipDataModule

FRAMES = cut(0, 3, height=64, width=80)
HR = torch.from_numpy(np.stack(FRAMES)).permute(0, 3, 1, 2) / 255


def small(degradation):
    lr = (degradation(HR, 4, ()) * 255).round().byte().permute(0, 2, 3, 1).numpy()
    return list(np.ascontiguousarray(lr))


BI, BD, DUF = small(Bicubic()), small(BlurDown()), small(DUFBlurDown())


def reds(root):
    for name in ("000", "001", "011", "241"):
        write_folder(root / "train_sharp" / name, FRAMES)
        write_folder(root / "train_sharp_bicubic" / "X4" / name, BI)
    write_folder(root / "val_sharp" / "002", FRAMES)
    return root


def gt(root, *names, bd=BD):
    for name in names:
        write_folder(root / "GT" / name, FRAMES)
        write_folder(root / "BIx4" / name, BI)
        write_folder(root / "BDx4" / name, bd)
    return root


def names(root, split, origin=None):
    return [
        (pair.name, pair.lr and pair.lr.relative_to(root).parts[0])
        for pair in find_pairs(root, None, split, origin).pairs
    ]


def test_reds_keeps_its_splits_apart(tmp_path):
    root = reds(tmp_path / "anything")
    assert names(root, "train") == [("001", "train_sharp_bicubic")]
    assert names(root, "test") == [("000", "train_sharp_bicubic"), ("011", "train_sharp_bicubic")]
    assert names(root, "val") == [("002", None)]
    shutil.rmtree(root / "val_sharp")
    assert names(root, "val") == [("241", "train_sharp_bicubic")]  # BasicSR's numbers


def test_sets_that_look_alike_are_told_apart(tmp_path):
    assert recognise(gt(tmp_path / "a" / "Vid4", "city", "walk"), "test").name == "Vid4"
    assert recognise(gt(tmp_path / "UDM10", "band"), "test").name == "UDM10"
    assert recognise(gt(tmp_path / "spmcs", "car05"), "test").name == "SPMCS"
    assert recognise(gt(tmp_path / "mine", "x"), "test").name == "GT folder"
    for part, frames in (("truth", FRAMES), ("blur4", BD)):
        write_folder(tmp_path / "original" / "band" / part, frames)
    assert names(tmp_path / "original", "test") == [("band", "band")]
    write_folder(tmp_path / "YouHQ40" / "GT" / "0", FRAMES)
    write_folder(tmp_path / "YouHQ40" / "LQ" / "0", BI)
    assert names(tmp_path / "YouHQ40", "test") == [("0", "LQ")]
    write_folder(tmp_path / "any" / "clip", FRAMES)
    assert recognise(tmp_path / "any", "test") is None


def test_vimeo_follows_its_lists(tmp_path):
    for name in ("00001/0001", "00001/0002", "00002/0001"):
        write_folder(tmp_path / "sequences" / name, FRAMES)
    assert len(find_pairs(tmp_path, None, "train", None).pairs) == 3
    (tmp_path / "sep_trainlist.txt").write_text("00001/0002\n00002/0001\n")
    (tmp_path / "sep_testlist.txt").write_text("00001/0001\n")
    assert names(tmp_path, "train") == [("00001/0002", None), ("00002/0001", None)]
    assert names(tmp_path, "test") == [("00001/0001", None)]


def vimeo(root, frames=7):
    write_folder(root / "sequences" / "00001" / "0001", cut(0, frames, height=64, width=80))
    (root / "sep_testlist.txt").write_text("00001/0001\n")
    return root


def test_of_vimeo_the_middle_frame_is_scored(tmp_path, capsys):
    """As published: im4. Metrics of neighbouring frames see all seven."""
    metrics = "--metrics=[{class_path: vsr_adapter.metrics.PSNR}, {class_path: vsr_adapter.metrics.TOF}]"
    command = ["compare", f"--test={vimeo(tmp_path)}", "--size=64", metrics, f"--output={tmp_path / 'out'}"]
    assert main([*command, "--frames=7"]) == 0
    assert "scored: frame 4 of each clip alone; metrics of neighbouring frames: all\n" in capsys.readouterr().out
    row = json.loads((tmp_path / "out" / "scores.json").read_text())["clips"][0]["values"]
    clip = ClipDataset(tmp_path, frames=7, size=64)[0]
    ours, truth = bicubic_upscale(clip.lr)[None], clip.hr[None]
    assert row["PSNR"] == pytest.approx(PSNR()(ours[:, 3:4], truth[:, 3:4]).item())
    assert row["PSNR"] != pytest.approx(PSNR()(ours, truth).item())
    assert row["tOF[Farneback]"] == pytest.approx(TOF()(ours, truth).item())
    assert main([*command, "--frames=5"]) == 1
    assert "frames 5: Vimeo-90K is scored on frame 4 of 7; pass --frames 7" in capsys.readouterr().err
    assert ClipDataset(vimeo(tmp_path), frames=7, size=64, split="val").scored == slice(None), "a loss is of all"


def test_the_twins_of_a_set_are_chosen_by_how_they_were_made(tmp_path):
    vid4, udm10 = gt(tmp_path / "Vid4", "city"), gt(tmp_path / "UDM10", "band")
    assert names(vid4, "test") == [("city", "BIx4")]
    assert names(udm10, "test") == [("band", "BDx4")]
    assert names(udm10, "test", "BI") == [("band", "BIx4")]
    assert names(udm10, "test", "made") == [("band", None)]
    with pytest.raises(UserError, match=r"UDM10: has no LR made by real-world; it has BD, BI, or pass made"):
        names(udm10, "test", "real-world")
    write_folder(tmp_path / "any" / "clip", FRAMES)
    with pytest.raises(UserError, match=r"any: is no set that we know, and has no LR made by BD"):
        names(tmp_path / "any", "test", "BD")
    shutil.rmtree(udm10 / "BDx4" / "band")
    write_folder(udm10 / "BDx4" / "other", BD)
    with pytest.raises(UserError, match=r"BDx4/band: is missing, the BD twin of .*GT/band"):
        names(udm10, "test")


def test_clips_come_from_the_twins_or_are_made(tmp_path):
    root = gt(tmp_path / "UDM10", "band")
    lr = {
        key: (ClipDataset(root, frames=3, size=64, **settings)[0].lr * 255).round().byte()
        for key, settings in {
            "shipped": {},
            "BI": {"origin": "BI"},
            "made": {"origin": "made"},
            "degraded": {"degradation": BlurDown()},
        }.items()
    }
    crop = np.s_[:, :, 2:18]
    assert np.array_equal(lr["shipped"].permute(0, 2, 3, 1).numpy(), np.stack(BD)[crop])
    assert np.array_equal(lr["BI"].permute(0, 2, 3, 1).numpy(), np.stack(BI)[crop])
    assert not torch.equal(lr["made"], lr["BI"])  # the crop's own borders
    assert torch.equal(lr["made"][..., 2:-2, 4:-4], lr["BI"][..., 2:-2, 4:-4])
    assert not torch.equal(lr["degraded"], lr["shipped"])
    assert torch.equal(lr["degraded"][..., 2:-2, 4:-4], lr["shipped"][..., 2:-2, 4:-4])


@pytest.mark.parametrize(
    ("degradation", "place"), [(Bicubic(), (0, 0)), (BlurDown(), (0, 0)), (DUFBlurDown(), (-1.5, -1.5))]
)
def test_places_of_degradations(degradation, place):
    found = align(degradation(HR, 4, ())[0], HR[0])
    assert (found.dx, found.dy) == place
    assert found.centred == (place == (0, 0))


@pytest.mark.parametrize("seed", range(4))
def test_noise_and_codecs_do_not_look_like_a_shift(seed):
    assert align(RealWorld()(HR, 4, (seed,))[0], HR[0]).centred


@pytest.mark.parametrize(("dx", "dy"), [(1, -2), (-3, 0), (0, 2)])
def test_whole_pixels_are_found_with_their_sign(dx, dy):
    shows = HR.roll((-dy, -dx), (2, 3))  # at x, what lies at x + dx
    found = align(Bicubic()(shows, 4)[0], HR[0])
    assert (found.dx, found.dy) == (dx, dy)
    assert not found.centred


def test_a_shifted_test_set_is_not_scored_silently(tmp_path):
    root = gt(tmp_path / "UDM10", "band", bd=DUF)
    settings = {"test": root, "frames": 3, "size": 64, "num_workers": 0, "partial": True}
    with pytest.raises(
        UserError, match=r"BDx4/band: fits \d+\.\d dB better \(-1.5, -1.5\) HR pixels .*shifted_lr true"
    ):
        ClipDataModule(**settings).test_dataloader()
    assert len(ClipDataModule(**settings, shifted_lr=True).test_dataloader()[0]) == 1
    assert len(ClipDataModule(**settings, origin="BI").test_dataloader()[0]) == 1


def test_a_set_with_missing_clips_or_frames_is_not_scored_silently(tmp_path, capsys):
    settings = {"frames": 3, "size": 64, "num_workers": 0}
    udm10, vid4 = gt(tmp_path / "UDM10", "band"), gt(tmp_path / "Vid4", "city", "walk")
    for root, message in [
        (udm10, r"UDM10: 1 clips, a whole UDM10 has 10; copy it again \(and 1 more, see vsr data check\), or pass "),
        (vid4, r"Vid4: calendar: is missing; copy it again \(and 3 more, .*--data.partial true to score what is"),
    ]:
        with pytest.raises(UserError, match=message):
            ClipDataModule(test=root, **settings).test_dataloader()
        loader = ClipDataModule(test=root, **settings, partial=True).test_dataloader()[0]
        assert loader.dataset.source.lines["data"].endswith("clips of 3 frames, of a set that is not whole")
    assert main(["compare", f"--test={vid4}", "--frames=3", "--size=64"]) == 1
    assert "calendar: is missing; copy it again (and 3 more" in (error := capsys.readouterr().err)
    assert "or pass --partial true" in error
    for name, count in whole("Vid4").clips.items():
        write_folder(vid4 / "GT" / name, [FRAMES[0]] * count)
        write_folder(vid4 / "BIx4" / name, [BI[0]] * count)
    found = ClipDataModule(test=vid4, **settings).test_dataloader()[0].dataset
    assert found.source.lines["data"] == "Vid4, 4 clips of 3 frames"


def test_twins_of_other_frames_are_refused(tmp_path):
    write_folder(tmp_path / "hr" / "clip", FRAMES)
    lr = write_folder(tmp_path / "lr" / "clip", BI)
    (lr / "00000002.png").rename(lr / "00000003.png")
    (lr / "00000001.png").rename(lr / "00000002.png")
    (lr / "00000000.png").rename(lr / "00000001.png")
    with pytest.raises(UserError, match=r"lr/clip/00000001.png: stands beside .*hr/clip/00000000.png: twins have"):
        ClipDataset(tmp_path / "hr", tmp_path / "lr", frames=3, size=64)


@pytest.mark.parametrize(
    ("name", "number"), [("00000012", 12), ("im4", 4), ("0001x4", 1), ("a2_007", 7), ("frame", None)]
)
def test_numbers_in_names(tmp_path, name, number):
    assert number_of(tmp_path / f"{name}.png") == number


def test_a_step_that_is_always_the_same_is_no_gap(tmp_path):
    folder = write_folder(tmp_path / "clip", FRAMES)
    (folder / "00000002.png").rename(folder / "00000004.png")
    (folder / "00000001.png").rename(folder / "00000002.png")
    assert len(ClipDataset(tmp_path, frames=3, size=64)) == 1


def whole(name):
    return next(layout for layout in LAYOUTS if layout.name == name)


def test_the_layouts_are_the_sets_as_distributed():
    assert whole("Vid4").clips == {"calendar": 41, "city": 34, "foliage": 49, "walk": 47}
    assert len(whole("REDS").clips) == 236
    assert not set(whole("REDS").clips) & {"000", "011", "015", "020"}
    assert len(whole("REDS val").clips) == 30
    assert (whole("UDM10").count, whole("UDM10").frames) == (10, 32)
