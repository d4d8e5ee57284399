import torch

from vsr_adapter.diffusion import InferenceGridTimeSteps, UniformTimeSteps, WholeGridTimeSteps
from vsr_adapter.seeds import generator

GRID = torch.arange(1, 1000, 33).flip(0)


def drawn(steps, count=2000):
    return torch.cat([steps.draw(1000, GRID, generator(i)) for i in range(count)])


def test_uniform_covers_all_times_evenly():
    times = drawn(UniformTimeSteps(), 20000)
    assert times.min() < 3
    assert times.max() > 996
    counts = torch.histc(times.float(), 10, 0, 999)
    # 2000 expected in each tenth, standard deviation 42
    assert (counts - 2000).abs().max() < 200


def test_the_inference_grid_is_drawn_from_alone_and_whole():
    times = drawn(InferenceGridTimeSteps())
    assert sorted(set(times.tolist())) == sorted(GRID.tolist())


def test_the_whole_grid_is_every_time_the_sampler_visits():
    assert torch.equal(WholeGridTimeSteps().draw(1000, GRID, generator(0)), GRID)
