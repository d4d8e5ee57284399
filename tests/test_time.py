"""A backbone whose latent frames stand for several frames, through the doors: lengths, windows, noise, resume."""

import json
import re
import warnings
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.clips import cut, real_clips, write_video
from tests.predict import LOSSLESS
from tests.stacks import backbone, loss, model
from vsr_adapter import Restorer
from vsr_adapter.backbones import Backbone, VAECapabilities
from vsr_adapter.cli import main
from vsr_adapter.errors import UserError
from vsr_adapter.inference import streaming
from vsr_adapter.inference.memory import activations
from vsr_adapter.inference.sample import sample
from vsr_adapter.inference.streaming import upscale_stream, upscale_stretch
from vsr_adapter.jobs import run
from vsr_adapter.jobs.job import plan_stretches
from vsr_adapter.resize import bicubic_downscale
from vsr_adapter.sampling import Tiling
from vsr_adapter.seeds import NoiseField
from vsr_adapter.types import Clip
from vsr_adapter.video.read import read_frames

pytestmark = pytest.mark.filterwarnings("ignore:model.sampling. window 9:UserWarning")


@pytest.fixture(scope="module")
def stack():
    stack = model("tiny_wan", window=9, overlap=1)
    stack.sampler.steps = 1
    return stack


def test_what_is_left_open_goes_up_to_what_fits_and_is_said_once():
    with pytest.warns(UserWarning, match="window 9 in place of 8, overlap 5 in place of 2") as said:
        stack = model("tiny_wan")
    assert len([one for one in said if "in place of" in str(one.message)]) == 1
    assert (stack.window, stack.overlap) == (9, 5)
    assert (stack.sampling.window, stack.sampling.overlap) == (9, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert (model().window, model().overlap) == (8, 2)
        assert model("tiny_wan", window=5, overlap=1).window == 5


def test_only_the_first_process_says_it(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert model("tiny_wan").window == 9


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--model.sampling.window=8", "window 8: this backbone takes 1 + k * 4 frames; pass 5 or 9"),
        ("--model.sampling.overlap=2", "overlap 2: windows of 9 frames must begin at multiples of 4; pass 1 or 5"),
        ("--data.frames=14", "data.frames 14: this backbone takes 1 + k * 4 frames; pass 13 or 17"),
    ],
)
def test_what_is_set_and_does_not_fit_is_refused_with_the_nearest_two(option, said, tmp_path, capsys):
    assert main(["validate", "--config=tiny_wan.yaml", f"--data.val={tmp_path}", option]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.count("vsr: error") == 1


FIT = ["--trainer.logger=false", "--trainer.enable_progress_bar=false", "--trainer.num_sanity_val_steps=0"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    real_clips(folder, 3, frames=9, size=32)
    return folder


def fit(clips, *more):
    return main(
        ["fit", "--config=tiny_wan.yaml", f"--data.train={clips}", f"--data.val={clips}", "--data.size=32", *FIT, *more]
    )


def kept(folder):
    """Checkpoints of every step, and the last."""
    settings = {"dirpath": str(folder), "save_last": True, "every_n_train_steps": 1, "save_top_k": -1}
    settings |= {"filename": "step{step}", "auto_insert_metric_name": False}
    one = {"class_path": "lightning.pytorch.callbacks.ModelCheckpoint", "init_args": settings}
    return f"--trainer.callbacks={json.dumps([one])}"


def test_a_fit_takes_clips_that_fit_and_resumes_to_the_same_bits(clips, tmp_path):
    with pytest.warns(UserWarning, match="data.frames: 9 in place of 8"):
        assert fit(clips, kept(tmp_path / "whole"), "--trainer.max_epochs=1") == 0
    start = tmp_path / "whole" / "step1.ckpt"
    assert fit(clips, kept(tmp_path / "again"), "--trainer.max_epochs=1", f"--ckpt_path={start}") == 0
    whole, again = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "again"))
    first = torch.load(start, weights_only=True)
    assert (first["global_step"], whole["global_step"]) == (1, 3)
    assert all(torch.equal(again["state_dict"][key], value) for key, value in whole["state_dict"].items())
    assert any(not torch.equal(first["state_dict"][key], value) for key, value in whole["state_dict"].items())


