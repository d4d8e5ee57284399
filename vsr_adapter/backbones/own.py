"""A socket of frozen denoisers: own keys and values in every cross-attention (IP-Adapter, Ye et al. 2023).

The layers that make them are an adapter's. Attention processors call them, plain objects of which the network registers
nothing; the tokens that they are made of travel with each call.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr_adapter.errors import UserError

KeysValues = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Keys and values (B, L, width) of own tokens (B, L, dim); of zeros, zeros."""


def added(attention: Any, hidden_states: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What attention to own keys and values adds to the output of a frozen one: its queries, its output layer.

    Args:
        attention: diffusers' `Attention` or `WanAttention`.
        hidden_states: what asks, shape (B * T, pixels, dim) or (B, T * pixels, dim).
        key: shape (B, L, width).
        value: likewise.

    Returns:
        Shape of ``hidden_states``.
    """
    # all frames of a clip ask the same keys: one row of queries for each clip
    query = attention.to_q(hidden_states).reshape(len(key), -1, key.shape[-1])
    key = key.to(query.dtype)
    if attention.norm_q is not None:
        query, key = attention.norm_q(query), attention.norm_k(key)
    heads = (x.to(query.dtype).unflatten(-1, (attention.heads, -1)).transpose(1, 2) for x in (query, key, value))
    found = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    output = F.linear(found, attention.to_out[0].weight)  # the bias is in what the frozen attention gave
    return output.reshape(*hidden_states.shape[:-1], -1)


class OwnAttention:
    """Attention processor: what the network's own gives, and what own keys and values add.

    Args:
        before: the network's.
        layer: makes keys and values.
        tokens: number of own tokens.
    """

    def __init__(self, before: Any, layer: KeysValues, tokens: int):
        self.before, self.layer, self.tokens = before, layer, tokens

    # diffusers hands `cross_attention_kwargs` to every processor, and is silent about those of this name alone
    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        ip_hidden_states: Tensor | None = None,
    ) -> Tensor:
        """``ip_hidden_states`` are the own tokens, shape (B, L, dim), or None."""
        output = self.before(attn, hidden_states, encoder_hidden_states, attention_mask)
        if ip_hidden_states is None:
            return output
        return output + added(attn, hidden_states, *self.layer(ip_hidden_states))


class CrossAttentionSocket:
    """Mixed into a `UNetPart`: lets own keys and values into every attention with ``is_cross_attention``."""

    processor: ClassVar[type[OwnAttention]] = OwnAttention
    loaded: bool
    network: Any
    capabilities: Any
    make: Callable[[], nn.Module]
    own_tokens: int | None

    @property
    def own_dim(self) -> int:
        """Width of own tokens."""
        return self.capabilities.text_dim

    def attentions(self) -> dict[str, Any]:
        """The modules by name; before `load`, those of a network without numbers."""
        if self.loaded:
            network = self.network
        else:
            with torch.device("meta"):
                network = self.make()
        return {name: one for name, one in network.named_modules() if getattr(one, "is_cross_attention", False)}

    def cross_attentions(self) -> dict[str, int]:
        """Width of keys and values of each, by name; known before `load`."""
        return {name: one.inner_dim for name, one in self.attentions().items()}

    def attach(self, layers: Mapping[str, KeysValues], tokens: int) -> None:
        """Own keys and values from now on, where a call brings own tokens; does nothing the second time.

        Args:
            layers: for each of `cross_attentions`, by the same names.
            tokens: number of own tokens for a clip.

        Raises:
            UserError: another adapter's are attached.
        """
        attentions = self.attentions()
        assert attentions.keys() == layers.keys()
        for name, attention in attentions.items():
            before = attention.processor
            if not isinstance(before, OwnAttention):
                attention.set_processor(self.processor(before, layers[name], tokens))
            elif before.layer is not layers[name]:
                raise UserError("an adapter is attached to this backbone already; detach it, or build another backbone")
        self.own_tokens = tokens

    def detach(self) -> None:
        """The network as it was; does nothing where nothing is attached."""
        for attention in self.attentions().values():
            if isinstance(attention.processor, OwnAttention):
                attention.set_processor(attention.processor.before)
        self.own_tokens = None
