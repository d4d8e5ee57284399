"""Second-order degradation of video in the wild, in RealBasicVSR's settings (Chan et al. 2022)."""

from torch import Tensor

from vsr_adapter.data.degradations.base import Degradation
from vsr_adapter.data.degradations.draws import Draws
from vsr_adapter.data.degradations.steps import (
    JPEG,
    Blur,
    Noise,
    Resize,
    ResizeTo,
    SincBlur,
    Step,
    UnsharpMask,
    VideoCodec,
)
from vsr_adapter.errors import UserError
from vsr_adapter.frames import rounded

FIRST: tuple[Step, ...] = (UnsharpMask(), Blur(), Resize(), Noise(), JPEG(), VideoCodec())
SECOND: tuple[Step, ...] = (
    Blur(sigma=(0.2, 1.5), probability=0.8),
    Resize(weights=(0.3, 0.4, 0.3), scale=(0.3, 1.2), step=0.03),
    Noise(sigma=(1, 25), scale=(0.05, 2.5)),
    JPEG(),
)


class RealWorld(Degradation):
    """Blur, resize, noise, JPEG and a video codec, twice, one draw per clip with small steps from frame to frame.

    At the end, the codec and (resize to the target, sinc) come in either order. Each step has random numbers of its
    own, named by the key and its place.
    """

    name = "real-world"

    def __call__(self, hr: Tensor, scale: int, key: tuple[object, ...]) -> Tensor:
        """The clip after all steps, rounded to 8 bit."""
        height, width = hr.shape[-2:]
        if height % scale or width % scale:
            raise UserError(
                f"frames of {width}x{height}: must be multiples of {scale} to degrade; "
                f"crop to {width // scale * scale}x{height // scale * scale}"
            )
        shrink: list[Step] = [ResizeTo(height // scale, width // scale), SincBlur()]
        codec_first = Draws(*key, "order").chance(0.5)
        last = [VideoCodec(), *shrink] if codec_first else [*shrink, VideoCodec()]
        clip = hr
        for place, step in enumerate([*FIRST, *SECOND, *last]):
            clip = step(clip, Draws(*key, place))
        return rounded(clip)
