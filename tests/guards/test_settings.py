"""Every setting of the stack that a user can reach has a guard.

What can be reached is read from jsonargparse's own help: the options, and the classes that it offers for each.
"""

import re
from collections import Counter
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from diffusers import SchedulerMixin
from jsonargparse import ArgumentParser

from tests.guards.door import key
from vsr_adapter.cli import main
from vsr_adapter.training.module import AdapterModule

# of torchmetrics' `Metric`: how processes share sums, which the metrics pass on unseen
THEIRS = {
    "compute_on_cpu", "compute_with_cache", "dist_sync_fn", "dist_sync_on_step", "distributed_available_fn",
    "process_group", "sync_on_compute",
}  # fmt: skip


def looked_up(kind: type, name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], list[type]]:
    """A class's options, dotted, and the classes of ours that can be chosen for them."""
    monkeypatch.setenv("COLUMNS", "1000000")
    parser = ArgumentParser()
    parser.add_class_arguments(kind, name, sub_configs=True)
    said = " ".join(parser.format_help().split())
    options = re.findall(rf"--{name}\.([\w.]+)", said)
    offered = {path for group in re.findall(r"known subclasses: ([\w., ]+)\)", said) for path in group.split(", ")}
    # an activation may be any module: all of torch's are offered, and with them every network of ours
    parts = {path for path in offered if path.startswith("vsr_adapter.")} if "torch.nn.Module" not in offered else set()
    paths = [path.rsplit(".", 1) for path in sorted(parts)]
    kinds = [getattr(import_module(module), kind) for module, kind in paths]
    # a scheduler is a class, its arguments are the backbone's: nobody types them
    return [option for option in options if not option.endswith(".help")], [
        kind for kind in kinds if not issubclass(kind, SchedulerMixin)
    ]


def reached(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """``model.X``, and for each class that can be chosen ``Class`` and ``Class.argument``."""
    options, found = looked_up(AdapterModule, "model", monkeypatch)
    settings, seen = {f"model.{option}" for option in options}, set[type]()
    while found:
        kind = found.pop()
        if kind in seen:
            continue
        seen.add(kind)
        arguments, more = looked_up(kind, kind.__name__, monkeypatch)
        settings |= {kind.__name__, *(f"{kind.__name__}.{name}" for name in arguments if name not in THEIRS)}
        found += more
    assert len(seen) == len({kind.__name__ for kind in seen}), "guards name classes without their modules"
    return settings


def guarded() -> Counter[str]:
    """How many tests guard each setting, by the marks of `guards`."""
    found: Counter[str] = Counter()
    for path in sorted(Path(__file__).parent.glob("test_guard_*.py")):
        module = import_module(f"tests.guards.{path.stem}")
        tests = [value for name, value in vars(module).items() if name.startswith("test_")]
        found.update(setting for test in tests for setting in getattr(test, "guards_of_the_stack", ()))
    return Counter({(key(name) if name[0].islower() else name): count for name, count in found.items()})


def test_every_setting_of_the_stack_has_a_guard_and_every_guard_a_setting(monkeypatch):
    settings, marked = reached(monkeypatch), guarded()
    assert len(settings) > 130
    assert sorted(settings - set(marked)) == [], "settings without a guard"
    assert sorted(set(marked) - settings) == [], "guards of what is no setting"


def flat(tree: dict[str, Any], prefix: str) -> set[str]:
    """Leaves and parts by their names; classes are looked at by `reached`."""
    names = set()
    for name, value in tree.items():
        names.add(f"{prefix}.{name}")
        if isinstance(value, dict) and "class_path" not in value:
            names |= flat(value, f"{prefix}.{name}")
    return names


def test_what_the_command_line_prints_as_its_config_is_what_is_looked_at(monkeypatch):
    printed = StringIO()
    with redirect_stdout(printed):
        assert main(["fit", "--config=tiny.yaml", "--print_config"]) == 0
    config = yaml.safe_load(printed.getvalue())["model"]
    assert flat(config, "model") <= reached(monkeypatch)
