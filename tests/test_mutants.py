"""The kept defects fit the code that is there, and mutants are what they say; `make mutants` runs them."""

import ast

import pytest

from tests.mutants import generic, wiring
from tests.mutants.draw import drawn, mutants_of
from tests.mutants.report import accepted, defects
from tests.mutants.source import Module, Package, path_of
from tests.mutants.table import TESTS, selection

PACKAGE = Package()


@pytest.mark.parametrize("defect", defects(), ids=lambda one: one.name)
def test_a_kept_defect_is_found_once_in_its_module_and_is_python(defect):
    assert ast.dump(ast.parse(defect.planted())) != ast.dump(ast.parse(defect.text))
    assert defect.module in TESTS


def test_the_table_names_modules_and_tests_that_are_there():
    for module in TESTS:
        assert path_of(module).is_file(), module
        for test in selection(module):
            path, *rest = test.removeprefix("not ").split("::")
            assert (path_of("tests").parents[1] / path).exists(), test
            assert not rest or f"def {rest[0].split('[')[0]}(" in (path_of("tests").parents[1] / path).read_text(), test


def proposed(kind, text, tmp_path):
    (tmp_path / "code.py").write_text(text)
    module = Module(tmp_path / "code.py")
    return {module.edited(edit) for node in module.places() for edit in kind(module, node, PACKAGE)}


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (wiring.as_default, "x = options.segment", "x = 12"),
        (wiring.as_default, "def f(overlap=2):\n    return overlap", "def f(overlap=2):\n    return 2"),
        (
            wiring.argument_left_out,
            "y = field(kind, shape, step=i)\ny = crop(dim=1)",
            "y = field(kind, shape, step=i)\ny = crop()",
        ),
        (wiring.always_first, "y = [f(a) for a in b]", "y = [f([*b][0]) for a in b]"),
        (wiring.always_first, "y = z[index]", "y = z[0 * index]"),
        (wiring.part_of_key, "y = generator(seed, name)", "y = generator(seed)"),
        (wiring.part_of_key, "y = ('fit', epoch)", "y = ('fit',)"),
        (wiring.one_for_both, "y = a.rows", "y = a.columns"),
        (wiring.one_for_both, "def f(a: int, b: int):\n    return g(a)", "def f(a: int, b: int):\n    return g(b)"),
        (generic.comparison, "y = a < b", "y = a <= b"),
        (generic.sign, "y = a + b", "y = (a - b)"),
        (generic.constant, "y = 1", "y = 2"),
        (generic.negation, "y = not a", "y = a"),
        (generic.condition, "y = a if b else c", "y = a if False else c"),
        (generic.statement, "f(x)", "pass"),
        (generic.argument, "y = f(a, b)", "y = f(b, b)"),
    ],
)
def test_each_kind_changes_what_it_names(kind, text, expected, tmp_path):
    assert expected in proposed(kind, text, tmp_path)


def test_signatures_messages_and_asserts_are_left_alone(tmp_path):
    text = "def f(a: int = 1) -> tuple[int, int]:\n    '''2 + 3'''\n    assert a < 4\n    raise UserError(f'{a + 5}')\n"
    for kind in (*wiring.KINDS.values(), *generic.KINDS.values()):
        assert not proposed(kind, text, tmp_path)


def test_lines_below_a_mutant_stay_where_they_were(tmp_path):
    """jsonargparse reads the source of classes at their line."""
    text = "y = {\n    'a': 1,\n    'b': 2,\n}\nf(\n    x,\n)\nlast = 1"
    for kind in (*wiring.KINDS.values(), *generic.KINDS.values()):
        for mutated in proposed(kind, text, tmp_path):
            assert ast.parse(mutated).body[-1].lineno == 8


def test_a_draw_is_half_wiring_has_no_two_alike_and_is_that_of_its_seed():
    modules = ["vsr_adapter.seeds", "vsr_adapter.diffusion.start"]
    first = drawn(modules, 30, 0)
    assert len({(one.module, ast.dump(ast.parse(one.source))) for one in first}) == 30
    assert sum(one.family == "wiring" for one in first) == 15
    assert len({one.kind for one in first}) > 8
    assert [one.name for one in drawn(modules, 30, 0)] == [one.name for one in first]
    assert {one.name for one in drawn(modules, 30, 1)} != {one.name for one in first}


def test_accepted_survivors_have_reasons_and_exist():
    known = {one.name for module in TESTS for one in mutants_of(module, PACKAGE)} if accepted() else set()
    for name, reason in accepted().items():
        assert name in known
        assert len(reason) > 10
