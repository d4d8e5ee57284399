from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.clips import cut, write_folder, write_video
from vsr_adapter.errors import UserError
from vsr_adapter.peers import NCNN, Ask, Bicubic, Folder, Spandrel
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.types import VideoInfo

FRAMES = cut(0, 6, height=64, width=80)
LR = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
WHOLE = VideoInfo(Path("walk"), 6, 80, 64, Fraction(10))
ASK = Ask(LR, "city/walk", WHOLE, start=3, top=8, left=20, scale=4, name="city/walk/00000003", whole=False)


def test_bicubic_is_bicubic():
    assert torch.equal(Bicubic()(ASK), bicubic_upscale(LR))


@pytest.mark.parametrize("write", [write_folder, lambda path, frames: write_video(path.with_suffix(".mkv"), frames)])
def test_a_folder_gives_the_same_frames_of_the_same_place(tmp_path, write):
    write(tmp_path / "city" / "walk", FRAMES)
    peer = Folder(tmp_path, "theirs")
    expected = np.stack(FRAMES)[3:5, 8:40, 20:52]
    found = (peer(ASK) * 255).round().permute(0, 2, 3, 1).numpy()
    assert peer.name == "theirs"
    assert np.abs(found - expected).mean() < 2  # a video is not lossless


def test_a_folder_that_does_not_hold_what_is_asked_for_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: no such folder"):
        Folder(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"city/walk: is missing; .* must hold every video of the set by its name"):
        Folder(tmp_path)(ASK)
    write_folder(tmp_path / "city" / "walk", FRAMES[:4])
    with pytest.raises(UserError, match=r"walk: 4 frames, HR has 6: must be equal; upscale every frame"):
        Folder(tmp_path)(ASK)
    for name, frames in [("small", [frame[:32, :32] for frame in FRAMES]), ("large", cut(0, 6, height=68, width=84))]:
        write_folder(tmp_path / name / "city" / "walk", frames)
        with pytest.raises(UserError, match=r"walk: \d+x\d+, HR is 80x64: must be equal, nothing is resized; upscale"):
            Folder(tmp_path / name)(ASK)


def test_ncnn_runs_a_network_of_its_format(tmp_path):
    pytest.importorskip("ncnn")
    # enlarges by repeating pixels: 0=1 is the nearest one, 1 and 2 are the scales
    layers = ["Input in 0 1 data", "Interp up 1 1 data output 0=1 1=4.0 2=4.0"]
    (tmp_path / "nearest.param").write_text("\n".join(["7767517", "2 2", *layers, ""]))
    (tmp_path / "nearest.bin").write_bytes(b"")
    peer = NCNN(tmp_path / "nearest.param")
    assert peer.name == "nearest"
    torch.testing.assert_close(peer(ASK), LR.repeat_interleave(4, -1).repeat_interleave(4, -2), atol=1e-3, rtol=0)
    with pytest.raises(UserError, match=r"nearest: gives 32x32, not x2; take another"):
        peer(ASK._replace(scale=2))


def test_spandrel_runs_a_network_that_it_knows(tmp_path):
    spandrel = pytest.importorskip("spandrel")
    torch.manual_seed(0)
    network = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=1, upscale=4)
    torch.save(network.state_dict(), tmp_path / "tiny.pth")
    peer = Spandrel(tmp_path / "tiny.pth")
    with torch.no_grad():
        torch.testing.assert_close(peer(ASK), network(LR).clamp(0, 1))
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"other.pth: spandrel reads no network from it"):
        Spandrel(tmp_path / "other.pth")


def test_networks_without_their_package_or_their_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vsr_adapter.peers.networks.find_spec", lambda name: None)
    for make, package in [(Spandrel, "spandrel"), (NCNN, "ncnn")]:
        with pytest.raises(UserError, match=rf"{package}: is not installed; pip install 'vsr-adapter\[peers\]'"):
            make(tmp_path / "x")
    monkeypatch.setattr("vsr_adapter.peers.networks.find_spec", lambda name: name)
    for make in (Spandrel, NCNN):
        with pytest.raises(UserError, match=r"x.param: no such file; name the network's"):
            make(tmp_path / "x.param")
