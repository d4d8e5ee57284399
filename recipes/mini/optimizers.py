"""Muon for the matrices of a network, AdamW for the rest."""

import torch
from torch import Tensor, nn

MATRIX_SHARE = 2.0  # Muon's learning rate, by AdamW's
EDGES = ("conv_in", "conv_out", "patch_embed.proj", "head")  # first and last layers, which Muon is not for


class Matrices(torch.optim.Muon):
    """Muon (Jordan et al. 2024), for the weights of convolutions too: torch's takes matrices alone.

    Each weight (out, in, ...) is seen as a matrix of ``out`` rows that shares its memory. At equal rates its
    updates are as large as AdamW's.

    Args:
        weights: what it updates.
        rate: learning rate.

    Raises:
        ValueError: a weight is not laid out channels last.
    """

    def __init__(self, weights: list[Tensor], rate: float):
        self.weights = weights
        views = [nn.Parameter(rows(weight.data)) for weight in weights]
        for weight, view in zip(weights, views, strict=True):
            if view.data_ptr() != weight.data_ptr():  # what is updated would be a copy
                raise ValueError(f"weight of shape {tuple(weight.shape)}: lay convolutions out channels last")
        groups = [{"params": views, "share": MATRIX_SHARE}]
        super().__init__(groups, lr=rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")

    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure: gradients are there already
        """Takes the gradients of the weights; those without one stay."""
        for weight, view in zip(self.weights, self.param_groups[0]["params"], strict=True):
            view.grad = None if weight.grad is None else rows(weight.grad)
        super().step()


def rows(weight: Tensor) -> Tensor:
    """(out, in, ...) as a matrix; a view of channels-last weights, since the order of its columns does not matter."""
    return weight.movedim(1, -1).flatten(1) if weight.ndim > 2 else weight


def optimizers(network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Of all parameters that train; the groups' ``share`` is of the learning rate.

    Args:
        network: its convolutions are laid out channels last.
        rate: AdamW's learning rate.
    """
    layers = [
        module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d | nn.Conv3d) and not name.endswith(EDGES)
    ]
    weights = [weight for weight in layers if weight.requires_grad]
    taken = {id(weight) for weight in weights}
    others = [one for one in network.parameters() if one.requires_grad and id(one) not in taken]
    adam = torch.optim.AdamW([{"params": others, "share": 1.0}], rate, (0.9, 0.98), weight_decay=1e-4, fused=True)
    return [adam, Matrices(weights, rate)]
