"""LPIPS against the example of its authors, and against torchmetrics' copy of the network."""

import os
from pathlib import Path

import pytest
import torch
from torchmetrics.functional.image.lpips import _LPIPS

from vsr_adapter.errors import UserError
from vsr_adapter.metrics import LPIPS, TLPIPS
from vsr_adapter.metrics.networks import VGGFeatures, lpips_network, shipped
from vsr_adapter.video.images import read_pixels

EXAMPLE = Path(__file__).parents[1] / "data" / "lpips_pair"
VGG16 = os.environ.get("VSR_VGG16")  # written by recipes/lpips/convert.py --vgg16


def example(name: str) -> torch.Tensor:
    return torch.from_numpy(read_pixels(EXAMPLE / f"ex_{name}.png")).permute(2, 0, 1)[None, None] / 255


@pytest.fixture(scope="module")
def alex():
    return LPIPS()


@pytest.mark.parametrize(("other", "expected"), [("p0", 0.7219), ("p1", 0.1376)])
def test_the_authors_example(alex, other, expected):
    assert alex(example(other), example("ref")).item() == pytest.approx(expected, abs=5e-5)
    assert alex(example("ref"), example(other)).item() == pytest.approx(expected, abs=5e-5)


@pytest.mark.skipif(VGG16 is None, reason="VSR_VGG16 names no file: VGG16's 59 MB are not shipped")
@pytest.mark.parametrize(("other", "expected"), [("p0", 0.5686), ("p1", 0.4217)])
def test_the_authors_example_with_vgg(other, expected):
    assert LPIPS(net="vgg", trunk=Path(VGG16))(example(other), example("ref")).item() == pytest.approx(
        expected, abs=5e-5
    )


def test_equal_videos_have_no_distance(alex):
    assert alex(example("ref"), example("ref")).item() == 0


def test_the_network_is_torchmetrics(alex):
    theirs = _LPIPS(pretrained=True, net="alex", pnet_rand=True)
    trunk = shipped("alexnet")
    theirs.net.load_state_dict({name: trunk[name.split(".", 1)[1]] for name in theirs.net.state_dict()})
    ours, truth = example("p0"), example("ref")
    assert alex(ours, truth).item() == pytest.approx(theirs(ours[0], truth[0], normalize=True).item(), abs=1e-5)


def test_nothing_is_trainable_or_in_training_mode(alex):
    for network in (alex.network, VGGFeatures()):
        assert not any(p.requires_grad for p in network.parameters())
        assert not network.training


def test_vgg_without_its_weights_is_refused():
    with pytest.raises(UserError, match=r"not shipped \(59 MB\); write it with recipes/lpips/convert.py --vgg16"):
        LPIPS(net="vgg")


def test_a_trunk_that_does_not_fit_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"0.weight": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match=r"x.safetensors: 0.bias is missing or too many"):
        lpips_network("alex", tmp_path / "x.safetensors")


def test_tlpips_is_the_difference_of_the_changes(alex):
    a, b, c = (example(name) for name in ("ref", "p0", "p1"))
    expected = abs(0.7219 - 0.1376)  # the truth changes to p1, the prediction to p0
    score = TLPIPS()(torch.cat([a, b], dim=1), torch.cat([a, c], dim=1))
    assert score.item() == pytest.approx(expected, abs=1e-4)


def test_tlpips_of_a_video_that_changes_as_its_truth_is_0():
    clip = torch.cat([example("ref"), example("p1")], dim=1)
    assert TLPIPS()(clip, clip).item() == 0
    assert TLPIPS()(clip.flip(1), clip).item() == pytest.approx(0, abs=1e-6)
