"""Muon for the matrices of a network, AdamW for the rest."""

import torch
from torch import Tensor, nn

MATRIX_SHARE = 2.0  # Muon's learning rate, by AdamW's
MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # of Muon's authors: singular values end near 1 (.7 to 1.2), within 5 steps
EDGES = ("conv_in", "conv_out", "patch_embed.proj", "head")  # first and last layers, which Muon is not for


class Matrices(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) with Nesterov momentum, for the weights of convolutions too.

    torch's takes matrices alone, and orthogonalises in bfloat16, for which CPUs without AVX-512 have no kernels: two
    thirds of a training step were spent there. Each weight (out, in, ...) is a matrix of ``out`` rows. At equal rates
    its updates are as large as AdamW's (``match_rms_adamw`` of torch).

    Args:
        weights: what it updates.
        rate: learning rate.
    """

    def __init__(self, weights: list[Tensor], rate: float):
        super().__init__([{"params": weights, "share": MATRIX_SHARE}], {"lr": rate})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure: gradients are there already
        """Updates the weights that have a gradient."""
        for group in self.param_groups:
            for weight in [one for one in group["params"] if one.grad is not None]:
                state = self.state[weight]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                state["momentum_buffer"].lerp_(weight.grad, 1 - MOMENTUM)
                update = weight.grad.lerp(state["momentum_buffer"], MOMENTUM).flatten(1)
                size = group["lr"] * 0.2 * max(update.shape) ** 0.5
                weight.sub_(orthogonal(update).view(weight.shape), alpha=size)


def orthogonal(matrix: Tensor) -> Tensor:
    """About the nearest matrix of the same shape whose rows, or columns, are orthonormal: the update of Muon."""
    if len(matrix) > matrix.shape[1]:
        return orthogonal(matrix.T).T.contiguous()
    a, b, c = NEWTON_SCHULZ
    matrix = matrix / matrix.norm().clamp(min=1e-7)
    for _ in range(5):
        gram = matrix @ matrix.T
        matrix = torch.addmm(matrix, torch.addmm(gram, gram, gram, beta=b, alpha=c), matrix, beta=a)
    return matrix


def optimizers(network: nn.Module, rate: float) -> list[torch.optim.Optimizer]:
    """Of all parameters that train; the groups' ``share`` is of the learning rate.

    Args:
        network: what they update.
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
