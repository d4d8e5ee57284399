import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported; retries would take half a minute


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Tests run in an empty folder: what the program writes into the current one must not land in the checkout."""
    monkeypatch.chdir(tmp_path)
