"""What a test refuses, through the command that scores: value, rule and remedy in one line."""

import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from tests.clips import cut, write_folder
from vsr_adapter.cli import main
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.video.find import frame_files

FRAMES = cut(0, 4, height=64, width=80)
LR = bicubic_downscale(torch.from_numpy(np.stack(FRAMES)).permute(0, 3, 1, 2) / 255)
SMALL = list((LR * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy())


@pytest.fixture
def root(tmp_path):
    """A set with twins, and what a method made of it."""
    write_folder(tmp_path / "hr" / "walk", FRAMES)
    write_folder(tmp_path / "lr" / "walk", SMALL)
    write_folder(tmp_path / "theirs" / "walk", FRAMES)
    return tmp_path


def gap(folder):
    frame_files(folder)[1].unlink()


def one_less(folder):
    frame_files(folder)[-1].unlink()


def other_names(folder):
    for path in reversed(frame_files(folder)):
        path.rename(folder / f"{int(path.stem) + 1:08d}.png")


def deep(folder):
    file = frame_files(folder)[1]
    cv2.imwrite(str(file), cv2.imread(str(file)).astype(np.uint16) * 257)


def palette(folder):
    file = frame_files(folder)[1]
    Image.open(file).quantize(16).save(file)


def narrow(folder):
    for file in frame_files(folder):
        cv2.imwrite(str(file), cv2.imread(str(file))[:, :-1])


def half(folder):
    for file in frame_files(folder):
        cv2.imwrite(str(file), cv2.imread(str(file))[::2, ::2])


BAD = [
    ("hr", shutil.rmtree, [], r"hr: holds no video and no folder of frames; videos end in"),
    ("lr", shutil.rmtree, [], r"lr: holds no video and no folder of frames; videos end in"),
    ("hr", gap, [], r"00000000.png: the next frame is 2 later, the others are 1; add those that are missing"),
    ("lr", one_less, [], r"lr/walk: 3 frames, HR has 4: must be equal; export both again"),
    ("lr", other_names, [], r"lr/walk/00000001.png: stands beside \S+00000000.png: twins have frames of .*; rename"),
    ("lr", narrow, [], r"lr/walk: 19x16, HR is 80x64: sizes must differ by x4; pair it with the right HR, or set --sc"),
    ("hr", narrow, [], r"lr/walk: 20x16, HR is 79x64: sizes must differ by x4; pair it with the right HR, or set"),
    ("hr", deep, [], r"hr/walk/00000001.png: PNG of 16 bit, frames have 8; convert it"),
    ("lr", deep, [], r"lr/walk/00000001.png: PNG of 16 bit, frames have 8; convert it"),
    ("theirs", deep, [], r"theirs/walk/00000001.png: PNG of 16 bit, frames have 8; convert it"),
    ("hr", palette, [], r"hr/walk/00000001.png: PNG .*; convert it"),
    ("lr", palette, [], r"lr/walk/00000001.png: PNG .*; convert it"),
    ("theirs", palette, [], r"theirs/walk/00000001.png: PNG .*; convert it"),
    (None, None, ["--frames=5"], r"walk: 4 frames, a clip has 5; remove it, or pass --frames 4"),
    (None, None, ["--size=66"], r"data.size 66: must be a multiple of the scale 4; pass --size 64"),
    (None, None, ["--size=68"], r"walk: 80x64, the crop is 68x68; remove it, or pass --size 64"),
    ("theirs", gap, [], r"theirs/walk: 3 frames, HR has 4: must be equal; upscale every frame"),
    ("theirs", half, [], r"theirs/walk: 40x32, HR is 80x64: must be equal, nothing is resized; upscale the whole LR"),
    ("theirs", shutil.rmtree, [], r"theirs/walk: is missing; theirs must hold every video of the set by its name"),
]


@pytest.mark.parametrize(("where", "spoil", "more", "message"), BAD)
def test_bad_input_is_refused_in_one_line(root, where, spoil, more, message, capsys):
    if where is not None:
        spoil(root / where / "walk")
    peers = f"--peers=[{{class_path: vsr_adapter.peers.Folder, init_args: {{path: {root / 'theirs'}}}}}]"
    options = [f"--test={root / 'hr'}", f"--lr={root / 'lr'}", peers]
    settings = ["--size=64", "--frames=3" if spoil in (gap, one_less) else "--frames=4"]
    metrics = "--metrics=[{class_path: vsr_adapter.metrics.PSNR}]"
    assert main(["compare", *options, metrics, *settings, *more]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(message, error), error


def test_good_input_is_scored(root, capsys):
    peers = f"--peers=[{{class_path: vsr_adapter.peers.Folder, init_args: {{path: {root / 'theirs'}}}}}]"
    command = ["compare", f"--test={root / 'hr'}", f"--lr={root / 'lr'}", peers, "--size=64", "--frames=4"]
    assert main([*command, "--metrics=[{class_path: vsr_adapter.metrics.PSNR}]"]) == 0
    printed = capsys.readouterr().out
    assert f"row theirs: read from {root / 'theirs'}\n" in printed
    assert re.search(r"theirs +inf +-\n", printed), "reading takes no time of the method's"


def test_a_network_that_gives_nan_is_refused_by_its_name_and_the_clips(root, capsys):
    spandrel = pytest.importorskip("spandrel")
    network = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=1, upscale=4)
    torch.save({name: tensor * torch.nan for name, tensor in network.state_dict().items()}, root / "tiny.pth")
    peers = f"--peers=[{{class_path: vsr_adapter.peers.Spandrel, init_args: {{path: {root / 'tiny.pth'}}}}}]"
    assert main(["compare", f"--test={root / 'hr'}", "--size=64", "--frames=4", peers]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "tiny, walk/00000000 holds NaN or infinity: metrics take finite video in [0, 1]; mend what made it" in error
