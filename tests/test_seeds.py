import torch

from vsr_adapter.seeds import NoiseField, generator


def test_equal_keys_give_equal_numbers_and_different_keys_do_not():
    draw = lambda *key: torch.randn(4, generator=generator(*key))  # noqa: E731
    assert torch.equal(draw(0, "fit", 3, "a"), draw(0, "fit", 3, "a"))
    keys = [(0, "a"), (1, "a"), (0, "b"), (0, "a", 0), ("0", "a"), (0, "a", 1)]
    drawn = [draw(*key) for key in keys]
    assert all(not torch.equal(drawn[i], drawn[j]) for i in range(len(keys)) for j in range(i))


def test_overlapping_windows_share_the_noise_of_their_frames():
    first, second = NoiseField((0,), range(8)), NoiseField((0,), range(6, 14))
    shape = (4, 3, 5)
    assert torch.equal(first("start", shape)[6:], second("start", shape)[:2])
    assert not torch.equal(first("start", shape), first("step", shape))
    assert not torch.equal(first("step", shape, 0), first("step", shape, 1))


def test_noise_is_standard_normal():
    noise = NoiseField((0,), range(50))("start", (4, 20, 20))
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01


def test_the_global_generator_is_untouched():
    state = torch.get_rng_state()
    NoiseField((0,), range(2))("start", (4, 2, 2))
    assert torch.equal(torch.get_rng_state(), state)
