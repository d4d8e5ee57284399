"""Our stack as a method like the others: `vsr compare --config` against `vsr test`, number by number."""

import json
import re

import numpy as np
import pytest
import torch
import yaml

from tests.clips import cut, real_clips, write_folder
from tests.stacks import CONFIGS, model
from vsr_adapter.adapters.files import describe, save_adapter
from vsr_adapter.cli import main
from vsr_adapter.data.clips import ClipDataset
from vsr_adapter.data.degradations import DUFBlurDown
from vsr_adapter.data.trials import Trials
from vsr_adapter.diffusion import Sampler
from vsr_adapter.evaluation.compare import plan_rows
from vsr_adapter.evaluation.loop import evaluate
from vsr_adapter.evaluation.stack import Stack
from vsr_adapter.inference.sample import sample
from vsr_adapter.inference.streaming import upscale_in_tiles
from vsr_adapter.metrics import PSNR, SSIM
from vsr_adapter.peers import Bicubic
from vsr_adapter.sampling import Tiling
from vsr_adapter.seeds import NoiseField

QUIET = ["--trainer.logger=false", "--trainer.enable_progress_bar=false"]
ONE = Sampler(steps=1)
PLAIN = "[{class_path: vsr_adapter.metrics.PSNR}]"


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clips"), 2, size=72)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return real_clips(tmp_path_factory.mktemp("clip"), 1)


def config(path, **sampling):
    """tiny.yaml, sampled otherwise."""
    content = yaml.safe_load((CONFIGS / "tiny.yaml").read_text())
    content["model"]["sampling"].update(sampling)
    path.write_text(yaml.safe_dump(content))
    return path


def adapter(path, seed):
    """An exported adapter of tiny.yaml."""
    torch.manual_seed(seed)
    fresh = model(adapter=type(model().adapter)(8, 100, 64, 32)).adapter
    draw = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(tensor.shape, generator=draw) / 8 for name, tensor in fresh.state_dict().items()}
    save_adapter(path, state, describe(fresh), {})
    return path


def by_test(stack, folder, *more):
    assert main(["test", f"--config={stack}", *QUIET, f"--output={folder}", *map(str, more)]) == 0
    return json.loads((folder / "scores.json").read_text())


def by_compare(folder, *more):
    assert main(["compare", "--device=cpu", f"--output={folder}", *map(str, more)]) == 0
    return json.loads((folder / "scores.json").read_text())


def numbers(content, **renamed):
    """Of each clip and method but for the times."""
    return {
        (one["clip"], renamed.get(one["method"], one["method"])): {
            column: value for column, value in one["values"].items() if column != "s/frame"
        }
        for one in content["clips"]
    }


@pytest.mark.parametrize("size", ["64", "whole"])
def test_compare_prints_what_test_does_bit_for_bit(clips, size, tmp_path):
    """Every default metric, crops at once and whole frames in tiles, of an adapter that only the seed names."""
    theirs = by_test("tiny.yaml", tmp_path / "test", f"--data.test={clips}", f"--data.size={size}")
    ours = by_compare(tmp_path / "compare", "--config", "tiny.yaml", f"--test={clips}", f"--size={size}")
    assert numbers(ours, tiny="ours") == numbers(theirs)
    assert len(numbers(ours)) == 6
    assert list(next(iter(numbers(ours).values()))) == ["PSNR", "SSIM", "LPIPS-alex", "E_warp[DIS] x1000"]
    said = {name.removeprefix("row tiny, "): line for name, line in ours["protocol"].items()}
    assert said.pop("row bicubic") == Bicubic.about
    assert said == theirs["protocol"]
    assert said["tiles"] == ("16, overlap 4, blend" if size == "whole" else "none")
    assert all(ours["means"][name]["s/frame"]["value"] > 0 for name in ("tiny", "bicubic"))


