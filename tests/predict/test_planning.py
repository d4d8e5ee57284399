"""How a run is planned among its processes: before anything is computed, and with nothing handed up the trainer."""

import re
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook
from torch.utils._pytree import tree_leaves

import vsr_adapter
from tests.clips import cut, write_folder, write_video
from tests.predict import predict
from tests.predict.test_resume import SMALL_SEGMENTS, faulty, interrupt, never
from vsr_adapter.inference import memory
from vsr_adapter.jobs import plan, run
from vsr_adapter.training.datamodule import ClipDataModule, rest
from vsr_adapter.video import encode


@pytest.fixture
def events(monkeypatch):
    """What happened in a run, in order: units of work, passes of networks, pictures encoded."""
    found: list[str] = []

    def spy(module, name, event):
        whole = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **kwargs: found.append(event) or whole(*args, **kwargs))

    def passed(module, inputs, output):
        if any(isinstance(one, torch.Tensor) and not isinstance(one, FakeTensor) for one in tree_leaves(output)):
            found.append("network")

    spy(run, "complete", "unit")
    spy(encode, "video_frame", "picture")
    spy(cv2, "imencode", "picture")
    hook = register_module_forward_hook(passed)
    yield found
    hook.remove()


@pytest.mark.parametrize("how", [["--codec=x264", "--tile=16"], ["--output_format=png", "--tile=auto"]], ids="".join)
def test_no_network_runs_and_no_picture_is_encoded_before_the_first_unit(tmp_path, events, how, capsys, monkeypatch):
    monkeypatch.setattr(memory, "SIDES", (32,))  # what `auto` tries: the largest would be sampled here
    write_video(tmp_path / "in" / "a.mp4", cut(0, 9, height=16, width=24))
    write_folder(tmp_path / "in" / "b", cut(0, 3, height=8, width=8))
    events.clear()  # of writing the inputs
    more = ["--data.predict.estimate=true", "--data.predict.cuts=on", *how]
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out", *more) == 0
    assert "of memory, between " in capsys.readouterr().out
    assert events[0] == "unit"
    assert {"network", "picture"} <= set(events[1:])


def test_nothing_walks_up_through_the_trainer():
    """What a step needs is its argument."""
    up = re.compile(r"trainer\.(datamodule|lightning_module|\w+_dataloaders?)\b")
    files = list(Path(vsr_adapter.__file__).parent.rglob("*.py"))
    assert len(files) > 50
    assert [file for file in files if up.search(file.read_text())] == []


@pytest.mark.parametrize(("pieces", "processes"), [(0, 1), (0, 3), (1, 3), (3, 3), (7, 3), (5, 1)])
def test_every_piece_of_work_is_handed_out_once_and_no_process_goes_without(pieces, processes):
    work = [lambda model, number=number: number for number in range(pieces)]
    shares = []
    for rank in range(processes):
        data = ClipDataModule()
        data.trainer = SimpleNamespace(world_size=processes, global_rank=rank)
        data.work = lambda: work
        shares.append(list(data.predict_dataloader()))
        assert shares[-1], "Lightning has no process without a batch"
    done = [piece for share in shares for piece in share if piece is not rest]
    assert sorted(piece(None) for piece in done) == list(range(pieces))
    assert rest(None) is None


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_are_those_of_the_run(tmp_path, monkeypatch, threads):
    source = write_video(tmp_path / "a.mp4", cut(0, 2, height=8, width=8))
    before, seen, whole = torch.get_num_threads(), [], run.complete
    monkeypatch.setattr(run, "complete", lambda *args: seen.append(torch.get_num_threads()) or whole(*args))
    try:
        assert predict("--input", source, "--output", tmp_path / "out", f"--data.predict.threads={threads}") == 0
    finally:
        torch.set_num_threads(before)
    assert seen == [threads]


def test_what_an_earlier_version_left_is_met_as_other_settings_are(tmp_path, capsys, monkeypatch):
    """Its result is refused, its segments are named, and both go by what is offered."""
    write_video(tmp_path / "a.mp4", cut(0, 26, height=8, width=12))
    going = ["--input", tmp_path / "a.mp4", "--output", tmp_path / "out"]
    done = ["--input", tmp_path / "a.mp4", "--output", tmp_path / "done", *SMALL_SEGMENTS]
    with monkeypatch.context() as earlier:
        earlier.setattr(plan, "version", lambda name: "0.0.1")
        assert faulty(interrupt, *going) == 130
        assert predict(*done) == 0
    (old,) = (tmp_path / "out" / ".vsr").glob("a.mkv-*")
    assert predict(*done) == 1
    assert "exists (made with other settings, input or version); pass --overwrite" in capsys.readouterr().err
    assert predict(*done, "--overwrite") == 0
    assert "what was done before" not in capsys.readouterr().out, "of a finished job no segment is left"
    assert faulty(never, *going) == 0
    assert f"settings, input or version changed; what was done before is in {old} (--clean)" in capsys.readouterr().out
    assert faulty(never, *going, "--clean") == 0
    assert f"{old}: deleted" in capsys.readouterr().out
    assert not old.exists()
