import huggingface_hub
import pytest


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder of the Hub's cache as `hf_hub_download` leaves it, for ``lab/upscaler`` at revision ``v1``."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    repository = tmp_path / "hub" / "models--lab--upscaler"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "v1").write_text("0" * 40)
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    return snapshot
