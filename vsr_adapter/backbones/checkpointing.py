"""Gradient checkpointing for any network of blocks, also where diffusers refuses it (`UNet3DConditionModel`)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from vsr_adapter.errors import UserError

BLOCKS = (
    *("down_blocks", "down_temp_blocks", "mid_block", "mid_temp_block", "up_blocks", "up_temp_blocks"),
    *("blocks", "transformer_blocks"),
)


def recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """``forward``, whose activations are computed again in the backward pass.

    It goes by the grad mode, not by ``training``: frozen networks stay in eval mode.
    """
    if torch.is_grad_enabled():
        return checkpoint(forward, *args, use_reentrant=False, **kwargs)
    return forward(*args, **kwargs)


def checkpoint_blocks(network: nn.Module) -> None:
    """Keeps only the inputs of each down, mid, up and temporal block, or transformer block, for the backward pass.

    Raises:
        UserError: the network has none.
    """
    children = [getattr(network, name, None) for name in BLOCKS]
    blocks = [block for child in children for block in (child if isinstance(child, nn.ModuleList) else [child])]
    if not any(block is not None for block in blocks):
        raise UserError(
            f"gradient_checkpointing true: {type(network).__name__} has none of {', '.join(BLOCKS)}; set it to false"
        )
    for block in blocks:
        if block is not None:
            block.forward = partial(recomputed, block.forward)
