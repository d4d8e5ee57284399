"""How a stack samples: one value beside the networks, each of whose settings says whether it decides bits."""

from dataclasses import dataclass, replace
from typing import Literal, Self

from vsr_adapter.diffusion import Sampler, Start
from vsr_adapter.errors import UserError
from vsr_adapter.identity import decides
from vsr_adapter.postprocess import Postprocess
from vsr_adapter.windows import check_window


@dataclass(frozen=True)
class Tiling:
    """How frames are cut into tiles.

    The ViT's tokens are computed for each tile, as in training; a frame smaller than a tile is padded to it by
    replication.

    Args:
        size: side of a tile in low-resolution pixels, rounded up to what the backbone takes; ``auto`` is the largest
            up to 160 that fits in the memory that is free.
        overlap: what neighbours share, at least, and over which they are blended.
        batch: tiles of a window that are sampled together; kernels may round differently at another batch.
        mode: ``blend`` joins decoded tiles, ``joint`` their predictions too, after every step: no seams, and more
            memory.

    Raises:
        UserError: tiles that do not advance, or an empty batch.
    """

    size: int | Literal["auto"] = decides(80)
    overlap: int = decides(16)
    batch: int = decides(1)
    mode: Literal["blend", "joint"] = decides("blend")

    def __post_init__(self) -> None:
        check_window(self.overlap + 1 if self.size == "auto" else self.size, self.overlap)
        if self.batch < 1:
            raise UserError(f"tiles.batch {self.batch}: at least 1 tile is sampled at once; pass 1")

    def halved(self, multiple: int) -> Self:
        """The same with tiles of half the side, for want of memory.

        Raises:
            UserError: they are as small as can be.
        """
        assert self.size != "auto"
        size = self.size // 2 // multiple * multiple
        if size < 2 * multiple or size < 16:
            raise UserError(f"tile of {self.size}: out of memory, and none smaller makes sense; use a larger machine")
        return replace(self, size=size, overlap=min(self.overlap, size // 4))


DEFAULT_TILES = Tiling()


@dataclass(frozen=True)
class Sampling:
    """How clips and videos are sampled, whatever the networks.

    Args:
        sampler: diffusers scheduler and number of steps; its defaults where None.
        start: where sampling starts; Gaussian noise where None.
        prompt: text whose tokens follow the adapter's; they stand alone where the condition is off.
        negative_prompt: text that guidance leads away from, instead of the null tokens.
        guidance_scale: classifier-free guidance against the null tokens; 1 is none, and one pass a step.
        noise_level: training time of the noise in the low-resolution clip, for backbones that noise it; in training
            too.
        condition: ``on`` uses the adapter's tokens, ``off`` the backbone's null tokens, ``shuffled`` the adapter's with
            their numbers in a fixed wrong order: as large, and meaningless. Attention does not see the order of tokens
            alone.
        window: frames that are sampled together by predict; the adapter's where None.
        overlap: frames that neighbouring windows share, and over which they are blended; 2 where None.
        tiles: how predict cuts frames.
        postprocess: steps after decoding, on whole frames; none where None.
        seed: of all noise, in training too.

    Raises:
        UserError: a negative prompt without guidance.
    """

    sampler: Sampler | None = decides(None)
    start: Start | None = decides(None)
    prompt: str | None = decides(None)
    negative_prompt: str | None = decides(None)
    guidance_scale: float = decides(1.0)
    noise_level: int = decides(120)
    condition: Literal["on", "off", "shuffled"] = decides("on")
    window: int | None = decides(None)
    overlap: int | None = decides(None)
    tiles: Tiling = decides(DEFAULT_TILES)
    postprocess: list[Postprocess] | None = decides(None)
    seed: int = decides(0)

    def __post_init__(self) -> None:
        if self.negative_prompt and self.guidance_scale == 1:
            raise UserError(
                f"negative_prompt {self.negative_prompt!r}: does nothing at guidance_scale 1; pass "
                "--model.sampling.guidance_scale 6"
            )


DEFAULT_SAMPLING = Sampling()
