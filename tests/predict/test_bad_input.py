"""What users really have: damaged, odd and hostile files, in one process through `main()`."""

import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.clips import cut, write_folder, write_video
from tests.predict import predict
from tests.video.rich import add_audio, rich_video
from vsr_adapter.video import images
from vsr_adapter.video.index import index, probe


def one_line(capsys) -> str:
    """The only error of a run."""
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("vsr: error: ")]
    assert len(errors) == 1, errors
    return errors[0]


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        container.mux(add_audio(container, "aac", 0.2))
    return path


def truncated(path: Path) -> Path:
    whole = write_video(path, cut(0, 8, height=8, width=8)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def damaged(path: Path) -> Path:
    """Two packets of zeros in the middle."""
    write_video(path, cut(0, 24, height=32, width=32), bframes=0)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size][14:16]
        places = [(packet.pos, packet.size) for packet in packets]
    for start, size in places:
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


def growing(path: Path) -> Path:
    """A stream whose size changes, as broadcasts have it."""
    codec = [write_video(path.with_name(f"{i}.ts"), cut(0, 3, height=32 * i, width=64)) for i in (1, 2)]
    path.write_bytes(b"".join(part.read_bytes() for part in codec))
    for part in codec:
        part.unlink()
    return path


REFUSED = [
    ("empty.mp4", lambda path: path.touch(), "is empty (0 bytes); copy it again"),
    ("text.mp4", lambda path: path.write_text("no video\n" * 99), "cannot be read as a video"),
    ("truncated.mp4", truncated, "cannot be read as a video"),
    ("sound.mp4", audio_only, "has no video stream"),
    ("list.m3u8", lambda path: path.write_text("#EXTM3U\n#EXTINF:1,\na.mp4\n"), "is a playlist"),
    ("list.mp4", lambda path: path.write_text("ffconcat version 1.0\nfile a.mp4\n"), "is a playlist"),
    ("session.sdp", lambda path: path.write_text("v=0\nm=video 1234 RTP/AVP 96\n"), "is a playlist"),
]


@pytest.mark.parametrize(("name", "make", "message"), REFUSED, ids=[case[0] for case in REFUSED])
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, capsys, name, make, message):
    make(tmp_path / name)
    assert predict("--input", tmp_path / name, "--output", tmp_path / "out") == 1
    line = one_line(capsys)
    assert message in line
    assert name in line


@pytest.mark.parametrize("name", ["http://example.org/a.mp4", "concat:a.mp4|b.mp4", "rtsp://camera/1", "pipe:0"])
def test_urls_and_protocols_are_no_files(tmp_path, capsys, name):
    assert predict("--input", name, "--output", tmp_path) == 2
    assert f"{name}: no such file or folder" in one_line(capsys)


def test_damage_in_the_middle_is_what_the_user_says(tmp_path, capsys):
    source = damaged(tmp_path / "a.mp4")
    run = ["--input", source, "--output", tmp_path / "out"]
    assert predict(*run) == 1
    assert "frame 14 of 24 cannot be decoded" in one_line(capsys)
    assert predict(*run, "--damaged", "repeat") == 0
    out = capsys.readouterr().out
    assert "damaged frames replaced by a neighbour: 14, 15" in out
    assert probe(tmp_path / "out" / "a.mp4").frames == 24
    assert predict("--input", source, "--output", tmp_path / "skip", "--damaged", "skip") == 0
    assert "damaged frames left out: 14, 15" in capsys.readouterr().out
    result, known = index(tmp_path / "skip" / "a.mp4"), index(source)
    kept = [time for number, time in enumerate(known.times) if number not in (14, 15)]
    assert [t * result.time_base for t in result.times] == [t * known.time_base for t in kept]


def test_a_changing_size_is_refused(tmp_path, capsys):
    growing(tmp_path / "a.ts")
    assert predict("--input", tmp_path / "a.ts", "--output", tmp_path / "out") == 1
    assert "frame 3 is 64x64, the first was 64x32; split it where the size changes" in one_line(capsys)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (7, 2)])
def test_tiny_and_odd_frames_come_out_x4(tmp_path, height, width):
    write_folder(tmp_path / "in", cut(0, 1, height=height, width=width))
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert probe(tmp_path / "out" / "in.mp4")[1:4] == (1, 4 * width, 4 * height)


@pytest.mark.parametrize("offset", [0, 90000, -4500])
def test_sound_times_and_tags_come_through(tmp_path, offset):
    source = rich_video(tmp_path / "a.mp4", frames=6, offset=offset, rotation=90, space=6, tags=6)
    assert predict("--input", source, "--output", tmp_path / "out") == 0
    result, known = index(tmp_path / "out" / "a.mp4"), index(source)
    assert result.look == known.look
    assert [t * result.time_base for t in result.times] == [t * known.time_base for t in known.times]
    with av.open(str(source)) as a, av.open(str(tmp_path / "out" / "a.mp4")) as b:
        sound = [[bytes(packet) for packet in file.demux(audio=0) if packet.size] for file in (a, b)]
        assert sound[0] == sound[1]


