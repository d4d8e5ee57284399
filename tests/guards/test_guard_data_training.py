"""The order of training clips, how they are loaded and shared out, and what makes their low-resolution twins."""

import multiprocessing

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.clips import write_folder
from tests.guards.table import guards
from tests.guards.watch import (
    PLAIN,
    bicubic,
    images,
    lows,
    place,
    tensor,
    train,
    truths,
    validate,
    watched,
    write_set,
)
from vsr_adapter.cli import main
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.data.degradations import BlurDown, DUFBlurDown, RealWorld

SHORT = ["--data.frames=3", "--model.adapter.frames=3"]


@guards("data.seed")
def test_the_order_of_clips_follows_the_seed_and_the_epoch(tmp_path):
    sources = write_set(tmp_path, count=4, frames=3)
    orders = {}
    for run, seed in (("one", 1), ("two", 9), ("again", 1)):
        with truths() as seen:
            assert train(tmp_path, f"--data.seed={seed}", *SHORT, "--trainer.max_epochs=2") == 0
        names = [place(clip, sources)[0] for clip in seen]
        orders[run] = (tuple(names[:4]), tuple(names[4:]))
    for epochs in orders.values():
        assert all(sorted(epoch) == sorted(sources) for epoch in epochs)
    assert orders["one"] == orders["again"]
    assert len({*orders["one"], *orders["two"]}) == 4, "each epoch and each seed has an order of its own"


@guards("data.degradation", "data.degradation=RealWorld")
def test_a_degradation_is_drawn_by_seed_clip_and_epoch(tmp_path):
    (frames,) = write_set(tmp_path).values()
    more = ["--data.degradation=vsr_adapter.data.degradations.RealWorld", "--data.seed=5"]
    with lows() as seen:
        assert train(tmp_path, *more, "--trainer.max_epochs=2") == 0
        assert validate(tmp_path, *more) == 0
    for low, epoch in zip(seen, (0, 1, 0), strict=True):
        expected = images(RealWorld()(tensor(frames), 4, (5, "clip00/00000000", epoch)))
        assert np.array_equal(low[0], expected), epoch
    assert not np.array_equal(seen[0], seen[1])


@pytest.mark.parametrize("kind", [BlurDown, DUFBlurDown])
@guards("data.degradation=Bicubic", "data.degradation=BlurDown", "data.degradation=DUFBlurDown")
def test_the_other_degradations_make_what_they_are_called(tmp_path, kind):
    (frames,) = write_set(tmp_path).values()
    with lows() as seen:
        assert validate(tmp_path, f"--data.degradation=vsr_adapter.data.degradations.{kind.__name__}") == 0
    assert np.array_equal(seen[0][0], images(kind()(tensor(frames), 4)))
    assert not np.array_equal(seen[0][0], bicubic(frames)), "which None makes"


@guards("data.origin")
def test_the_origin_chooses_among_the_twins_of_a_set(tmp_path):
    """None takes the set's default, BD in UDM10; a degradation makes them all the same."""
    root = tmp_path / "UDM10"
    (frames,) = write_set(root / "GT").values()
    made = bicubic(frames)
    twins = {"BI": made & 0xF0, "BD": made & 0xE0}
    for origin, twin in twins.items():
        write_folder(root / f"{origin}x4" / "clip00", list(twin))
    degraded = "--data.degradation=vsr_adapter.data.degradations.Bicubic"
    cases = {"null": twins["BD"], "BI": twins["BI"], "made": made}
    with lows() as seen:
        for origin in cases:
            assert validate(root, f"--data.origin={origin}") == 0
        assert train(root, degraded) == 0
    for low, expected in zip(seen, [*cases.values(), made], strict=True):
        assert np.array_equal(low[0], expected)


@guards("data.train_weights")
def test_an_epoch_is_shared_out_by_the_weights(tmp_path):
    few, many = write_set(tmp_path / "few", 2, 3), write_set(tmp_path / "many", 6, 3, first=2)
    both = f"[{tmp_path / 'few'},{tmp_path / 'many'}]"
    for weights, shares in (("[3,1]", (6, 2)), ("[1,3]", (2, 6))):
        with truths() as seen:
            assert train(both, *SHORT, f"--data.train_weights={weights}") == 0
        names = [place(clip, few | many)[0] for clip in seen]
        assert (sum(name in few for name in names), sum(name in many for name in names)) == shares
        assert {names.count(name) for name in few} == {shares[0] // 2}, "each as often as the other"


@guards("data.num_workers")
def test_as_many_processes_decode_as_is_said(tmp_path):
    write_set(tmp_path, 2, 3)
    for workers in (0, 2):
        with watched(FrozenViT, lambda video: len(multiprocessing.active_children())) as seen:
            assert train(tmp_path, *SHORT, f"--data.num_workers={workers}") == 0
        assert set(seen) == {workers}


@guards("SampleStrips.clips", "SampleStrips.every_n_epochs")
def test_strips_are_of_so_many_clips_and_every_so_many_epochs(tmp_path):
    sources = write_set(tmp_path / "in", 3, 3)
    settings = "{class_path: vsr_adapter.callbacks.SampleStrips, init_args: {clips: 2, every_n_epochs: 2}}"
    data = [f"--data.train={tmp_path / 'in'}", f"--data.val={tmp_path / 'in'}", *SHORT]
    run = [f"--trainer.default_root_dir={tmp_path / 'out'}", "--trainer.logger=true", "--trainer.max_epochs=4"]
    assert main(["fit", "--config=tiny.yaml", *PLAIN, *data, *run, f"--trainer.callbacks=[{settings}]"]) == 0
    events = EventAccumulator(str(next((tmp_path / "out" / "lightning_logs").iterdir())))
    events.Reload()
    assert events.Tags()["images"] == ["val/clip00/00000000", "val/clip01/00000000"]
    for name, tag in zip(sources, events.Tags()["images"], strict=False):
        strips = events.Images(tag)
        assert [strip.step for strip in strips] == [3, 9], "after epochs 0 and 2, of three steps each"
        picture = torch.frombuffer(bytearray(strips[0].encoded_image_string), dtype=torch.uint8).numpy()
        image = cv2.imdecode(picture, cv2.IMREAD_COLOR)[..., ::-1]
        assert np.array_equal(image[:, -32:], sources[name][1]), "the truth stands at the right"