def test_it_is_the_sampler_that_is_scored(clips):
    """An independent way to the output: the sampler itself on the clip, noise named by (seed, clip)."""
    stack, trial = Stack(model(seed=3, sampler=ONE)), Trials(ClipDataset(clips, size=64))[1]
    assert trial.ask.name == "clip01/00000000"
    expected = sample(stack.model, trial.ask.lr[None], [NoiseField((3, "clip01/00000000"), range(8))])[0]
    found = evaluate([stack, Bicubic()], [PSNR()], trial)
    assert torch.equal(found.outputs["ours"], expected)
    values = {score.method: score.values["PSNR"] for score in found.scores}
    ours, truth = ((video.double() * 255).round() for video in (expected, trial.truth))
    error = (ours - truth).square().mean(dim=(1, 2, 3))
    assert values["ours"] == pytest.approx((10 * (255**2 / error).log10()).mean().item(), abs=1e-6)


def test_whole_frames_are_sampled_in_predicts_tiles(clips):
    stack, trial = Stack(model(seed=3, sampler=ONE)), Trials(ClipDataset(clips, size="whole"))[1]
    expected = upscale_in_tiles(stack.model, trial.ask.lr, 0, Tiling(16, 4), (3, "clip01/00000000"), 8)
    assert expected.shape == (8, 3, 72, 72), "of 2 x 2 tiles"
    assert torch.equal(evaluate([stack], [], trial).outputs["ours"], expected)


def test_the_order_of_methods_does_not_matter(clip):
    trial = Trials(ClipDataset(clip, size=64))[0]
    methods = [Stack(model(sampler=ONE), "one"), Bicubic(), Stack(model(seed=1, sampler=ONE), "two")]
    found = [
        {
            score.method: {column: value for column, value in score.values.items() if column != "s/frame"}
            for score in evaluate(order, [PSNR(), SSIM()], trial).scores
        }
        for order in (methods, methods[::-1])
    ]
    assert found[0] == found[1]
    assert list(found[0]) == ["one", "bicubic", "two", "truth"]
    assert found[0]["one"] != found[0]["two"]


def test_a_row_for_each_config_adapter_and_condition(clip, tmp_path):
    """Each is what `vsr test` says of it alone; the frozen weights, which rows share, know nothing of the adapter."""
    one, two = (adapter(tmp_path / f"{name}.safetensors", seed) for seed, name in enumerate(("one", "two")))
    other = config(tmp_path / "other.yaml", seed=7)
    data = [f"--test={clip}", "--size=64", "--clips=1", f"--metrics={PLAIN}"]
    ours = by_compare(
        tmp_path / "a", *data, "--config", "tiny.yaml", other, "--adapter", one, two, "--condition", "off", "on"
    )
    rows = ["tiny one off", "tiny one on", "other two off", "other two on"]
    assert list(ours["means"]) == [*rows, "bicubic", "truth"]
    for row, stack, file, mode in [(rows[1], "tiny.yaml", one, "on"), (rows[2], other, two, "off")]:
        more = [f"--data.test={clip}", f"--model.metrics={PLAIN}", f"--adapter={file}", f"--condition={mode}"]
        theirs = by_test(stack, tmp_path / row, *more)
        key = {row: "ours"}
        expected, found = numbers(theirs), numbers(ours, **key)
        assert {place: found[place] for place in expected} == expected
        assert ours["protocol"][f"row {row}, adapter"] == theirs["protocol"]["adapter"]
        assert ours["protocol"][f"row {row}, sampling"] == theirs["protocol"]["sampling"]
        assert ours["protocol"][f"row {row}, condition"] == mode
    # of one config: the same weights, other rows
    both = by_compare(tmp_path / "b", *data, "--config", "tiny.yaml", "--adapter", one, "--adapter", two)
    assert list(both["means"]) == ["tiny one", "tiny two", "bicubic", "truth"]
    assert numbers(both)["clip00/00000000", "tiny one"] == numbers(ours)["clip00/00000000", "tiny one on"]
    assert len({both["means"][row]["PSNR"]["value"] for row in ("tiny one", "tiny two")}) == 2


def named(*arguments):
    return [(row.name, row.settings) for row in plan_rows(*arguments)]


