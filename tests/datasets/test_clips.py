import numpy as np
import pytest
import torch

from tests.clips import cut, write_folder, write_video
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.errors import UserError
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.training.datamodule import ClipDataModule


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set")
    write_folder(folder / "000", cut(0, 20, height=72, width=100))
    write_video(folder / "deep" / "001.mp4", cut(0, 12, height=64, width=64))
    return folder


def test_clips_lie_end_to_end_and_are_named(root):
    names = [clip.name for clip in ClipDataset(root, size=64)]
    assert names == ["000/00000000", "000/00000008", "deep/001/00000000"]


def test_stride_and_limit(root):
    assert len(ClipDataset(root, size=64, stride=1)) == 13 + 5
    spread = [clip.name[-2:] for clip in ClipDataset(root, size=64, stride=1, limit=4)]
    assert spread == ["00", "03", "06", "09", "00", "01", "02", "03"]


def test_hr_is_the_centre_crop_and_lr_its_exact_bicubic(root):
    clip = ClipDataset(root, size=64)[1]
    assert clip.hr.shape == (8, 3, 64, 64)
    assert clip.lr.shape == (8, 3, 16, 16)
    expected = np.stack(cut(8, 8, height=72, width=100))[:, 4:68, 16:80]  # (100 - 64) / 2 = 18, on the LR grid 16
    assert np.array_equal((clip.hr * 255).round().permute(0, 2, 3, 1).numpy(), expected)
    assert torch.equal(clip.lr, bicubic_downscale(clip.hr))


@pytest.mark.parametrize(("lr", "hr"), [(80, 320), (128, 512)])
def test_the_sizes_of_the_thesis(tmp_path, lr, hr):
    write_folder(tmp_path / "a", [np.tile(frame, (8, 9, 1)) for frame in cut(0, 1)])
    clip = ClipDataset(tmp_path, frames=1, size=hr)[0]
    assert (clip.lr.shape[1:], clip.hr.shape[1:]) == ((3, lr, lr), (3, hr, hr))


def test_whole_frames_are_not_cropped(tmp_path):
    frames = cut(0, 4, height=72, width=100)
    write_folder(tmp_path / "a" / "clip", frames)
    data = ClipDataset(tmp_path / "a", frames=4, size="whole")
    clip = data[0]
    assert np.array_equal((clip.hr * 255).round().permute(0, 2, 3, 1).numpy(), np.stack(frames))
    assert torch.equal(clip.lr, bicubic_downscale(clip.hr))
    assert data.describe()["crop"] == "none, whole frames"
    assert data.describe()["LR"] == "BIx4 of whole frames"
    write_folder(tmp_path / "odd" / "clip", cut(0, 4, height=72, width=98))
    with pytest.raises(UserError, match=r"98x72, whole frames must be multiples of 4; pass --data.size 72 for the mid"):
        ClipDataset(tmp_path / "odd", frames=4, size="whole")
    with pytest.raises(UserError, match=r"data.batch_size 2: whole frames may differ in size; pass --data.batch_size"):
        ClipDataModule(test=tmp_path / "a", size="whole", batch_size=2)


def test_paired_folders_are_read_aligned(tmp_path):
    hr = cut(0, 8, height=80, width=112)
    write_folder(tmp_path / "hr" / "a", hr)
    small = [frame[::4, ::4] for frame in hr]  # not bicubic: it must be read, not made
    write_folder(tmp_path / "lr" / "a", small)
    clip = ClipDataset(tmp_path / "hr", tmp_path / "lr", size=64)[0]
    assert torch.equal(clip.lr, clip.hr[..., ::4, ::4])


def test_pairs_that_do_not_fit_are_refused(tmp_path):
    write_folder(tmp_path / "hr" / "a", cut(0, 8))
    write_folder(tmp_path / "small" / "a", cut(0, 8, height=20, width=16))
    write_folder(tmp_path / "short" / "a", cut(0, 7, height=16, width=16))
    write_folder(tmp_path / "other" / "b", cut(0, 8, height=16, width=16))
    for name, frames, message in [
        ("small", 8, r"a: 16x20, HR is 64x64: .*x4; pair it"),
        ("short", 7, r"a: 7 frames, HR has 8: must be equal"),
        ("other", 8, r"holds no a, the LR twin"),
    ]:
        with pytest.raises(UserError, match=message):
            ClipDataset(tmp_path / "hr", tmp_path / name, size=64, frames=frames)


def test_videos_without_a_clip_are_refused(root):
    with pytest.raises(UserError, match=r"001.mp4: 12 frames, a clip has 16; remove it, or pass --data.frames 12"):
        ClipDataset(root, frames=16, size=64)
    with pytest.raises(UserError, match=r"000: 100x72, the crop is 80x80; remove it, or pass --data.size 72"):
        ClipDataset(root, size=80)
    with pytest.raises(UserError, match=r"data.size 66: must be a multiple of the scale 4; pass --data.size 64"):
        ClipDataset(root, size=66)


@pytest.mark.parametrize("setting", [{"frames": 0}, {"size": 0}, {"stride": 0}, {"stride": -1}, {"limit": 0}])
def test_settings_that_give_no_clip_are_refused(root, setting):
    with pytest.raises(UserError, match=r"must be at least 1; pass"):
        ClipDataset(root, **{"size": 64, **setting})


def test_an_error_in_a_worker_is_still_one_line(tmp_path):
    write_folder(tmp_path / "a", cut(0, 8))
    (tmp_path / "a" / "00000003.png").write_bytes(b"no image")
    loader = ClipDataModule(train=tmp_path, size=64, num_workers=1).train_dataloader()
    with pytest.raises(UserError, match=r"^\S+00000003.png: cannot be read as an image; check that it opens$"):
        next(iter(loader))


def test_two_videos_of_one_name_are_refused(tmp_path):
    write_video(tmp_path / "a.mp4", cut(0, 8))
    write_video(tmp_path / "a.mkv", cut(0, 8))
    with pytest.raises(UserError, match=r"a.mp4: has the name of .*a.mkv; clips are known by name"):
        ClipDataset(tmp_path, size=64)
