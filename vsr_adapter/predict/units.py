"""The units of work of `vsr predict`: one for each video; segments of a video will be units of the same kind."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from vsr_adapter.errors import UserError
from vsr_adapter.video.find import VIDEO_SUFFIXES, find_videos

OutputFormat = Literal["mp4", "png"]


class Unit(NamedTuple):
    """One video and where its upscaled version goes.

    Attributes:
        source: a video file or a folder of frames.
        target: an .mp4 file, or a folder of PNG frames.
        output_format: ``mp4`` or ``png``.
        overwrite: whether an existing target may be replaced.
        output: the output folder, which holds the journal.
    """

    source: Path
    target: Path
    output_format: OutputFormat
    overwrite: bool
    output: Path


def plan_units(
    inputs: Iterable[Path], output: Path, output_format: OutputFormat = "mp4", overwrite: bool = False
) -> list[Unit]:
    """One unit for each video under ``inputs``, in a fixed order.

    The target of ``FOLDER/sub/a.mkv`` is ``output/sub/a.mp4``; where ``a.avi`` has taken that name, it is
    ``output/sub/a.mkv.mp4``.

    Raises:
        UserError: an input does not exist or holds no video, or two videos claim the same target.
    """
    if output.exists() and not output.is_dir():
        raise UserError(f"--output {output}: is a file; name a folder")
    claimed: dict[Path, Path] = {}
    for root in inputs:
        for source in find_videos(root):
            if output.resolve() in source.resolve().parents:
                continue  # what an earlier run wrote into a folder inside the input
            name = source.relative_to(root) if source != root else Path(source.name)
            plain = name.with_suffix("") if source.suffix.lower() in VIDEO_SUFFIXES else name
            target = next(
                (path for path in (output / plain, output / name) if claimed.get(path, source) == source), None
            )
            if target is None:
                raise UserError(
                    f"{source}: its output {output / name} is that of {claimed[output / name]}; use two output folders"
                )
            claimed[target] = source
    ending = ".mp4" if output_format == "mp4" else ""
    return [
        Unit(source, target.with_name(target.name + ending), output_format, overwrite, output)
        for target, source in claimed.items()
    ]
