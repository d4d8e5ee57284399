from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from tests.clips import SAMPLE, cut, write_folder, write_video
from vsr_adapter.errors import UserError
from vsr_adapter.video.find import find_videos, frame_files
from vsr_adapter.video.index import probe
from vsr_adapter.video.read import read_frames


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """30 frames with B-frames and a keyframe every 12."""
    return write_video(tmp_path_factory.mktemp("io") / "b frames.mp4", cut(0, 30), Fraction(30000, 1001))


def test_the_sample_is_what_its_readme_says():
    assert probe(SAMPLE)[1:] == (32, 320, 256, 10)
    assert SAMPLE.stat().st_size < 2_000_000


def test_probe_counts_without_decoding(video):
    info = probe(video)
    assert (info.frames, info.width, info.height, info.rate) == (30, 64, 64, Fraction(30000, 1001))


def test_every_seek_gives_the_frames_of_sequential_decoding(video):
    everything = list(read_frames(video))
    assert len(everything) == 30
    for start in range(30):
        count = min(3, 30 - start)
        for offset, frame in enumerate(read_frames(video, start, count)):
            assert np.array_equal(frame, everything[start + offset]), start


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("x.ts", "libx264"),
        ("x.mkv", "libx264"),
        ("x.mpg", "mpeg2video"),
        ("x.avi", "libx264"),
        ("x.webm", "libvpx-vp9"),
    ],
)
def test_seeking_is_exact_in_every_container(tmp_path, name, codec):
    """MPEG-TS may not seek to its front, AVI guesses times wrongly after a seek: measured, with libav 8."""
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "12", "bf": "2"} if codec != "libvpx-vp9" else {})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in cut(0, 30):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    everything = list(read_frames(tmp_path / name))
    assert len(everything) == probe(tmp_path / name).frames == 30
    for start in range(30):
        assert np.array_equal(next(read_frames(tmp_path / name, start, 1)), everything[start]), start


def test_frames_are_what_was_written(video):
    for frame, written in zip(read_frames(video), cut(0, 30), strict=True):
        assert np.abs(frame.astype(int) - written).mean() < 2


def test_reading_does_not_darken(tmp_path):
    frames = cut(0, 6)
    with av.open(str(tmp_path / "x.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    bias = np.stack(list(read_frames(tmp_path / "x.mp4"))).astype(int) - np.stack(frames)
    assert np.abs(bias.mean((0, 1, 2))).max() < 0.5


def test_avi_without_presentation_times_is_read_in_order(tmp_path):
    path = tmp_path / "old.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 64))
    for frame in cut(0, 10):
        writer.write(frame[..., ::-1])
    writer.release()
    everything = list(read_frames(path))
    assert len(everything) == probe(path).frames == 10
    assert np.array_equal(next(read_frames(path, 7, 1)), everything[7])


def test_names_of_equal_numbers_have_a_fixed_order(tmp_path):
    for name in ("1.png", "001.png", "01.png", "2.png"):
        cv2.imwrite(str(tmp_path / name), cut(0, 1)[0])
    assert [path.name for path in frame_files(tmp_path)] == ["001.png", "01.png", "1.png", "2.png"]


def test_a_text_is_no_video_though_ffmpeg_would_paint_it(tmp_path):
    (tmp_path / "notes.txt").write_text("this is no video\n" * 50)
    with pytest.raises(UserError, match="is a text"):
        probe(tmp_path / "notes.txt")


def test_a_folder_of_frames_is_read_in_natural_order(tmp_path):
    frames = cut(0, 12)
    for i, frame in enumerate(frames):
        cv2.imwrite(str(tmp_path / f"frame{i}.png"), frame[..., ::-1])
    assert probe(tmp_path).frames == 12
    assert all(np.array_equal(a, b) for a, b in zip(read_frames(tmp_path), frames, strict=True))
    assert np.array_equal(next(read_frames(tmp_path, 10, 1)), frames[10])


@pytest.mark.parametrize("kind", ["16 bit", "grey", "alpha", "palette"])
def test_other_pngs_become_8_bit_rgb(tmp_path, kind):
    rgb = cut(0, 1)[0]
    image = {
        "16 bit": rgb[..., ::-1].astype(np.uint16) * 257,
        "grey": cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY),
        "alpha": cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA),
        "palette": rgb[..., ::-1] // 128 * 128,
    }[kind]
    cv2.imwrite(str(tmp_path / "0.png"), image)
    frame = next(read_frames(tmp_path))
    assert frame.shape == rgb.shape
    assert frame.dtype == np.uint8
    if kind in ("16 bit", "alpha"):
        assert np.array_equal(frame, rgb)


def test_videos_are_found_in_a_fixed_order(tmp_path):
    write_video(tmp_path / "b.mp4", cut(0, 2))
    write_video(tmp_path / "deep" / "a.mkv", cut(0, 2))
    write_folder(tmp_path / "frames", cut(0, 2))
    (tmp_path / ".hidden").mkdir()
    write_video(tmp_path / ".hidden" / "x.mp4", cut(0, 2))
    (tmp_path / "notes.txt").write_text("no video")
    assert [path.relative_to(tmp_path).as_posix() for path in find_videos(tmp_path)] == [
        "b.mp4",
        "deep/a.mkv",
        "frames",
    ]
    assert find_videos(tmp_path / "b.mp4") == [tmp_path / "b.mp4"]
    assert find_videos(tmp_path / "frames") == [tmp_path / "frames"]


def make_bad(tmp_path, kind):
    path = tmp_path / "bad.mp4"
    if kind == "empty":
        path.touch()
    elif kind == "text":
        path.write_text("this is no video\n" * 50)
    elif kind == "truncated":
        whole = write_video(tmp_path / "whole.mp4", cut(0, 8)).read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
    elif kind == "audio":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            audio = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
            audio.sample_rate = 44100
            container.mux(stream.encode(audio))
            container.mux(stream.encode(None))
    elif kind == "no images":
        path = tmp_path / "folder"
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file or folder; check the path"),
        ("empty", r"is empty \(0 bytes\); copy it again"),
        ("text", "cannot be read as a video"),
        ("truncated", "cannot be read as a video"),
        ("audio", "has no video stream"),
        ("no images", "holds no image; frames end in"),
    ],
)
def test_what_is_no_video_is_refused_in_one_line(tmp_path, kind, message):
    path = make_bad(tmp_path, kind)
    with pytest.raises(UserError, match=message) as error:
        probe(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_damage_in_the_middle_is_an_error_and_not_a_shorter_video(tmp_path):
    path = write_video(tmp_path / "x.mp4", cut(0, 24))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4000] = bytes(4000)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged|truncated"):
        assert len(list(read_frames(path))) == 24, "silently shorter"


def test_frames_of_changing_size_are_refused(tmp_path):
    write_folder(tmp_path / "f", cut(0, 2))
    cv2.imwrite(str(tmp_path / "f" / "00000002.png"), np.zeros((32, 64, 3), np.uint8))
    with pytest.raises(UserError, match="frame 2 is 64x32, the first was 64x64"):
        list(read_frames(tmp_path / "f"))


def test_more_frames_than_there_are_cannot_be_asked_for(video):
    with pytest.raises(UserError, match="frames 25 to 35 asked for, it has 30"):
        list(read_frames(video, 25, 10))
