"""Own keys and values beside the text's (IP-Adapter, Ye et al. 2023, arXiv 2308.06721)."""

from typing import Any

from torch import Tensor, nn

from vsr_adapter.adapters.attention import Attending
from vsr_adapter.adapters.base import Adapter
from vsr_adapter.backbones import UNetPart
from vsr_adapter.backbones.own import CrossAttentionSocket
from vsr_adapter.errors import UserError
from vsr_adapter.types import Told


class OwnKeysValues(nn.Module):
    """Keys and values of one attention; the values begin at zero, and so adds what attends to them.

    Args:
        dim: of the own tokens.
        width: of the attention's keys and values.
    """

    def __init__(self, dim: int, width: int):
        super().__init__()
        self.to_k, self.to_v = nn.Linear(dim, width, bias=False), nn.Linear(dim, width, bias=False)
        nn.init.zeros_(self.to_v.weight)

    def forward(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Each (B, L, width), of own tokens (B, L, dim) at any precision."""
        own = own.to(self.to_k.weight.dtype)
        return self.to_k(own), self.to_v(own)


class DecoupledCrossAttention(Attending, Adapter):
    """Gives every cross-attention of the denoiser keys and values of its own beside the text's.

    A few learned queries attend over the ViT's tokens of all frames; Linear and LayerNorm make the own tokens of them,
    and two linear layers for each attention its keys and values (Eq. 5 of the paper). What the attention finds there is
    added to what it finds in the text, which stays the null tokens or the prompt's. The values begin at zero, so that
    untrained it changes nothing. Layers follow from the denoiser, so that weights fit no other one.

    Args:
        frames: frames of a training clip; any other number works on the same weights.
        tokens: tokens of a frame.
        in_dim: width of the ViT's tokens, a multiple of ``heads``.
        own_tokens: that are made of a clip.
        heads: attention heads over the ViT's tokens.
    """

    def __init__(self, frames: int = 8, tokens: int = 196, in_dim: int = 768, own_tokens: int = 16, heads: int = 8):
        super().__init__(frames, tokens, in_dim)
        self.own_tokens = own_tokens
        self.check_positive("own_tokens")
        self.attend_with(own_tokens, heads)
        self.dim, self.widths = 0, dict[str, int]()  # the denoiser's
        self.layers = nn.ModuleDict()

    def fit_to(self, unet: UNetPart) -> None:
        """Makes the layers of the denoiser's attentions.

        Raises:
            UserError: it has none, or the adapter has another's.
        """
        if not isinstance(unet, CrossAttentionSocket):
            raise UserError(
                f"adapter {type(self).__name__}: {type(unet).__name__} has no cross-attention that lets own keys in; "
                "choose another adapter"
            )
        widths = unet.cross_attentions()
        if self.widths and (self.widths, self.dim) != (widths, unet.own_dim):
            raise UserError(f"adapter {type(self).__name__}: made for another backbone; make one for each")
        if not self.widths:
            self.widths, self.dim = widths, unet.own_dim
            self.mapping = nn.Sequential(nn.Linear(self.in_dim, self.dim), nn.LayerNorm(self.dim))
            self.layers.update({key(name): OwnKeysValues(self.dim, width) for name, width in widths.items()})

    def attach(self, unet: UNetPart) -> None:
        """By attention processors that call the layers."""
        assert isinstance(unet, CrossAttentionSocket)
        unet.attach({name: self.layers[key(name)] for name in self.widths}, self.own_tokens)

    def detach(self, unet: UNetPart) -> None:
        """Puts the network's own processors back."""
        assert isinstance(unet, CrossAttentionSocket)
        unet.detach()

    def fuse(self, features: Tensor) -> Tensor:
        """Cross-attention, Linear, LayerNorm; shape (B, own_tokens, dim)."""
        return self.mapping(self.attend(features))

    def tell(self, features: Tensor) -> Told:
        """Own tokens alone."""
        return Told(own=self(features))

    @property
    def gives(self) -> str:
        """Number and width of the own tokens, and where they go."""
        return f"{self.own_tokens} own tokens x {self.dim}, for {len(self.widths)} attentions"

    def description(self) -> dict[str, Any]:
        """With the denoiser's attentions."""
        own = {"own_tokens": self.own_tokens, "heads": self.heads, "dim": self.dim, "widths": self.widths}
        return {**super().description(), **own}


def key(name: str) -> str:
    """A module's name for a `ModuleDict`, whose keys have no dots."""
    return name.replace(".", "/")
