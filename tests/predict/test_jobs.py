"""The plan of a run: segments, names and hashes."""

from dataclasses import replace

import pytest

from tests.clips import cut, write_folder, write_video
from tests.stacks import model
from vsr_adapter.diffusion import Sampler
from vsr_adapter.errors import UserError
from vsr_adapter.jobs.job import plan_stretches
from vsr_adapter.jobs.options import PredictOptions
from vsr_adapter.jobs.plan import job_of, plan
from vsr_adapter.jobs.targets import Video, target_of, videos_of
from vsr_adapter.sampling import Tiling
from vsr_adapter.video.encode import Encoding


@pytest.mark.parametrize("frames", [1, 7, 8, 9, 50, 101])
@pytest.mark.parametrize("each", [1, 3, 12])
@pytest.mark.parametrize("cuts", [[], [1], [20, 33, 34]])
def test_segments_cover_the_frames_once_and_hold_all_windows_that_touch_them(frames, each, cuts):
    stretches = plan_stretches(5, 5 + frames, cuts, 8, 2, each)
    assert [n for s in stretches for n in range(s.begin, s.end)] == list(range(5, 5 + frames))
    everything = sorted({window for s in stretches for window in s.windows})
    inside = [cut for cut in cuts if 5 < cut < 5 + frames]
    for window in everything:
        assert window.stop - window.start <= 8
        assert not any(window.start < cut < window.stop for cut in inside), "a window with frames of two scenes"
    for stretch in stretches:
        assert stretch.windows == [w for w in everything if w.start < stretch.end and w.stop > stretch.begin]


def test_the_default_segment_computes_less_than_a_tenth_twice():
    stretches = plan_stretches(0, 3000, [], 8, 2, PredictOptions().segment)
    computed = sum(len(stretch.windows) for stretch in stretches)
    windows = len({window for stretch in stretches for window in stretch.windows})
    assert 1 < computed / windows < 1.1


@pytest.fixture(scope="module")
def stack():
    return model()


def job(stack, tmp_path, settings=None, options=None, **sampling):
    source = tmp_path / "a.mp4"
    if not source.exists():
        write_video(source, cut(0, 3, height=8, width=8))
    usual = stack.sampling
    stack.sampling = replace(usual, **sampling)
    try:
        return job_of(stack, Video(source, tmp_path / "out" / "a"), options or PredictOptions(), settings or {})
    finally:
        stack.sampling = usual


def test_what_decides_the_bits_names_the_folder_and_nothing_else_does(stack, tmp_path):
    base = job(stack, tmp_path)
    assert base.folder.parent == tmp_path / "out" / ".vsr"
    same = [job(stack, tmp_path), job(stack, tmp_path, options=PredictOptions(overwrite=True, quiet=True, clean=True))]
    assert all(other.folder == base.folder for other in same)
    others = [
        job(stack, tmp_path, settings={"precision": "bf16-mixed"}),
        job(stack, tmp_path, options=PredictOptions(threads=1)),
        job(stack, tmp_path, options=PredictOptions(segment=3)),
        job(stack, tmp_path, options=PredictOptions(encoding=Encoding(crf=20))),
        job(stack, tmp_path, options=PredictOptions(encoding=Encoding(threads=1))),
        job(stack, tmp_path, options=PredictOptions(frames=2)),
        job(stack, tmp_path, options=PredictOptions(height=16)),
        job(stack, tmp_path, tiles=Tiling(16, 4, 2)),
        job(stack, tmp_path, tiles=Tiling(24, 4)),
        job(stack, tmp_path, overlap=1),
        job(stack, tmp_path, seed=1),
        job(stack, tmp_path, guidance_scale=2.0),
        job(stack, tmp_path, sampler=Sampler(steps=3)),
    ]
    assert len({other.folder for other in [base, *others]}) == len(others) + 1
    write_video(tmp_path / "a.mp4", cut(1, 3, height=8, width=8))
    assert job(stack, tmp_path).folder != base.folder, "another input"


def test_one_video_may_have_its_own_file_name(tmp_path):
    write_video(tmp_path / "in" / "a.mp4", cut(0, 1, height=8, width=8))
    (video,) = videos_of([tmp_path / "in" / "a.mp4"], tmp_path / "x.mkv")
    assert target_of(video, Encoding())[0] == tmp_path / "x.mkv"
    write_video(tmp_path / "in" / "b.mp4", cut(0, 1, height=8, width=8))
    with pytest.raises(UserError, match="is one file, and there are 2 videos; name a folder"):
        videos_of([tmp_path / "in"], tmp_path / "x.mkv")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"format": "mp4", "codec": "ffv1"}, "MP4 has no place"),
        ({"format": "mov", "codec": "ffv1"}, "MOV has no place"),
        ({"crf": 60}, "lies in 0 to 51"),
        ({"depth": 9}, "x264 takes 8, 10"),
    ],
)
def test_encodings_that_do_not_exist_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        Encoding(**settings)


@pytest.mark.parametrize("name", ["segment", "frames", "height", "threads"])
def test_options_out_of_range_are_refused(name):
    with pytest.raises(UserError, match=f"{name} 0: at least 1"):
        PredictOptions(**{name: 0})


def test_a_frame_too_large_for_a_codec_is_refused_with_those_that_hold_it(stack, tmp_path):
    write_folder(tmp_path / "wide", [cut(0, 1)[0][:2].repeat(80, 1)])  # 5120 wide: 20480 out

    def planned(**options):
        return plan(stack, [tmp_path / "wide"], tmp_path / "out", PredictOptions(estimate=False, **options), {})

    (refused,) = planned().refused
    assert "20480x8: x264 holds sides up to 16384; pass --output_format png or --codec ffv1" in refused.error
    for encoding in (Encoding(codec="ffv1"), Encoding("png"), Encoding(codec="prores")):
        assert planned(encoding=encoding).jobs
    assert planned(height=4).jobs