def test_sound_that_mp4_cannot_hold_makes_it_matroska_and_that_is_said(tmp_path, capsys):
    source = rich_video(tmp_path / "a.mkv", "tta", frames=3)
    assert predict("--input", source, "--output", tmp_path / "out") == 0
    assert "written as Matroska" in capsys.readouterr().out
    with av.open(str(tmp_path / "out" / "a.mkv")) as container:
        assert container.streams.audio[0].codec_context.name == "tta"
    assert predict("--input", source, "--output", tmp_path / "x.mp4") == 1
    assert "mp4 cannot hold the audio or subtitles" in one_line(capsys)


def test_ten_bits_alpha_and_grey_come_through(tmp_path):
    ten = rich_video(tmp_path / "ten.mp4", None, frames=2, pix_fmt="yuv420p10le")
    assert predict("--input", ten, "--output", tmp_path / "out") == 0
    assert index(tmp_path / "out" / "ten.mp4").look.depth == 10
    picture = cut(0, 1, height=8, width=8)[0]
    (tmp_path / "grey").mkdir()
    cv2.imwrite(str(tmp_path / "grey" / "0.png"), picture[..., 0])
    rgba = np.dstack([picture, np.full((8, 8), 77, np.uint8)])
    (tmp_path / "alpha").mkdir()
    images.write_png(tmp_path / "alpha" / "0.png", rgba)
    run = ["--input", tmp_path / "grey", tmp_path / "alpha", "--output", tmp_path / "png", "--output_format", "png16"]
    assert predict(*run) == 0
    result = images.read_pixels(tmp_path / "png" / "alpha" / "00000000.png")
    assert result.shape == (32, 32, 4)
    assert result.dtype == np.uint16
    assert abs(int(result[..., 3].mean()) - 77 * 257) < 300
    assert images.read_pixels(tmp_path / "png" / "grey" / "00000000.png").shape == (32, 32, 3)


def test_alpha_that_is_lost_is_said(tmp_path, capsys):
    (tmp_path / "alpha").mkdir()
    images.write_png(tmp_path / "alpha" / "0.png", np.full((8, 8, 4), 99, np.uint8))
    assert predict("--input", tmp_path / "alpha", "--output", tmp_path / "out") == 0
    assert "without alpha (x264 has none; --codec prores or ffv1 keeps it)" in capsys.readouterr().out


def test_a_gif_is_a_video(tmp_path):
    with av.open(str(tmp_path / "a.gif"), "w") as container:
        stream = container.add_stream("gif", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 16, 8, "rgb8"
        for frame in cut(0, 3, height=8, width=16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="rgb8")))
        container.mux(stream.encode(None))
    assert predict("--input", tmp_path / "a.gif", "--output", tmp_path / "out") == 0
    assert probe(tmp_path / "out" / "a.mp4")[1:4] == (3, 64, 32)


NAMES = ["a b.mp4", 'it\'s "quoted".mp4', "two\nlines.mp4", "-dash.mp4", "ünï.mp4", os.fsdecode(b"\xff\xfe.mp4")]


def test_names_that_hurt_come_through(tmp_path, capsys):
    for name in NAMES:
        write_video(tmp_path / "plain.mp4", cut(0, 1, height=8, width=8)).rename(tmp_path / name)
    (tmp_path / "in").mkdir()
    for name in NAMES:
        (tmp_path / name).rename(tmp_path / "in" / name)
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    found = {path.name for path in (tmp_path / "out").iterdir() if path.name != ".vsr"}
    assert found == set(NAMES)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path, capsys):
    write_video(tmp_path / "secret" / "b.mp4", cut(0, 1, height=8, width=8))
    write_video(tmp_path / "in" / "a.mp4", cut(0, 1, height=8, width=8))
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "secret" / "b.mp4")
    (tmp_path / "in" / "folder").symlink_to(tmp_path / "secret")
    with pytest.warns(UserWarning, match=r"link.mp4: leads out of .*; name its target"):
        assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").glob("*.mp4")] == ["a.mp4"]


def test_the_input_is_never_the_output(tmp_path, capsys):
    source = write_video(tmp_path / "a.mp4", cut(0, 1, height=8, width=8))
    before = source.read_bytes()
    for output in (tmp_path, source):
        assert predict("--input", source, "--output", output, "--overwrite") == 1
        assert "is the input, and would be replaced" in one_line(capsys)
    assert predict("--input", tmp_path, "--output", tmp_path, "--overwrite") == 1
    assert "is the input folder; name another one" in one_line(capsys)
    assert source.read_bytes() == before


def test_names_that_clash_are_told_apart(tmp_path):
    for name in ("a.mkv", "a.mp4"):
        write_video(tmp_path / "in" / name, cut(0, 1, height=8, width=8))
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").glob("*.mp4")) == ["a.mp4", "a.mp4.mp4"]


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path, capsys, monkeypatch):
    write_folder(tmp_path / "in", cut(0, 3, height=8, width=8))

    def full(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    assert predict("--input", tmp_path / "in", "--output", tmp_path / "out", "--output_format", "png") == 1
    assert "No space left on device; check permissions and free space" in one_line(capsys)
    assert not (tmp_path / "out" / "in").exists()
    assert not list((tmp_path / "out").rglob("*.png"))


def test_interlaced_video_is_said(tmp_path, capsys):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"x264-params": "interlaced=1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for frame in cut(0, 2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    assert predict("--input", tmp_path / "a.mp4", "--output", tmp_path / "out", "--frames", "1") == 0
    assert "interlaced: upscaled as whole frames" in capsys.readouterr().out
