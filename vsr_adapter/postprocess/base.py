"""What a post-process is."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

from torch import Tensor

from vsr_adapter.errors import UserError


class Postprocess(ABC):
    """A step between decoding and writing: colour, contrast or noise."""

    def __call__(self, video: Tensor, style: Tensor) -> Tensor:
        """The video after this step.

        Args:
            video: decoded video in [0, 1], shape (B, T, 3, H, W).
            style: where colours are taken from: bicubic x4 of the low-resolution clip, same shape.

        Returns:
            Same shape, dtype and device, in [0, 1]; computed in float32.

        Raises:
            UserError: the shapes differ.
        """
        if video.shape != style.shape:
            raise UserError(
                f"style {tuple(style.shape)}, video {tuple(video.shape)}: must be equal; "
                "pass the low-resolution clip at the size of the video"
            )
        return self.process(video.float(), style.float()).clamp(0, 1).to(video)

    @abstractmethod
    def process(self, video: Tensor, style: Tensor) -> Tensor:
        """The step itself; what leaves [0, 1] is clamped by the caller.

        Args:
            video: float32, shape (B, T, 3, H, W).
            style: same shape.
        """


class FramePostprocess(Postprocess):
    """A step that treats each frame by itself."""

    def process(self, video: Tensor, style: Tensor) -> Tensor:
        """All frames as one batch."""
        return self.process_frames(video.flatten(0, 1), style.flatten(0, 1)).reshape(video.shape)

    @abstractmethod
    def process_frames(self, frames: Tensor, style: Tensor) -> Tensor:
        """The step on frames of shape (N, 3, H, W)."""


def postprocess(steps: Iterable[Postprocess], video: Tensor, style: Tensor) -> Tensor:
    """The video after all steps, in their order.

    Args:
        steps: none gives the video back.
        video: in [0, 1], shape (B, T, 3, H, W).
        style: bicubic x4 of the low-resolution clip, same shape.

    Raises:
        UserError: as `Postprocess`.
    """
    for step in steps:
        video = step(video, style)
    return video
