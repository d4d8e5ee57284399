"""A run of the recipe: interrupted equals uninterrupted, and what it exports loads."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import nn

from recipes.mini.training import Plan, Run, Stage, averages, half
from vsr_adapter.errors import UserError


class Line(Stage):
    """Fits a line: a stage in small."""

    name = "line"

    def __init__(self, state):
        self.state = state
        torch.manual_seed(0)
        self.network = nn.Linear(2, 1)

    def files(self, network):
        return {"line/weights.safetensors": network}

    def configs(self, network):
        return {"line/config.json": {"width": 2}}

    def loss(self, step):
        x = torch.randn(8, 2, generator=torch.Generator().manual_seed(step))
        error = (self.network(x) - x.sum(dim=1, keepdim=True)).square().mean()
        return {"total": error}

    def measure(self, network):
        return {"val_weight": network.weight.sum().item()}


PLAN = Plan(steps=20, rate=1e-2, cooldown=5, warmup=3)


def weights(run):
    return [*run.stage.network.parameters(), *run.average.module.parameters()]


def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(tmp_path):
    whole = Run(Line(tmp_path / "whole"), PLAN)
    whole.go()
    first = Run(Line(tmp_path / "parts"), PLAN)
    for _ in range(7):
        first.advance()
    first.save()
    second = Run(Line(tmp_path / "parts"), PLAN)
    assert second.step == 7
    second.go()
    for ours, theirs in zip(weights(second), weights(whole), strict=True):
        torch.testing.assert_close(ours, theirs, atol=0, rtol=0)


def test_under_bfloat16_the_loss_is_rounded_and_the_weights_are_not(tmp_path):
    wide, narrow = (Run(Line(tmp_path / str(bf16)), replace(PLAN, bf16=bf16)) for bf16 in (False, True))
    losses = [run.advance()["total"] for run in (wide, narrow)]
    assert losses[0] != losses[1] == pytest.approx(losses[0], rel=0.05)
    assert narrow.stage.network.weight.dtype == torch.float32


def test_a_signal_ends_the_run_after_its_step(tmp_path):
    run = Run(Line(tmp_path), PLAN)
    run.stop(15, None)
    run.go()
    assert run.step == 0
    assert run.file.exists()


def test_exported_averages_are_where_a_lost_run_starts_anew(tmp_path):
    run = Run(Line(tmp_path / "run"), PLAN)
    run.go()
    run.export(tmp_path / "export")
    assert (tmp_path / "export" / "line" / "config.json").read_text() == '{\n  "width": 2\n}\n'
    anew = Run(Line(tmp_path / "other"), PLAN, tmp_path / "export")
    assert anew.step == 0
    torch.testing.assert_close(anew.stage.network.weight, run.average.module.weight, atol=1e-3, rtol=1e-3)


def test_a_bad_batch_changes_nothing(tmp_path):
    run = Run(Line(tmp_path), PLAN)
    before = [parameter.clone() for parameter in weights(run)]
    run.stage.loss = lambda step: {"total": run.stage.network.weight.sum() * float("nan")}
    run.advance()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights(run), before, strict=True))


def test_parts_that_not_every_step_has_are_averaged_over_those_that_do():
    assert averages([{"total": 1.0}, {"total": 3.0, "l1": 5.0}]) == {"total": 2, "l1": 5}


def test_the_rate_rises_stays_and_falls():
    rates = [PLAN.rate_at(step) / PLAN.rate for step in range(21)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1])
    assert rates[3:16] == [1] * 13
    assert all(later < earlier for earlier, later in pairwise(rates[15:]))
    assert rates[20] == 0


def test_weights_beyond_half_precision_are_refused():
    with pytest.raises(UserError, match="a weight of 100000: float16 ends at 65504"):
        half(torch.tensor([1e5]))
    with pytest.raises(UserError, match="a weight of nan"):
        half(torch.tensor([float("nan")]))


def test_a_folder_without_the_weights_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"has no line/weights\.safetensors; name a folder of exported weights"):
        Run(Line(tmp_path / "run"), PLAN, tmp_path)
