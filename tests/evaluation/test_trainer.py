"""Tests and strips get what they need with their batches: nothing walks back up through the trainer."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import vsr_adapter
from tests.clips import real_clips
from vsr_adapter.cli import main
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.trials import Trials
from vsr_adapter.evaluation.pictures import strip
from vsr_adapter.inference.config import read_model
from vsr_adapter.inference.sample import sample
from vsr_adapter.seeds import NoiseField
from vsr_adapter.training.datamodule import ClipDataModule
from vsr_adapter.types import Clip

UPWARDS = re.compile(r"trainer\.(datamodule|lightning_module|\w+_dataloaders)")
ROOT = Path(vsr_adapter.__file__).parent
ROOMS = ["evaluation", "peers", "metrics", "data", "training/callbacks.py"]


@pytest.mark.parametrize("room", ROOMS)
def test_nothing_is_asked_of_the_trainer_above(room):
    files = [ROOT / room] if room.endswith(".py") else sorted((ROOT / room).rglob("*.py"))
    assert files
    assert not [path for path in files if UPWARDS.search(path.read_text())]


def test_a_test_step_asks_nothing_of_the_trainer_above():
    text = (ROOT / "training" / "module.py").read_text()
    assert "test_dataloaders" not in text
    assert "val_dataloaders" not in text


def test_trials_come_one_by_one_from_other_processes_too(tmp_path):
    clips = real_clips(tmp_path, 2)
    data = ClipDataModule(test=clips, size=64, num_workers=1, batch_size=3)
    (loader,) = data.test_dataloader()
    found, expected = list(loader), Trials(ClipDataset(clips, size=64))
    assert len(found) == len(expected) == 2
    for trial, one in zip(found, (expected[0], expected[1]), strict=True):
        assert type(trial) is type(one)
        assert torch.equal(trial.truth, one.truth)
        assert torch.equal(trial.ask.lr, one.ask.lr)
        assert trial.ask[1:] == one.ask[1:]
        assert trial[2:] == one[2:]


def test_strips_are_of_the_first_clips_whatever_the_batch(tmp_path):
    clips = real_clips(tmp_path / "clips", 3)
    callback = "{class_path: vsr_adapter.callbacks.SampleStrips, init_args: {clips: 2}}"
    more = ["--trainer.max_epochs=1", "--trainer.limit_train_batches=1", "--trainer.enable_progress_bar=false"]
    more += [f"--trainer.default_root_dir={tmp_path / 'out'}", "--data.batch_size=2"]
    more += ["--model.optimizer.init_args.lr=0"]  # the adapter stays the one that is drawn
    data = [f"--data.train={clips}", f"--data.val={clips}", f"--trainer.callbacks=[{callback}]"]
    assert main(["fit", "--config=tiny.yaml", *data, *more]) == 0
    events = EventAccumulator(str(next((tmp_path / "out").rglob("events*")).parent)).Reload()
    assert sorted(events.Tags()["images"]) == ["val/clip00/00000000", "val/clip01/00000000"]
    dataset, model = ClipDataset(clips, size=64), read_model("tiny.yaml").load()
    for number in range(2):
        image = events.Images(f"val/clip0{number}/00000000")[0]
        lr, hr, name = dataset[number]
        output = sample(model, lr[None], [NoiseField((0, name), range(8))])
        expected = strip(Clip(lr[None], hr[None], [name]), output, 4)
        assert (image.height, image.width) == tuple(expected.shape[1:])
        shown = cv2.imdecode(np.frombuffer(image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1] / 255
        assert np.abs(shown - expected.permute(1, 2, 0).numpy()).max() < 0.01
