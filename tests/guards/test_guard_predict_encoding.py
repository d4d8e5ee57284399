"""How results are written: what PyAV, the encoders' own notes and file sizes say of them."""

import re
from pathlib import Path

import av
import numpy as np
import pytest

from tests.clips import cut, write_folder
from tests.guards.table import guards
from tests.predict import predict
from vsr_adapter.video.images import read_pixels


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("encoding") / "in", cut(0, 3, height=8, width=8))


def written(source: Path, folder: Path, *more: str) -> Path:
    """The result of a run into a new folder."""
    assert predict("--input", source, "--output", folder, "--quiet", *more) == 0
    (result,) = (path for path in folder.iterdir() if path.name != ".vsr")
    return result


def setting(name: str, value: object) -> str:
    return f"--data.predict.encoding.{name}={value}"


CONTAINERS = [("auto", "in.mp4", "isom"), ("mov", "in.mov", "qt  "), ("mkv", "in.mkv", None)]


@guards("data.predict.encoding.format")
@pytest.mark.parametrize(("name", "file", "brand"), CONTAINERS)
def test_the_container_is_what_the_format_names(source, tmp_path, name, file, brand):
    result = written(source, tmp_path, setting("format", name))
    assert result.name == file
    with av.open(str(result)) as container:
        assert container.format.name.startswith("matroska" if brand is None else "mov,mp4")
        assert container.metadata.get("major_brand") == brand
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_png_is_8_bits_and_png16_is_16_of_the_same(source, tmp_path):
    eight, sixteen = (
        np.stack(
            [read_pixels(path) for path in sorted(written(source, tmp_path / name, setting("format", name)).iterdir())]
        )
        for name in ("png", "png16")
    )
    assert (eight.dtype, sixteen.dtype) == (np.uint8, np.uint16)
    assert eight.shape == sixteen.shape == (3, 32, 32, 3)
    assert np.abs(sixteen / 257 - eight).max() < 0.51
    assert (sixteen % 257).any(), "not 8 bits in 16"


CODECS = [("x264", "h264", ".mp4"), ("x265", "hevc", ".mp4"), ("ffv1", "ffv1", ".mkv"), ("prores", "prores", ".mov")]


@guards("data.predict.encoding.codec")
@pytest.mark.parametrize(("name", "expected", "suffix"), CODECS)
def test_the_codec_is_what_is_named_in_its_usual_container(source, tmp_path, name, expected, suffix):
    result = written(source, tmp_path, setting("codec", name))
    assert result.suffix == suffix
    with av.open(str(result)) as container:
        assert container.streams.video[0].codec_context.name == expected


@guards("data.predict.encoding.crf")
def test_a_higher_crf_gives_smaller_files_that_are_further_from_the_frames(source, tmp_path):
    folder = written(source, tmp_path / "png", setting("format", "png"))
    truth = np.stack([read_pixels(path) for path in sorted(folder.iterdir())]).astype(float)
    sizes, errors = [], []
    for crf in (5, 45):
        result = written(source, tmp_path / str(crf), setting("crf", crf))
        sizes.append(result.stat().st_size)
        with av.open(str(result)) as container:
            frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        errors.append(np.square(frames - truth).mean())
        assert f"crf={crf}.0".encode() in result.read_bytes(), "x264's own note"
    assert sizes[1] < 0.6 * sizes[0]
    assert errors[1] > 1.2 * errors[0]


def noted(result: Path) -> dict[str, str]:
    """What x265 says that it was told."""
    note = re.search(rb"x265 \(build.*? range=", result.read_bytes(), re.DOTALL).group(0).decode()
    return dict(word.split("=", 1) for word in note.split() if "=" in word)


@guards("data.predict.encoding.preset", "data.predict.encoding.threads")
def test_presets_and_threads_reach_the_encoder(source, tmp_path):
    """x265: x264 takes one thread for frames as small as these. ``ref=1`` is of ultrafast, ``ref=3`` of medium."""
    x265 = setting("codec", "x265")
    default = noted(written(source, tmp_path / "a", x265))
    fast = noted(written(source, tmp_path / "b", x265, setting("preset", "ultrafast")))
    alone = noted(written(source, tmp_path / "c", x265, setting("threads", 1)))
    assert [note["ref"] for note in (default, fast, alone)] == ["3", "1", "3"]
    assert [note["frame-threads"] for note in (default, fast, alone)] == ["2", "2", "1"]


@guards("data.predict.encoding.depth")
def test_the_depth_is_what_is_said_or_the_sources(source, tmp_path):
    for depth, codec, expected in ((None, "x264", "yuv420p"), (10, "x264", "yuv420p10le"), (12, "x265", "yuv420p12le")):
        result = written(source, tmp_path / f"{depth}", setting("codec", codec), setting("depth", depth or "null"))
        with av.open(str(result)) as container:
            assert container.streams.video[0].codec_context.pix_fmt == expected
