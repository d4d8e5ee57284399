"""Which optimizer updates what, and that Muon on convolutions is torch's on their matrices."""

import pytest
import torch
from torch import nn

from recipes.mini.optimizers import MATRIX_SHARE, Matrices, optimizers, orthogonal
from vsr_adapter.frozen import channels_last


class Small(nn.Module):
    """A first layer, two inner ones with biases, a norm, a last layer."""

    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(3, 4, 3)
        self.inner = nn.Conv2d(4, 6, 3)
        self.norm = nn.GroupNorm(2, 6)
        self.deep = nn.Conv3d(6, 6, (3, 1, 1))
        self.linear = nn.Linear(6, 5)
        self.conv_out = nn.Conv2d(5, 3, 1)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return channels_last(Small())


def test_every_parameter_that_trains_has_one_optimizer(small):
    small.norm.requires_grad_(False)
    adam, muon = optimizers(small, 1e-3)
    assert [tuple(weight.shape) for weight in muon.param_groups[0]["params"]] == [(6, 4, 3, 3), (6, 6, 3, 1, 1), (5, 6)]
    counted = sum(one.numel() for optimizer in (adam, muon) for one in optimizer.param_groups[0]["params"])
    assert counted == sum(one.numel() for one in small.parameters() if one.requires_grad)
    assert (adam.param_groups[0]["share"], muon.param_groups[0]["share"]) == (1, MATRIX_SHARE)


def test_a_convolution_is_updated_as_its_matrix(small):
    weight = small.inner.weight
    matrix = nn.Parameter(weight.detach().flatten(1).clone())
    ours = Matrices([weight], 0.1)
    theirs = torch.optim.Muon([matrix], lr=0.1, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
    before = weight.detach().clone()
    for seed in range(3):
        weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(seed))
        matrix.grad = weight.grad.flatten(1)
        ours.step()
        theirs.step()
    assert (weight - before).abs().max() > 0.01
    torch.testing.assert_close(weight.flatten(1), matrix, atol=3e-3, rtol=0)  # theirs orthogonalises in bfloat16


@pytest.mark.parametrize("shape", [(6, 20), (20, 6), (7, 7)])
def test_updates_are_semi_orthogonal(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    found = orthogonal(matrix)
    values = torch.linalg.svdvals(found)
    assert (values.min(), values.max()) == (pytest.approx(0.95, abs=0.3), pytest.approx(0.95, abs=0.3))
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.cosine_similarity(found.flatten(), (left @ right).flatten(), dim=0) > 0.97  # the polar factor
    torch.testing.assert_close(orthogonal(matrix * 100), found)


def test_weights_without_a_gradient_stay(small):
    weight = small.inner.weight
    before = weight.detach().clone()
    Matrices([weight], 0.1).step()
    assert torch.equal(weight, before)