def test_the_loss_is_that_of_the_flow_and_the_network_is_told_the_schedulers_time(stack):
    told = []
    network = stack.backbone.unet.network
    handle = network.register_forward_pre_hook(
        lambda module, args, kwargs: told.append((args or tuple(kwargs.values()))[:2]), with_kwargs=True
    )
    hr = torch.rand(3, 9, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    try:
        found = loss(stack, Clip(bicubic_downscale(hr), hr, ["a", "b", "c"]), ("val",))
    finally:
        handle.remove()
    z_t, times = told[0]
    z_0 = stack.backbone.encode(hr)
    assert ((times > 0) & (times <= 1000)).all()
    assert (times != times.round()).any(), "a flow's times need not be whole"
    sigma = (times / 1000).view(-1, 1, 1, 1, 1)
    noise = (z_t - (1 - sigma) * z_0) / sigma
    assert abs(noise.mean()) < 0.1
    assert abs(noise.std() - 1) < 0.1
    with torch.no_grad():
        flow = network(z_t, times, stack.tokens(bicubic_downscale(hr))).sample
    implied = z_t + (1 - sigma) * flow
    torch.testing.assert_close(found, (implied - noise).square().flatten(1).mean(1), atol=1e-3, rtol=1e-3)


def test_a_clip_that_does_not_fit_is_refused_and_not_cut(stack):
    for frames in (2, 8):
        with pytest.raises(UserError, match=rf"frames {frames}: this backbone takes 1 \+ k \* 4 frames; pass"):
            sample(stack, torch.rand(1, frames, 3, 8, 8), [NoiseField((0,), range(frames))])


@pytest.fixture
def nearest(stack, monkeypatch):
    """Makes the sampler transparent, and keeps the first frames of windows."""
    starts = []

    def transparent(model, lr, fields):
        assert lr.shape[1] == model.window == 9
        starts.append(fields[0].frames[0])
        return lr.repeat_interleave(4, -1).repeat_interleave(4, -2)

    monkeypatch.setattr(streaming, "sample", transparent)
    return stack, starts


@pytest.mark.parametrize("frames", range(1, 41))
def test_every_frame_comes_back_once_and_in_place(nearest, frames):
    stack, starts = nearest
    video = [*cut(0, 32, height=8, width=8), *cut(0, 8, height=8, width=8)][:frames]
    restored = list(upscale_stream(stack, iter(video)))
    assert len(restored) == frames
    assert all(np.array_equal(a, b.repeat(4, 0).repeat(4, 1)) for a, b in zip(restored, video, strict=True))
    assert all(start % 4 == 0 for start in starts)
    assert all(a < b for a, b in pairwise(starts))


@pytest.mark.parametrize("frames", [1, 2, 5, 8, 9, 10, 12, 13, 26])
def test_the_network_gives_as_many_frames_as_it_got(stack, frames):
    restored = list(upscale_stream(stack, cut(0, frames, height=8, width=6)))
    assert [frame.shape for frame in restored] == [(32, 24, 3)] * frames


def test_the_last_frame_fills_up_the_last_window(stack):
    """Ten frames are those and six like the last: the window [4, 13) is of the grid, the one that ends at 10 is not."""
    video = cut(0, 10, height=8, width=8)
    longer = [*video, *[video[-1]] * 3]
    short, long = (list(upscale_stream(stack, frames)) for frames in (video, longer))
    assert all(np.array_equal(a, b) for a, b in zip(short, long, strict=False))


def test_windows_that_overlap_begin_with_the_same_noise(stack):
    """Law: latent j of a window that begins at s is named by frame s + 4 j, the last that it covers."""
    shape = (4, 2, 2)
    first, second = NoiseField((0,), range(9)), NoiseField((0,), range(4, 13))
    assert torch.equal(first("start", shape, length=3)[1:], second("start", shape, length=3)[:2])
    assert torch.equal(first("start", shape, length=3), first("start", shape)[[0, 4, 8]])
    assert torch.equal(first("start", shape, length=1), first("start", shape)[:1])
    seen = []
    handle = stack.backbone.unet.network.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(args[0]), with_kwargs=True
    )
    try:
        list(upscale_stream(stack, cut(0, 17, height=8, width=8)))
    finally:
        handle.remove()
    assert [z.shape[2] for z in seen] == [3, 3]
    assert torch.equal(seen[0][:, :, 2], seen[1][:, :, 0])


@pytest.mark.parametrize(("each", "cuts"), [(1, []), (2, []), (1, [7])])
def test_a_video_in_stretches_is_the_whole(stack, each, cuts):
    video = [frame.astype(np.float32) / 255 for frame in cut(0, 18, height=8, width=8)]
    tiles = Tiling(16, 4)
    (whole,) = plan_stretches(0, 18, cuts, 9, 1, 99, stack.time)
    expected = list(upscale_stretch(stack, video, whole.windows, 0, 18, tiles))
    parts = plan_stretches(0, 18, cuts, 9, 1, each, stack.time)
    assert len(parts) > 1
    scene = max([0, *cuts])
    assert all((window.start - (scene if window.start >= scene else 0)) % 4 == 0 for window in whole.windows)
    got = [
        frame
        for one in parts
        for frame in upscale_stretch(stack, video[one.windows[0].start :], one.windows, one.begin, one.end, tiles)
    ]
    assert len(got) == 18
    assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))


