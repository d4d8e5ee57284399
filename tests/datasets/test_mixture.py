from collections import Counter

import pytest
import yaml

from tests.clips import real_clips
from vsr_adapter.cli import main
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.loader import EpochIndex
from vsr_adapter.data.mixture import Mixture
from vsr_adapter.errors import UserError
from vsr_adapter.training.datamodule import ClipDataModule


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    return [real_clips(folder / f"set{count}", count, frames=2) for count in (2, 6)]


def mixture(sets, weights, seed=0):
    return Mixture([ClipDataset(root, frames=2, size=64, stride=2) for root in sets], weights, seed)


def shown(of, epoch):
    """Which set, and which clip, an epoch shows: sets have clips of the same names, so by their number of clips."""
    found = [of[EpochIndex(i, epoch)].name for i in range(len(of))]
    return [found[: of.shares[0]], found[of.shares[0] :]]


def test_shares_follow_the_weights_and_an_epoch_keeps_its_length(sets):
    assert mixture(sets, None).shares == [2, 6]
    assert mixture(sets, [1, 1]).shares == [4, 4]
    assert mixture(sets, [3, 1]).shares == [6, 2]
    assert len(mixture(sets, [3, 1])) == 8


def test_no_clip_comes_again_before_all_of_its_set(sets):
    mixed = mixture(sets, [3, 1])
    few, many = (Counter(name for epoch in range(3) for name in shown(mixed, epoch)[which]) for which in (0, 1))
    assert set(few.values()) == {9}, "two clips in six places of three epochs"
    assert set(many.values()) == {1}, "six clips in two places of three epochs"
    assert len(many) == 6


def test_the_order_is_a_function_of_seed_and_epoch(sets):
    assert shown(mixture(sets, [1, 1]), 2) == shown(mixture(sets, [1, 1]), 2)
    orders = {tuple(shown(mixture(sets, None, seed), epoch)[1]) for seed in (0, 1) for epoch in (0, 1)}
    assert len(orders) == 4


def test_training_takes_several_sets(sets, capsys):
    data = ClipDataModule(train=sets, train_weights=[1, 1], size=64, frames=2, num_workers=0)
    assert len(list(data.train_dataloader())) == 8
    more = [f"--data.train=[{sets[0]},{sets[1]}]", "--data.train_weights=[1,2]"]
    assert main(["fit", "--config", "tiny.yaml", *more, "--print_config"]) == 0
    printed = yaml.safe_load(capsys.readouterr().out)["data"]
    assert printed["train"] == [str(root) for root in sets]
    assert printed["train_weights"] == [1, 2]
    assert main(["fit", "--config", "tiny.yaml", f"--data.train={sets[0]}", "--print_config"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["train"] == str(sets[0])


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1], [1, 1, 1]])
def test_weights_that_do_not_fit_are_refused(sets, weights):
    with pytest.raises(UserError, match=r"train_weights \[.*\] of 2 sets: must be as many, and positive"):
        mixture(sets, weights)


def test_one_folder_of_twins_goes_with_one_set(sets):
    with pytest.raises(UserError, match=r"data.train_lr .*: goes with one train set, not 2; leave it out"):
        ClipDataModule(train=sets, train_lr=sets[0])
