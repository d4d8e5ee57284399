"""`tile: auto`, and the count of bytes behind it."""

from dataclasses import replace

import pytest
import torch

from tests.stacks import model
from vsr_adapter.errors import UserError
from vsr_adapter.inference import memory
from vsr_adapter.inference.memory import Peak, activations, fitting_tiles
from vsr_adapter.sampling import Tiling


def test_the_peak_is_that_of_tensors_alive_together():
    with Peak() as peak:
        kept = torch.zeros(1000)
        for _ in range(3):
            torch.zeros(500)
        view = kept[:10]
        both = torch.zeros(2000) + 1  # the sum while its first term lives
        del both, view
    assert peak.most == (1000 + 2000 + 2000) * 4
    assert peak.now == 1000 * 4


def test_auto_is_the_largest_tile_that_fits_and_is_said_once(monkeypatch):
    stack = model(tiles=Tiling("auto", 16))
    taken = activations(stack, Tiling(32, 8), 32, 32)
    assert taken > 4 * 8 * 3 * 128 * 128, "more than the decoded frames alone"
    buffers = memory.frame_buffers(stack, 200, 200)
    found = []
    for times in (1.1, 4.5, 9.5, 1000):
        monkeypatch.setattr(memory, "free", lambda device, times=times: (buffers + times * taken) / memory.SHARE)
        found.append(fitting_tiles(stack, 200, 200).size)
    assert found == [32, 64, 96, 160]
    monkeypatch.setattr(memory, "free", lambda device: 1000)
    with pytest.raises(UserError, match="not even one of 32 fits"):
        fitting_tiles(stack, 200, 200)
    stack.sampling = replace(stack.sampling, tiles=Tiling(24, 4))
    assert fitting_tiles(stack, 200, 200) is stack.sampling.tiles
