"""Settings of `vsr predict` that are not the model's."""

from dataclasses import dataclass
from typing import Literal

from vsr_adapter.errors import UserError
from vsr_adapter.identity import decides, indifferent
from vsr_adapter.video.encode import Encoding
from vsr_adapter.video.read import Damage

DEFAULT_ENCODING = Encoding()


@dataclass(frozen=True)
class PredictOptions:
    """How videos are read, cut into segments, and written.

    Args:
        encoding: of the results.
        damaged: what a frame that cannot be decoded does: ``fail`` the video, ``repeat`` its neighbour, or ``skip``
            it, so that the result is shorter.
        cuts: whether windows end at scene cuts: ``auto`` where scenedetect is installed.
        segment: windows of a segment, the unit that is kept when a run is interrupted; one more window is computed
            for each, so that 12 cost 8 % more.
        start: number of the first frame, for a preview.
        frames: number of frames from there on; None goes to the end.
        height: of the results in pixels: upscaled as ever, then made smaller with antialiasing.
        threads: of torch in each process, part of what decides the bits; None is the number of cores.
        estimate: count memory before the run, which takes seconds and runs no network, bound the disk by a rule, and
            refuse what cannot fit.
        overwrite: replace results of other settings, or of others' making.
        quiet: print no plan and no progress.
        clean: delete the segments that earlier, interrupted runs with other settings left behind.

    Raises:
        UserError: a number out of its range.
    """

    encoding: Encoding = decides(DEFAULT_ENCODING)
    damaged: Damage = decides("fail")
    cuts: Literal["auto", "on", "off"] = decides("auto")
    segment: int = decides(12)
    start: int = decides(0)
    frames: int | None = decides(None)
    height: int | None = decides(None)
    threads: int | None = decides(None)
    estimate: bool = indifferent(True)
    overwrite: bool = indifferent(False)
    quiet: bool = indifferent(False)
    clean: bool = indifferent(False)

    def __post_init__(self) -> None:
        for name, least in [("segment", 1), ("frames", 1), ("height", 1), ("threads", 1), ("start", 0)]:
            value = getattr(self, name)
            if value is not None and value < least:
                raise UserError(f"{name} {value}: at least {least}; pass --data.predict.{name} {least} or more")

    @property
    def preview(self) -> bool:
        """Whether only a part of each video is wanted."""
        return self.start > 0 or self.frames is not None
