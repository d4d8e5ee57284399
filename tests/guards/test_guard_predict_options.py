"""Each short option reaches the setting that it names, and no other: by what ``--print_config`` prints."""

import re
from typing import Any

import pytest
import yaml

from tests.guards.table import guards
from vsr_adapter.cli import main

Settings = dict[str, Any]

SEEDS = {"seed_everything": 7, "model.seed": 7, "data.seed": 7}
COMMON = {"--seed": ("7", SEEDS), "--ckpt_path": ("x.ckpt", {"ckpt_path": "x.ckpt"})}
SAMPLING = {"--steps": ("5", {"model.sampler.steps": 5}), "--condition": ("shuffled", {"model.condition": "shuffled"})}
PREDICT = {
    "--output_format": ("mkv", {"data.predict.encoding.format": "mkv"}),
    "--codec": ("x265", {"data.predict.encoding.codec": "x265"}),
    "--crf": ("20.5", {"data.predict.encoding.crf": 20.5}),
    "--height": ("31", {"data.predict.height": 31}),
    "--start": ("3", {"data.predict.start": 3}),
    "--frames": ("4", {"data.predict.frames": 4}),
    "--tile": ("24", {"model.tiles.size": 24}),
    "--damaged": ("skip", {"data.predict.damaged": "skip"}),
    "--overwrite": (None, {"data.predict.overwrite": True}),
    "--clean": (None, {"data.predict.clean": True}),
}
TYPED: dict[str, dict[str, tuple[str | None, Settings]]] = {
    "fit": COMMON,
    "validate": COMMON,
    "test": COMMON | SAMPLING | {"--output": ("there", {"report.folder": "there"})},
    "predict": COMMON | SAMPLING | PREDICT,
}
FILES = {"--adapter": "model.adapter_file"}  # must exist


def flat(settings: Settings, before: str = "") -> Settings:
    """Leaves by their dotted names, as they are typed."""
    found: Settings = {}
    for name, value in settings.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return {name.replace(".init_args", "").replace("model.sampling.", "model."): v for name, v in found.items()}


def printed(capsys: Any, *arguments: object) -> Settings:
    """The settings of a command line."""
    capsys.readouterr()
    assert main([*map(str, arguments), "--print_config"]) == 0
    return flat(yaml.safe_load(capsys.readouterr().out))


def changed(before: Settings, after: Settings) -> Settings:
    return {name: value for name, value in after.items() if name not in before or before[name] != value}


@guards(*(f"{command} {option}" for command, options in TYPED.items() for option in (*options, *FILES)))
@pytest.mark.parametrize("command", TYPED)
def test_options_reach_the_settings_that_they_name(command, capsys, tmp_path):
    (tmp_path / "adapter").touch()
    needed = ["--input", tmp_path, "--output", "out"] if command == "predict" else []
    words = [word for option, (value, _) in TYPED[command].items() for word in (option, value) if word is not None]
    before = printed(capsys, command, "--config=tiny.yaml", *needed)
    after = printed(capsys, command, "--config=tiny.yaml", *needed, *words, "--adapter", tmp_path / "adapter")
    expected = {name: value for _, reached in TYPED[command].values() for name, value in reached.items()}
    assert changed(before, after) == expected | {"model.adapter_file": str(tmp_path / "adapter")}


@guards("predict --input", "predict --output", "predict --quiet")
def test_inputs_outputs_and_quiet_reach_theirs(capsys, tmp_path):
    (tmp_path / "in").mkdir()
    run = ["predict", "--config=tiny.yaml"]
    before = printed(capsys, *run, "--input", tmp_path, "--output", "out")
    assert (before["data.input"], before["data.output"]) == ([str(tmp_path)], "out")
    after = printed(capsys, *run, "--input", tmp_path, tmp_path / "in", "--output", "other.mp4", "--quiet")
    inputs = [str(tmp_path), str(tmp_path / "in")]
    expected = {"data.input": inputs, "data.output": "other.mp4", "data.predict.quiet": True}
    assert changed(before, after) == expected


@guards("fit --config", "validate --config", "test --config", "predict --config")
def test_later_configs_win_over_earlier_ones(capsys, tmp_path):
    (tmp_path / "mine.yaml").write_text("data: {frames: 5, size: 48}")
    for command in TYPED:
        needed = ["--input", tmp_path, "--output", "out"] if command == "predict" else []
        mine = printed(capsys, command, "--config", "tiny.yaml", "-c", tmp_path / "mine.yaml", *needed)
        assert (mine["data.frames"], mine["data.size"], mine["data.num_workers"]) == (5, 48, 0)


def test_the_default_stack_looks_at_an_adapter_where_one_is_given(capsys, tmp_path):
    (tmp_path / "adapter").touch()
    run = ["predict", "--input", tmp_path, "--output", "out"]
    assert printed(capsys, *run)["model.condition"] == "off"
    for option in ("--adapter", "--ckpt_path"):
        assert printed(capsys, *run, option, tmp_path / "adapter")["model.condition"] == "on"
    more = ["--adapter", tmp_path / "adapter", "--condition=shuffled"]
    assert printed(capsys, *run, *more)["model.condition"] == "shuffled"


def options(capsys: Any, command: str) -> set[str]:
    """What the help of a command lists."""
    capsys.readouterr()
    assert main([command, "--help"]) == 0
    return set(re.findall(r"^  (?:-\w, )?(--\w+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}
