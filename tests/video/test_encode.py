"""Encoding: what goes out is what came in, where the network changes nothing."""

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from tests.clips import cut
from tests.video.rich import rich_video
from vsr_adapter.errors import UserError
from vsr_adapter.video.encode import Encoding, open_encoder
from vsr_adapter.video.index import Look, index
from vsr_adapter.video.join import Segment, copied, decoding_times, join
from vsr_adapter.video.read import Frame, planes, read

RGBA = Look(rgb=True, alpha=True, full=True, halved=(False, False))


def codes(path):
    with av.open(str(path)) as container:
        return [np.concatenate([plane.ravel() for plane in planes(f)]).astype(int) for f in container.decode(video=0)]


def identity(source, folder, encoding, borders=(0, None)):
    """The segments of a network that changes nothing."""
    known = index(source)
    look, found = encoding.look(known.look), []
    stops = [known.info.frames if stop is None else stop for stop in borders]
    for number, (begin, end) in enumerate(pairwise(stops)):
        path = folder / f"{number}{encoding.segment_suffix}"
        size = known.info.width, known.info.height
        with open_encoder(path, begin, *size, known.info.rate, encoding, look) as encoder:
            for frame in read(source, begin, end - begin):
                encoder.write(frame)
        found.append(Segment(path, range(begin, end)))
    return found


@pytest.mark.parametrize("codec", ["x264", "ffv1"])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize(("space", "tags"), [(1, 1), (6, 6), (9, 9)])
@pytest.mark.parametrize("full", [False, True])
def test_an_identity_changes_no_code_and_no_tag(tmp_path, codec, pix_fmt, space, tags, full):
    look = {"pix_fmt": pix_fmt, "space": space, "tags": tags, "range": 2 if full else 1}
    source = rich_video(tmp_path / "a.mp4", None, frames=4, aspect=Fraction(1), **look)
    (segment,) = identity(source, tmp_path, Encoding(codec=codec, crf=0))
    before, after = index(source).look, index(segment.path).look
    assert after == before
    assert (after.space, after.primaries, after.full) == (space, tags, full)
    for ours, theirs in zip(codes(segment.path), codes(source), strict=True):
        if codec == "ffv1" or pix_fmt.endswith("p"):  # x264's crf 0 is lossless in 8 bits only
            assert np.array_equal(ours, theirs)
        else:
            assert np.abs(ours - theirs).mean() < 2


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov"])
@pytest.mark.parametrize("rotation", [0, 90, -90, 180])
def test_joining_keeps_times_sound_words_and_tags(tmp_path, container, rotation):
    source = rich_video(tmp_path / "a.mp4", rotation=rotation)
    known = index(source)
    join(
        identity(source, tmp_path, Encoding(crf=0), (0, 9, 10, 24)),
        tmp_path / f"b.{container}",
        container,
        source,
        known,
    )
    result = index(tmp_path / f"b.{container}")
    assert result.look == known.look
    begin = Fraction(0) if container != "mkv" else Fraction(64, 1000)  # it has no negative times: all are shifted
    for ours, theirs in zip(result.times, known.times, strict=True):
        assert abs(ours * result.time_base - begin - theirs * known.time_base) <= result.time_base
    for ours, theirs in zip(codes(tmp_path / f"b.{container}"), codes(source), strict=True):
        assert np.array_equal(ours, theirs)
    with av.open(str(source)) as a, av.open(str(tmp_path / f"b.{container}")) as b:
        assert b.metadata["title"] == "a rich one"
        assert [chapter["metadata"]["title"] for chapter in b.chapters()] == ["one"]
        sound = [[bytes(packet) for packet in file.demux(audio=0) if packet.size] for file in (a, b)]
        assert len(sound[0]) > 20
        assert sound[0] == sound[1]
        if container != "mov":  # has no place for it in its way of naming languages
            assert b.streams.audio[0].language == "deu"


def test_decoding_times_ascend_and_never_come_after_presentation():
    times = [0, 10, 11, 50, 51, 90]
    numbers = [0, 3, 1, 2, 5, 4]  # I P B B P B
    decoding = decoding_times(numbers, times)
    assert all(a < b for a, b in pairwise(decoding))
    assert all(dts <= times[number] for dts, number in zip(decoding, numbers, strict=True))
    assert decoding_times([0, 1, 2], [5, 6, 9]) == [5, 6, 9], "without reordering they are the same"
    assert decoding_times([], []) == []


