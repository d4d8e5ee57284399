import os

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"  # read when huggingface_hub is imported; retries would take half a minute


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Tests run in an empty folder: what the program writes into the current one must not land in the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """``train/``, six videos, and ``val/``, the first two of them: every epoch is validated."""
    from tests.clips import real_clips  # here, after the line above

    folder = tmp_path_factory.mktemp("clips")
    real_clips(folder / "train", 6)
    real_clips(folder / "val", 2)
    return folder