WAN = {"sampling__sampler__steps": 2, "sampling__window": 5, "sampling__overlap": 1}


def test_tiles_are_sampled_alone_or_jointly():
    frames = cut(0, 5, height=20, width=28)
    torch.manual_seed(0)
    made = {
        mode: np.stack(list(Restorer.from_config("tiny_wan.yaml", **WAN, sampling__tiles__mode=mode).restore(frames)))
        for mode in ("blend", "joint")
    }
    assert {video.shape for video in made.values()} == {(5, 80, 112, 3)}
    assert not np.array_equal(made["blend"], made["joint"])
    one_tile = [
        np.stack(list(Restorer(model("tiny_wan", tiles=Tiling(32, 4, mode=mode), window=5, overlap=1)).restore(frames)))
        for mode in ("blend", "joint")
    ]
    assert np.array_equal(*one_tile), "where one tile suffices there is nothing to join"


def predicted(source, output, *more):
    options = ["--config=tiny_wan.yaml", "--steps=1", *LOSSLESS, "--input", str(source), "--output", str(output)]
    overlap = ["--model.sampling.overlap=1"]
    return main(["predict", *options, *overlap, "--data.predict.segment=1", *more])


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """28 frames: 4 windows, 4 segments."""
    return write_video(tmp_path_factory.mktemp("source") / "a.mp4", cut(0, 28, height=8, width=12))


def test_an_interrupted_run_goes_on_to_the_same_bits(source, tmp_path, monkeypatch, capsys):
    assert predicted(source, tmp_path / "whole", "--data.predict.segment=12", "--data.predict.estimate=true") == 0
    assert re.search(r"about [\d.]+ GB of memory", capsys.readouterr().out)
    with monkeypatch.context() as patch:
        compute = run.compute

        def dying(model, job, stretch, tick):
            if stretch.number == 2:
                raise RuntimeError("power failed")
            return compute(model, job, stretch, tick)

        patch.setattr(run, "compute", dying)
        assert predicted(source, tmp_path / "parts") == 1
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("parts/.vsr/*/[0-9]*.json")}
    assert len(stamps) >= 2
    assert predicted(source, tmp_path / "parts") == 0
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items() if "00002" not in path.name)
    whole, parts = (list(read_frames(tmp_path / name / "a.mkv")) for name in ("whole", "parts"))
    assert len(whole) == 28
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))


def test_memory_is_counted_and_the_cost_is_said(stack, capsys):
    small, large = (activations(stack, Tiling(side, 4), side, side) for side in (16, 24))
    assert small > 9 * 3 * 64 * 64 * 4, "the decoded window is among them"
    assert large > small
    assert main(["info", "--config=tiny_wan.yaml", "--size=16"]) == 0
    said = capsys.readouterr().out
    assert "f8, 4 frames to a latent one" in said
    assert "9 frames 16x16 -> 64x64" in said
    assert main(["info", "--config=tiny_wan.yaml", "--size=16", "--frames=8"]) == 1
    assert "frames 8: this backbone takes 1 + k * 4 frames; pass 5 or 9" in capsys.readouterr().err


def test_parts_that_need_the_clip_frame_by_frame_are_refused_with_such_a_vae():
    wan, upscale = backbone("tiny_wan"), backbone("tiny_upscale_sft")
    with pytest.raises(UserError, match="UpscaleUNetPart takes the low-resolution clip frame by frame, WanVAE makes"):
        Backbone(upscale.unet, wan.vae)
    coarse = VAECapabilities(4, 4, temporal_factor=4, length_step=4, needs_low_res=True)
    vae = type("Coarse", (type(upscale.vae),), {"capabilities": coarse})(config={"condition_img": True})
    with pytest.raises(UserError, match="Coarse takes the low-resolution clip frame by frame, Coarse makes"):
        Backbone(wan.unet, vae)


def test_a_network_without_blocks_has_nothing_to_checkpoint():
    parts = backbone()
    parts.gradient_checkpointing = True
    parts.unet.load()
    parts.unet.network = torch.nn.Linear(2, 2)
    with pytest.raises(
        UserError, match=r"gradient_checkpointing true: Linear has none of down_blocks.* set it to false"
    ):
        parts.load()


def test_a_vae_that_gives_another_length_than_it_states_is_our_bug(stack, monkeypatch):
    vae = stack.backbone.vae
    decode = vae.decode
    monkeypatch.setattr(vae, "decode", lambda z, low_res=None: decode(z)[:, 1:])
    with pytest.raises(AssertionError, match="WanVAE: 8 frames, stated 9"):
        stack.backbone.decode(torch.randn(1, 4, 3, 4, 4))
