"""What an adapter is: visual features in, what a frozen denoiser is told of them out."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from vsr_adapter.backbones import UNetPart
from vsr_adapter.errors import UserError
from vsr_adapter.types import Told


class Adapter(nn.Module, ABC):
    """Maps the ViT's tokens of all frames of a clip to something that a denoiser can be told.

    It keeps nothing of a clip between calls. One that needs more than the call to be heard overrides `fit_to`, `attach`
    and `detach`; what it adds to a network begins at zero.

    Args:
        frames: frames of a training clip; other numbers work as well.
        tokens: tokens of a frame, N.
        in_dim: width of the ViT's tokens, D.
    """

    def __init__(self, frames: int, tokens: int, in_dim: int):
        super().__init__()
        self.frames, self.tokens, self.in_dim = frames, tokens, in_dim
        self.check_positive("frames", "tokens", "in_dim")

    def check_positive(self, *names: str) -> None:
        """Refuses sizes below 1.

        Raises:
            UserError: the first such.
        """
        for name in names:
            value = getattr(self, name)
            if value < 1:
                raise UserError(f"adapter.{name} {value}: must be positive; pass --model.adapter.{name} 1 or more")

    def forward(self, features: Tensor) -> Tensor:
        """The tokens that `tell` is made of.

        Args:
            features: of the ViT, shape (B, T, N, D), any T.

        Returns:
            Shape (B, L, width).

        Raises:
            UserError: N or D is not what the adapter was made for.
        """
        if features.shape[2:] != (self.tokens, self.in_dim):
            raise UserError(
                f"features of {features.shape[2]} tokens x {features.shape[3]}: the adapter takes {self.tokens} x "
                f"{self.in_dim}; set adapter.tokens and adapter.in_dim to the encoder's"
            )
        return self.fuse(features)

    @abstractmethod
    def fuse(self, features: Tensor) -> Tensor:
        """`forward` after its checks."""

    @abstractmethod
    def tell(self, features: Tensor) -> Told:
        """What the denoiser is told of clips, from features (B, T, N, D)."""

    @property
    @abstractmethod
    def gives(self) -> str:
        """What `tell` gives, in words."""

    def description(self) -> dict[str, Any]:
        """What weights must agree in to fit, as plain values; a dictionary among them entry by entry."""
        return {"frames": self.frames, "tokens": self.tokens, "in_dim": self.in_dim}

    @abstractmethod
    def fit_to(self, unet: UNetPart) -> None:
        """Checks what the denoiser, not loaded yet, demands, and makes layers that depend on it; once.

        Raises:
            UserError: they do not fit.
        """

    def attach(self, unet: UNetPart) -> None:
        """Lets the denoiser, loaded, hear more than calls bring by themselves; does nothing the second time.

        The network's parameters and its state dict stay as they are.
        """

    def detach(self, unet: UNetPart) -> None:
        """The denoiser as it was before `attach`, bit for bit."""


class TokenAdapter(Adapter):
    """Gives pseudo-text tokens, which stand in the place of the null tokens (Eq. 3.2 of the thesis).

    Args:
        frames: frames of a training clip; other numbers work as well.
        tokens: tokens of a frame, N, and of the sequence that is made of them, L.
        in_dim: width of the ViT's tokens, D.
        text_dim: width of the UNet's cross-attention tokens.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, text_dim: int = 1024):
        super().__init__(frames, tokens, in_dim)
        self.text_dim = text_dim
        self.check_positive("text_dim")

    def tell(self, features: Tensor) -> Told:
        """Tokens alone."""
        return Told(tokens=self(features))

    @property
    def gives(self) -> str:
        """Number and width of the tokens."""
        return f"{self.tokens} tokens x {self.text_dim}"

    def description(self) -> dict[str, Any]:
        """With the width of the text."""
        return {**super().description(), "text_dim": self.text_dim}

    def fit_to(self, unet: UNetPart) -> None:
        """The tokens must be as wide as the denoiser's text.

        Raises:
            UserError: they are not.
        """
        theirs = unet.capabilities.text_dim
        if self.text_dim != theirs:
            raise UserError(
                f"adapter.text_dim {self.text_dim}: the backbone has {theirs}; set --model.adapter.text_dim {theirs}"
            )
