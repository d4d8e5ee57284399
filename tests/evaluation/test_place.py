"""What lies elsewhere is told from what is only bad, on crops as small as tests have them."""

import numpy as np
import pytest
import torch

from tests.clips import cut
from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.place import check_place
from vsr_adapter.resize import bicubic_downscale, bicubic_upscale

PLACES = [(top, left) for top in (0, 64, 128) for left in (0, 80, 160)]
SIDE = 64


def crop(top, left):
    """Truth, LR, and bicubic of it, four frames."""
    frames = np.stack(cut(0, 4, top=top, left=left, height=SIDE, width=SIDE))
    truth = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    lr = bicubic_downscale(truth)
    return truth, lr, bicubic_upscale(lr)


def refused(video, truth, lr):
    try:
        check_place("x", video, truth, lr)
    except UserError:
        return True
    return False


def test_bicubic_lies_where_it_should_whatever_the_content():
    for place in PLACES:
        truth, lr, bicubic = crop(*place)
        assert not refused(bicubic, truth, lr), place
        assert not refused(truth, truth, lr), place


def test_what_shows_nothing_of_the_truth_is_bad_and_not_elsewhere():
    noise = torch.rand(4, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    smooth = bicubic_upscale(bicubic_downscale(noise))
    for place in PLACES:
        truth, lr, _ = crop(*place)
        for video in (noise, smooth, torch.zeros_like(noise), torch.full_like(noise, truth.mean().item())):
            assert not refused(video, truth, lr), place


@pytest.mark.parametrize(("dy", "dx"), [(2, 0), (0, -2), (-2, 2), (3, 1)])
def test_shifts_are_found(dy, dx):
    found = [refused(bicubic.roll((dy, dx), (-2, -1)), truth, lr) for truth, lr, bicubic in (crop(*p) for p in PLACES)]
    assert sum(found) >= len(PLACES) - 2  # of flat content nobody can tell
