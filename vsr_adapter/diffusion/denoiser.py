"""Denoisers as values: bound to a clip, guided, and composed further."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple, Protocol

from torch import Tensor

from vsr_adapter.backbones.base import Backbone
from vsr_adapter.types import Condition
from vsr_adapter.windows import Window, blend_tiles


class Denoiser(Protocol):
    """Predicts epsilon, v or the flow of noisy latents."""

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Prediction, shape of ``z_t`` (B, C, T, h, w); ``t`` has shape (B,) or ()."""


class ConditionedDenoiser(NamedTuple):
    """A backbone with all that it is told about clips.

    Attributes:
        backbone: the frozen backbone.
        condition: tokens, and the low-resolution clips where it takes them.
    """

    backbone: Backbone
    condition: Condition

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Eq. 3.3 of the thesis."""
        return self.backbone.denoise(z_t, t, self.condition)


class GuidedDenoiser(NamedTuple):
    """Classifier-free guidance (Ho and Salimans 2022): null + scale (conditioned - null).

    Both branches see the same noised low-resolution clip.

    Attributes:
        conditioned: told of the clip.
        null: told of nothing but the null tokens.
        scale: 1 returns ``conditioned``'s prediction, 0 that of ``null``.
    """

    conditioned: Denoiser
    null: Denoiser
    scale: float

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        """Two passes: they cost no more than one of twice the batch, and half of its memory."""
        null = self.null(z_t, t)
        return null + self.scale * (self.conditioned(z_t, t) - null)


class JointDenoiser(NamedTuple):
    """One prediction for a whole frame, blended of those of its tiles (MultiDiffusion, Bar-Tal et al. 2023).

    Attributes:
        tiles: each tile's own, row by row: tokens and low-resolution clip are those of the tile.
        rows: of the plan, in low-resolution pixels.
        columns: likewise.
        cells: latent cells for each low-resolution pixel.
    """

    tiles: Sequence[Denoiser]
    rows: Sequence[Window]
    columns: Sequence[Window]
    cells: Fraction

    def __call__(self, z_t: Tensor, t: Tensor) -> Tensor:
        """A pass for each tile; ``z_t`` is that of the whole frame."""
        places = ((row.times(self.cells), column.times(self.cells)) for row in self.rows for column in self.columns)
        predictions = (
            tile(z_t[..., y.start : y.stop, x.start : x.stop], t)
            for tile, (y, x) in zip(self.tiles, places, strict=True)
        )
        return blend_tiles(predictions, self.rows, self.columns, self.cells)
