"""Which videos there are, and where their results go."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from vsr_adapter.errors import UserError
from vsr_adapter.video.encode import CODECS, Encoding
from vsr_adapter.video.find import VIDEO_SUFFIXES, find_videos
from vsr_adapter.video.join import copied

RESULT_SUFFIXES = (".mp4", ".mkv", ".mov")


class Video(NamedTuple):
    """A source and its result.

    Attributes:
        source: a video file or a folder of frames.
        target: without the suffix that `target_of` gives it, unless the user named the file.
        final: whether the user named it.
    """

    source: Path
    target: Path
    final: bool = False


def is_file(output: Path) -> bool:
    """Whether ``--output`` names the result itself."""
    return output.suffix.lower() in RESULT_SUFFIXES and not output.is_dir()


def videos_of(inputs: Iterable[Path], output: Path) -> list[Video]:
    """Every video under ``inputs`` with its target, in a fixed order.

    The target of ``FOLDER/sub/a.mkv`` is ``output/sub/a``; where ``a.avi`` has taken that name, it is
    ``output/sub/a.mkv``. An ``output`` with the suffix of a video is the file itself, for a single source.

    Raises:
        UserError: an input does not exist or holds no video, or two videos claim the same target.
    """
    found = [(root, source) for root in inputs for source in find_videos(root)]
    if is_file(output):
        if len(found) > 1:
            raise UserError(f"--output {output}: is one file, and there are {len(found)} videos; name a folder")
        return [Video(found[0][1], output, final=True)]
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: is a file; name a folder")
    claimed: dict[Path, Path] = {}
    for root, source in found:
        if root.is_dir() and root.resolve() == output.resolve():
            raise UserError(f"--output {output}: is the input folder; name another one")
        if source != root and output.resolve() in source.resolve().parents:
            continue  # what an earlier run wrote into a folder inside the input
        name = source.relative_to(root) if source != root else Path(source.name)
        plain = name.with_suffix("") if source.suffix.lower() in VIDEO_SUFFIXES else name
        target = next((path for path in (output / plain, output / name) if claimed.get(path, source) == source), None)
        if target is None:
            raise UserError(
                f"{source}: its output {output / name} is that of {claimed[output / name]}; use two output folders"
            )
        claimed[target] = source
    return [Video(source, target) for target, source in claimed.items()]


def target_of(video: Video, encoding: Encoding) -> tuple[Path, str | None]:
    """The target with its suffix, and what is to be said of it.

    Matroska is chosen where the container asked for cannot hold the source's audio or subtitles.

    Raises:
        UserError: the user named a file that cannot hold them, or that is the source.
    """
    suffix = video.target.suffix.lower() if video.final else encoding.suffix
    if suffix:
        usual = CODECS[encoding.codec].container
        if video.final and suffix != ".mkv" and (encoding.codec == "ffv1" or (usual == "mov" and suffix == ".mp4")):
            raise UserError(f"--output {video.target}: {suffix[1:]} has no place for {encoding.codec}; name it .mkv")
        held = copied(video.source, suffix[1:]).held
        if not held and video.final:
            raise UserError(
                f"--output {video.target}: {suffix[1:]} cannot hold the audio or subtitles of {video.source}; "
                "name it .mkv"
            )
    target = video.target if video.final else video.target.with_name(video.target.name + suffix)
    said = None
    if suffix and not held:
        target = target.with_name(video.target.name + ".mkv")
        said = f"{suffix[1:]} cannot hold its audio or subtitles: written as Matroska"
    if target.exists() and target.resolve() == video.source.resolve():
        raise UserError(f"{target}: is the input, and would be replaced; pass another --output")
    return target, said
