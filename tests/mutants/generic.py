"""Mutants of any program: comparisons, signs, constants, conditions, calls."""

import ast
from collections.abc import Iterator

from tests.mutants.source import Edit, Module, Package, called

COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
SIGNS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult}


def comparison(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """< for <=, == for != ..."""
    if isinstance(node, ast.Compare):
        for place, one in enumerate(node.ops):
            ops = [*node.ops[:place], COMPARISONS[type(one)](), *node.ops[place + 1 :]]
            yield Edit(node, ast.unparse(ast.Compare(node.left, ops, node.comparators)))


def sign(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """+ for - ..."""
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS:
        yield Edit(node, f"({ast.unparse(ast.BinOp(node.left, SIGNS[type(node.op)](), node.right))})")
    if isinstance(node, ast.AugAssign) and type(node.op) in SIGNS:
        yield Edit(node, ast.unparse(ast.AugAssign(node.target, SIGNS[type(node.op)](), node.value)))


def constant(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """A number and one more; True for False."""
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        yield Edit(node, repr(not node.value if isinstance(node.value, bool) else node.value + 1))


def negation(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """`not` left out, `and` for `or`."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield Edit(node, ast.unparse(node.operand))
    if isinstance(node, ast.BoolOp):
        other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        yield Edit(node, f"({ast.unparse(ast.BoolOp(other, node.values))})")


def condition(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """Conditions that always or never hold."""
    if isinstance(node, ast.If | ast.IfExp):
        yield from (Edit(node.test, text) for text in ("True", "False"))
    if isinstance(node, ast.While):
        yield Edit(node.test, "False")
    if isinstance(node, ast.comprehension):
        yield from (Edit(one, "True") for one in node.ifs)


def statement(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """A call whose result nobody takes, or a change in place, left out."""
    called_alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    if isinstance(node, ast.AugAssign | ast.Delete) or (called_alone and called(node.value) != "__init__"):
        yield Edit(node, "pass")


def argument(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """An argument of a call in the place of another."""
    if isinstance(node, ast.Call):
        names = {one.id: one for one in node.args if isinstance(one, ast.Name)}
        for one in names.values():
            yield from (Edit(one, other) for other in names if other != one.id)


KINDS = {
    "a comparison": comparison,
    "a sign": sign,
    "a constant": constant,
    "a negation": negation,
    "a condition": condition,
    "a statement left out": statement,
    "an argument for another": argument,
}
