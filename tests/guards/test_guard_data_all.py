"""Every setting of data, of predict, of the report and of our callbacks, and every short option, has a guard."""

import ast
import importlib
import inspect
from pathlib import Path

import pytest

from tests.guards.table import GUARDED
from tests.guards.test_guard_predict_options import TYPED, options, printed
from vsr_adapter.data import degradations

HERE = Path(__file__).parent
ELSEWHERE = {  # tests outside this folder that go through the same door
    "predict --json": "tests/predict/test_resume.py::test_the_summary_as_json",
}


def guarded() -> dict[str, str]:
    """By setting: file and name of its test."""
    for file in sorted([*HERE.glob("test_guard_data_*.py"), *HERE.glob("test_guard_predict_*.py")]):
        importlib.import_module(f"tests.guards.{file.stem}")
    return GUARDED | ELSEWHERE


def degradation_settings() -> set[str]:
    """The classes that a user can name, and their arguments."""
    found = set()
    for name in degradations.__all__:
        kind = getattr(degradations, name)
        if not inspect.isabstract(kind):
            found.add(f"data.degradation={name}")
            own = [] if kind.__init__ is object.__init__ else list(inspect.signature(kind).parameters)
            found |= {f"data.degradation={name}.{argument}" for argument in own}
    return found


def reachable(capsys) -> set[str]:
    """From the program's own parser."""
    settings = printed(capsys, "fit", "--config=tiny.yaml")
    found = {name for name in settings if name.startswith(("data.", "report."))}
    for callback in settings["trainer.callbacks"]:
        if callback["class_path"].startswith("vsr_adapter."):
            found |= {f"{callback['class_path'].split('.')[-1]}.{name}" for name in callback["init_args"]}
    found |= {f"{command} {option}" for command in TYPED for option in options(capsys, command)}
    return found | degradation_settings()


def test_every_setting_has_a_guard_and_no_guard_is_of_a_setting_that_is_gone(capsys):
    found, wanted = {name for name in guarded() if not name.startswith("model.")}, reachable(capsys)
    assert wanted - found == set(), "settings without a guard"
    assert found - wanted == set(), "guards of what no user can set"
    assert len(wanted) > 60


@pytest.mark.parametrize("place", sorted(set(guarded().values())))
def test_the_named_tests_exist(place):
    file, name = place.split("::")
    tree = ast.parse((HERE.parents[1] / file).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