def test_a_segment_with_missing_frames_is_not_joined(tmp_path):
    source = rich_video(tmp_path / "a.mp4", None, frames=6)
    (segment,) = identity(source, tmp_path, Encoding())
    with pytest.raises(UserError, match=r"6 frames, must be 5; delete it"):
        join([Segment(segment.path, range(5))], tmp_path / "b.mp4", "mp4", source, index(source))


def test_streams_that_a_container_cannot_hold_are_seen(tmp_path):
    source = rich_video(tmp_path / "a.mkv", "pcm_s16le")
    assert copied(source, "mkv").held
    srt = tmp_path / "b.mkv"
    with av.open(str(srt), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width = video.height = 32
        video.pix_fmt = "yuv420p"
        words = container.add_mux_stream("subrip")
        container.mux(video.encode(av.VideoFrame(32, 32, "yuv420p")))
        packet = av.Packet(b"hello")
        packet.stream, packet.pts, packet.dts, packet.duration = words, 0, 0, 1000
        packet.time_base = Fraction(1, 1000)
        container.mux(packet)
        container.mux(video.encode(None))
    assert copied(srt, "mkv") == ((1,), (), True)
    assert not copied(srt, "mp4").held


@pytest.mark.parametrize(
    ("encoding", "source", "depth", "halved", "rgb", "alpha"),
    [
        (Encoding(), Look(), 8, (True, True), False, False),
        (Encoding(), Look(depth=10), 10, (True, True), False, False),
        (Encoding(), Look(depth=12), 10, (True, True), False, False),
        (Encoding(depth=8), Look(depth=10), 8, (True, True), False, False),
        (Encoding(codec="x265"), Look(depth=12, halved=(True, False)), 12, (True, False), False, False),
        (Encoding(), RGBA, 8, (True, True), False, False),
        (Encoding(codec="ffv1"), RGBA, 8, (False, False), True, True),
        (Encoding(codec="prores"), Look(alpha=True), 10, (False, False), False, True),
        (Encoding("png"), Look(depth=10), 8, (False, False), True, False),
        (Encoding("png16"), Look(alpha=True), 16, (False, False), True, True),
    ],
)  # fmt: skip
def test_a_result_is_stored_as_near_to_its_source_as_the_codec_allows(encoding, source, depth, halved, rgb, alpha):
    look = encoding.look(source)
    assert (look.depth, look.halved, look.rgb, look.alpha) == (depth, halved, rgb, alpha)
    assert bool(encoding.lost(source)) == (look.depth < source.depth or look.alpha < source.alpha)


def test_hdr_is_kept_in_ten_bits_and_refused_in_eight(tmp_path):
    source = rich_video(tmp_path / "a.mp4", None, frames=2, pix_fmt="yuv420p10le", space=9, tags=9)
    look = index(source).look._replace(transfer=16)
    Encoding().check(look, 64, 64)
    with pytest.raises(UserError, match="PQ in 8 bits"):
        Encoding(depth=8).check(look, 64, 64)
    (segment,) = identity(source, tmp_path, Encoding(codec="x265", crf=1))
    assert index(segment.path).look == index(source).look


def test_a_pixel_aspect_that_is_lost_is_said():
    assert Encoding(codec="ffv1").lost(Look(aspect=Fraction(4, 3))) == ["pixel aspect 4/3 (ffv1 has none)"]
    assert not Encoding().lost(Look(aspect=Fraction(4, 3)))


@pytest.mark.parametrize("codec", ["ffv1", "prores"])
def test_alpha_is_kept_where_the_codec_has_it(tmp_path, codec):
    ramp = np.linspace(0, 1, 32, dtype=np.float32)[None].repeat(16, 0)
    picture = cut(0, 1, height=16, width=32)[0].astype(np.float32) / 255
    encoding = Encoding(codec=codec)
    look = encoding.look(RGBA)
    path = tmp_path / f"a{encoding.segment_suffix}"
    with open_encoder(path, 0, 32, 16, Fraction(10), encoding, look) as encoder:
        encoder.write(Frame(picture, ramp))
    (frame,) = read(path)
    assert np.abs(frame.alpha - ramp).max() < 0.01
    assert np.abs(frame.rgb - picture).max() < (0.002 if codec == "ffv1" else 0.1)
