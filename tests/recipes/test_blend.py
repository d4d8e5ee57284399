"""The mean of two sets of weights: its ends are the two, its middle the mean, and it overwrites nothing."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from recipes.mini.blend import blend
from vsr_adapter.errors import UserError


@pytest.fixture
def folders(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name / "unet").mkdir(parents=True)
        save_file({"w": torch.randn(3, 5).half(), "b": torch.randn(5)}, tmp_path / name / "unet" / "u.safetensors")
    (tmp_path / "first" / "unet" / "config.json").write_text("{}")
    return tmp_path


def test_its_ends_are_the_two_and_its_middle_the_mean(folders):
    read = {name: load_file(folders / name / "unet" / "u.safetensors") for name in ("first", "second")}
    mean = {key: (tensor.float() + read["second"][key].float()) / 2 for key, tensor in read["first"].items()}
    for share, expected in [(0.0, read["first"]), (0.5, mean), (1.0, read["second"])]:
        blend(folders / "first", folders / "second", share, folders / str(share))
        found = load_file(folders / str(share) / "unet" / "u.safetensors")
        assert {key: tensor.dtype for key, tensor in found.items()} == {"w": torch.float16, "b": torch.float32}
        for key, tensor in expected.items():
            torch.testing.assert_close(found[key].float(), tensor.float(), atol=1e-3 if key == "w" else 1e-6, rtol=0)
        assert (folders / str(share) / "unet" / "config.json").exists()


def test_what_cannot_be_blended_is_refused(folders):
    first, second = folders / "first", folders / "second"
    with pytest.raises(UserError, match=r"share 1.5: .* pass 0 to 1"):
        blend(first, second, 1.5, folders / "out")
    with pytest.raises(UserError, match=r"second: exists; weights are not overwritten"):
        blend(first, second, 0.5, second)
    save_file({"w": torch.zeros(3, 4)}, second / "unet" / "u.safetensors")
    with pytest.raises(UserError, match=r"other tensors than .*; both must be of the same network"):
        blend(first, second, 0.5, folders / "out")
    (second / "unet" / "u.safetensors").unlink()
    with pytest.raises(UserError, match=r"has no unet/u.safetensors"):
        blend(first, second, 0.5, folders / "out")
    assert not (folders / "out").exists()
