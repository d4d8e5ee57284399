"""What an adapter is: visual features in, pseudo-text tokens out (Eq. 3.2 of the thesis)."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from vsr_adapter.errors import UserError


class Adapter(nn.Module, ABC):
    """Maps the ViT's tokens of all frames of a clip to one sequence of pseudo-text tokens.

    Args:
        frames: frames of a training clip; other numbers work as well.
        tokens: tokens of a frame, N, and of the sequence that is made of them, L.
        in_dim: width of the ViT's tokens, D.
        text_dim: width of the UNet's cross-attention tokens.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, text_dim: int = 1024):
        super().__init__()
        for name, value in [("frames", frames), ("tokens", tokens), ("in_dim", in_dim), ("text_dim", text_dim)]:
            if value < 1:
                raise UserError(f"adapter.{name} {value}: must be positive; pass --model.adapter.{name} 1 or more")
        self.frames, self.tokens, self.in_dim, self.text_dim = frames, tokens, in_dim, text_dim

    def forward(self, features: Tensor) -> Tensor:
        """Pseudo-text tokens.

        Args:
            features: of the ViT, shape (B, T, N, D), any T.

        Returns:
            Shape (B, L, text_dim).

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
