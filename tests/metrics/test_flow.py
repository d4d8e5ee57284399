import pytest
import torch
from torchvision.models.optical_flow import raft_large

from tests.clips import cut
from vsr_adapter.errors import UserError
from vsr_adapter.metrics import DIS, RAFT, Farneback, WarpError

PICTURE = torch.from_numpy(cut(0, 1, height=64, width=80)[0]).permute(2, 0, 1) / 255
FIRST, SECOND = PICTURE[:, 8:56, 8:72], PICTURE[:, 7:55, 5:69]  # the second shows all 3 pixels right of, 1 below


@pytest.mark.parametrize("flow", [DIS(), DIS("fast"), DIS("ultrafast"), Farneback()], ids=lambda flow: flow.name)
def test_a_shift_is_found_with_its_sign(flow):
    motion = flow(FIRST, SECOND)
    assert motion.shape == (2, 48, 64)
    middle = motion[:, 12:-12, 12:-12].flatten(1).median(dim=1).values
    torch.testing.assert_close(middle, torch.tensor([3.0, 1.0], dtype=torch.float64), atol=0.3, rtol=0)


def test_the_preset_is_in_the_name():
    assert [DIS(preset).name for preset in ("medium", "fast")] == ["DIS", "DIS-fast"]


def test_raft_without_weights_is_refused_and_nothing_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    message = (
        r"checkpoints/raft_large_\S+.pth: RAFT's weights are not there; put https://\S+ there, or use the flow DIS"
    )
    with pytest.raises(UserError, match=message):
        RAFT()
    assert not list(tmp_path.rglob("*.pth"))


def test_raft_runs_from_a_file_on_any_size(tmp_path):
    torch.manual_seed(0)
    torch.save(raft_large().state_dict(), tmp_path / "raft.pth")
    metric = WarpError(RAFT(tmp_path / "raft.pth", updates=1))
    assert metric.label == "E_warp[RAFT] x1000"
    assert metric.flow(FIRST[:, :21], SECOND[:, :21]).shape == (2, 21, 64)
