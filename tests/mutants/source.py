"""Source text with its tree, edits of it, and what the package says of its own names."""

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vsr_adapter"
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Edit(NamedTuple):
    """What a mutator proposes: new text in the place of a node's."""

    node: ast.AST
    text: str


@dataclass(frozen=True)
class Mutant:
    """A module with one edit.

    Attributes:
        place: function, what was there and what is there now, and which of the like ones: the same when other lines
            of the module change.
        source: of the whole module.
    """

    module: str
    path: Path
    family: str
    kind: str
    line: int
    place: str
    source: str = field(repr=False)

    def rank(self, seed: int) -> str:
        return digest(f"{seed} {self.module} {self.kind} {self.place}")

    @property
    def name(self) -> str:
        """Names it in `accepted.toml`."""
        return digest(f"{self.module} {self.place}")

    @property
    def change(self) -> str:
        """Its lines as they are and as they were."""
        ours, theirs = self.source.splitlines(), self.path.read_text().splitlines()
        found = [line for line in difflib.ndiff(theirs, ours) if line[:2] in ("- ", "+ ") and line[2:].strip()]
        new = sorted(found, key=lambda line: line[0] == "+")
        return "  ".join(f"{line[0]} {line[2:].strip()}" for line in new)


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def path_of(module: str) -> Path:
    """The file of a module of the package."""
    path = ROOT / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


class Module:
    """A module's text and tree, with the parent of each node."""

    def __init__(self, path: Path):
        self.path = path
        self.text = path.read_text()
        self.tree = ast.parse(self.text)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.lines = self.text.encode().splitlines(keepends=True)

    def above(self, node: ast.AST) -> Iterator[ast.AST]:
        """What a node lies in, from the inside out."""
        while node in self.parents:
            node = self.parents[node]
            yield node

    def function(self, node: ast.AST) -> Function | None:
        return next((one for one in self.above(node) if isinstance(one, Function)), None)

    def place(self, node: ast.AST) -> str:
        named = [one.name for one in self.above(node) if isinstance(one, Function | ast.ClassDef)]
        return ".".join(reversed(named))

    def offset(self, line: int, column: int) -> int:
        return sum(len(one) for one in self.lines[: line - 1]) + column

    def segment(self, node: ast.AST) -> str:
        return ast.get_source_segment(self.text, node) or ""

    def edited(self, edit: Edit) -> str:
        """The text with a node's part of it replaced, and as many lines: what reads sources must find those below."""
        node, content = edit.node, self.text.encode()
        fewer = "\n" * (node.end_lineno - node.lineno - edit.text.count("\n"))
        text = f"({edit.text}{fewer})" if fewer and isinstance(node, ast.expr) else edit.text + fewer
        begin = self.offset(node.lineno, node.col_offset)
        end = self.offset(node.end_lineno, node.end_col_offset)
        return (content[:begin] + text.encode() + content[end:]).decode()

    def places(self) -> Iterator[ast.AST]:
        """Nodes that decide what runs: not imports, signatures, messages of errors, docstrings or asserts."""
        skipped = ast.Raise | ast.Assert | ast.Import | ast.ImportFrom | ast.arguments
        queue: list[ast.AST] = [self.tree]
        while queue:
            node = queue.pop(0)
            if isinstance(node, skipped) or (isinstance(node, ast.Call) and says(node)):
                continue
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                continue
            yield node
            hidden = {"annotation", "returns", "decorator_list", "bases"}
            for name, value in ast.iter_fields(node):
                if name not in hidden:
                    queue += [
                        one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)
                    ]


def says(call: ast.Call) -> bool:
    """Whether a call only words or types something."""
    return called(call) in ("UserError", "print", "warn", "say", "cast", "TypeVar", "filterwarnings", "synchronize")


def called(call: ast.Call) -> str:
    """Last part of a callee's name."""
    return getattr(call.func, "attr", None) or getattr(call.func, "id", "")


class Parameter(NamedTuple):
    name: str
    default: ast.expr | None
    annotation: str
    owner: str


def said(value: ast.expr | None) -> ast.expr | None:
    """A field's default, also where it says what it decides: `decides(80)`."""
    declared = isinstance(value, ast.Call) and called(value) in ("decides", "indifferent")
    return value.args[0] if declared else value


class Package:
    """Signatures and attributes of the whole package, by name."""

    def __init__(self) -> None:
        self.signatures: dict[str, list[list[Parameter]]] = {}
        self.attributes: set[str] = set()
        self.settings: dict[str, list[Parameter]] = {}
        for path in sorted(PACKAGE.rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef):
                    self.add_class(node)
                elif isinstance(node, Function) and node.name != "__init__":
                    self.signatures.setdefault(node.name, []).append(parameters(node))
                    self.attributes.add(node.name)
                elif isinstance(node, ast.Attribute):
                    self.attributes.add(node.attr)

    def add_class(self, node: ast.ClassDef) -> None:
        init = next((one for one in node.body if isinstance(one, Function) and one.name == "__init__"), None)
        fields = [one for one in node.body if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)]
        found = (
            [one._replace(owner=node.name) for one in parameters(init)]
            if init
            else [Parameter(one.target.id, said(one.value), ast.unparse(one.annotation), node.name) for one in fields]
        )
        self.signatures.setdefault(node.name, []).append(found)
        for one in found:
            self.settings.setdefault(one.name, []).append(one)
            self.attributes.add(one.name)


def parameters(function: Function) -> list[Parameter]:
    """Those that can be passed by name, without self."""
    args = function.args
    named = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(named) - len(args.defaults)) + list(args.defaults)
    pairs = [*zip(named, defaults, strict=True), *zip(args.kwonlyargs, args.kw_defaults, strict=True)]
    return [
        Parameter(arg.arg, default, ast.unparse(arg.annotation) if arg.annotation else "", "")
        for arg, default in pairs
        if arg.arg not in ("self", "cls")
    ]