def test_adapters_pair_with_configs(tmp_path):
    a, b = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert named(["x/tiny.yaml", "mini.yaml"], [], []) == [("tiny", {}), ("mini", {})]
    assert named(["tiny.yaml"], [a], ["off"]) == [("tiny", {"adapter_file": a, "sampling__condition": "off"})]
    assert named(["s.yaml", "t.yaml"], [a], []) == [("s", {"adapter_file": a}), ("t", {"adapter_file": a})]
    assert named(["s.yaml", "t.yaml"], [a, b], []) == [("s a", {"adapter_file": a}), ("t b", {"adapter_file": b})]
    assert [name for name, _ in named(["s.yaml"], [a, b], ["on", "off"])] == ["s a on", "s a off", "s b on", "s b off"]


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (
            ["--config", "tiny.yaml", "mini.yaml", "tiny.yaml", "--adapter", "A", "A"],
            1,
            "2 adapters for 3 configs: pass",
        ),
        (["--adapter", "A"], 1, r"adapter: of which stack\? name it with --config FILE"),
        (["--condition", "off"], 1, r"condition: of which stack\? name it with --config FILE"),
        (
            ["--config", "tiny.yaml", "tiny.yaml"],
            1,
            "tiny: is the name of two rows; give one of them a name of its own",
        ),
        (["--config", "nosuch.yaml"], 1, "nosuch.yaml"),
        (
            ["--config", "mini.yaml", "--adapter", "A"],
            1,
            "tokens is 100, the configured adapter's is 196; use the config",
        ),
        (["--config", "tiny.yaml", "--adapter", "B"], 1, "B.safetensors: not a safetensors file"),
        (["--config", "tiny.yaml", "--condition", "maybe"], 2, "maybe"),
    ],
)
def test_what_does_not_pair_or_fit_is_refused_in_one_line(more, code, message, clip, tmp_path, capsys):
    if "A" in more:
        adapter(tmp_path / "A.safetensors", 0)
    (tmp_path / "B.safetensors").write_bytes(b"no weights")
    files = {name: str(tmp_path / f"{name}.safetensors") for name in "AB"}
    words = [files.get(word, word) for word in more]
    assert main(["compare", f"--test={clip}", "--size=64", f"--metrics={PLAIN}", *words]) == code
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert re.search(message, error), error


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        ("Rolled", r"fits \d+\.\d dB better \((1.5|2), 0\) HR pixels away; it was made from another LR"),
        ("Late", r"fits \d+\.\d dB better -1 frames later; write its frames in time"),
        ("Cropped", r"gives \(8, 3, 64, 60\), the truth is \(8, 3, 64, 64\); mend it"),
        ("Nan", r"holds NaN or infinity: metrics take finite video in \[0, 1\]; mend what made it"),
    ],
)
def test_what_no_method_may_give_is_refused_by_both_commands(spoilt, message, tmp_path, capsys):
    write_folder(tmp_path / "clips" / "walk", cut(0, 8, top=96, left=16, height=64, width=64))
    stack = config(tmp_path / "spoilt.yaml", postprocess=[{"class_path": f"tests.spoilt.{spoilt}"}])
    commands = {
        "ours": ["test", f"--config={stack}", *QUIET, f"--data.test={tmp_path / 'clips'}"],
        "spoilt": ["compare", f"--config={stack}", f"--test={tmp_path / 'clips'}", "--size=64"],
    }
    for name, command in commands.items():
        option = "--model.metrics" if name == "ours" else "--metrics"
        assert main([*command, f"{option}={PLAIN}"]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert re.search(rf"vsr: error: {name}, walk/00000000:? {message}", error), error


def test_what_a_user_lets_lie_elsewhere_is_scored(tmp_path):
    """DUF's phase, made or read; the same twins are refused where nothing is said."""
    write_folder(tmp_path / "hr" / "walk", cut(0, 8, top=96, left=16, height=64, width=64))
    duf = "--data.degradation=vsr_adapter.data.degradations.DUFBlurDown"
    one = by_test("tiny.yaml", tmp_path / "a", f"--data.test={tmp_path / 'hr'}", f"--model.metrics={PLAIN}", duf)
    low = ClipDataset(tmp_path / "hr", size=64, degradation=DUFBlurDown())[0].lr
    frames = np.ascontiguousarray((low * 255).round().byte().permute(0, 2, 3, 1).numpy())
    write_folder(tmp_path / "lr" / "walk", list(frames))
    twins = [f"--test={tmp_path / 'hr'}", f"--lr={tmp_path / 'lr'}", "--size=64", f"--metrics={PLAIN}"]
    assert main(["compare", *twins]) == 1
    two = by_compare(tmp_path / "b", "--config=tiny.yaml", *twins, "--shifted_lr=true")
    assert numbers(two, tiny="ours") == numbers(one)


def test_scored_frames_are_those_of_the_set_in_both(tmp_path):
    """Vimeo-90K: metrics of single frames see im4 alone."""
    write_folder(tmp_path / "sequences" / "00001" / "0001", cut(0, 7, height=64, width=80))
    (tmp_path / "sep_testlist.txt").write_text("00001/0001\n")
    metrics = "[{class_path: vsr_adapter.metrics.PSNR}, {class_path: vsr_adapter.metrics.TOF}]"
    theirs = by_test(
        "tiny.yaml", tmp_path / "t", f"--data.test={tmp_path}", "--data.frames=7", "--model.adapter.frames=7",
        f"--model.metrics={metrics}",
    )  # fmt: skip
    content = yaml.safe_load(config(tmp_path / "seven.yaml").read_text())
    content["model"]["adapter"]["init_args"]["frames"] = 7
    (tmp_path / "seven.yaml").write_text(yaml.safe_dump(content))
    ours = by_compare(
        tmp_path / "c", f"--config={tmp_path / 'seven.yaml'}", f"--test={tmp_path}", "--size=64", "--frames=7",
        f"--metrics={metrics}",
    )  # fmt: skip
    assert numbers(ours, seven="ours") == numbers(theirs)
    trial = Trials(ClipDataset(tmp_path, frames=7, size=64))[0]
    assert trial.scored == slice(3, 4)
    found = evaluate([Stack(model(sampler=ONE))], [PSNR()], trial)
    one = PSNR().per_clip(found.outputs["ours"][None, 3:4], trial.truth[None, 3:4]).item()
    assert found.scores[0].values["PSNR"] == one
    assert found.scores[0].values["PSNR"] != PSNR().per_clip(found.outputs["ours"][None], trial.truth[None]).item()


def test_precision_is_the_stacks_and_not_the_metrics(clip, tmp_path):
    more = [f"--data.test={clip}", f"--model.metrics={PLAIN}"]
    theirs = by_test("tiny.yaml", tmp_path / "t", *more, "--trainer.precision=bf16-mixed")
    data = [f"--test={clip}", "--size=64", f"--metrics={PLAIN}", "--config=tiny.yaml"]
    ours, full = by_compare(tmp_path / "h", *data, "--precision=bf16-mixed"), by_compare(tmp_path / "f", *data)
    assert numbers(ours, tiny="ours") == numbers(theirs)
    assert ours["protocol"]["row tiny, run"] == theirs["protocol"]["run"] == "cpu, bf16-mixed"
    assert numbers(full)["clip00/00000000", "tiny"] != numbers(ours)["clip00/00000000", "tiny"]
    assert numbers(full)["clip00/00000000", "bicubic"] == numbers(ours)["clip00/00000000", "bicubic"]


def test_a_metric_is_one_class_and_its_path(clip, tmp_path):
    chosen = "[{class_path: tests.spoilt.Darkness}]"
    theirs = by_test("tiny.yaml", tmp_path / "t", f"--data.test={clip}", f"--model.metrics={chosen}")
    ours = by_compare(tmp_path / "c", "--config=tiny.yaml", f"--test={clip}", "--size=64", f"--metrics={chosen}")
    assert numbers(ours, tiny="ours") == numbers(theirs)
    assert ours["means"]["truth"]["darkness x255"]["value"] == 0
    assert ours["means"]["tiny"]["darkness x255"]["value"] != 0
    assert "darkness on RGB in 8 bit" in ours["protocol"]["metrics"]
