"""Mutants of wires: nearly all keep types, and run on with something else than was meant."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from tests.mutants.source import Edit, Function, Module, Package, called, parameters

ALIKE = [
    "rows columns", "height width", "top left", "y x", "begin end", "start stop", "first last", "lr hr", "train val",
    "val test", "prompt negative_prompt", "prompt_tokens negative_tokens", "negative tokens", "conditioned null",
    "alpha sigma", "unet vae", "encoder adapter", "source target", "target folder", "dropped repeated", "z_0 noise",
    "window overlap", "world_size rank", "train_lr val_lr", "val_lr test_lr", "train_roots roots", "shifted_lr partial",
    "train_clips eval_clips", "jobs refused", "number begin", "epoch batches", "steps len", "clips frames", "z lr",
    "scheduler timesteps", "frames cuts", "first_frame last_frame", "video lr", "whole video", "preview overwrite",
]  # fmt: skip
WORDS = [
    "start step",
    "step low_res",
    "fit val",
    "train val",
    "val test",
    "prompt_tokens negative_tokens",
    "dropped repeated",
]
TIMES = {
    "i",
    "t",
    "index",
    "step",
    "epoch",
    "current_epoch",
    "times",
    "number",
    "rank",
    "global_rank",
    "dataloader_idx",
}
OPTIONAL = {"generator", "dim", "antialias", "align_corners", "key", "default", "persistent", "device", "dtype"}
LITERAL = ast.Constant | ast.UnaryOp


def others(pairs: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for a, b in (pair.split() for pair in pairs):
        found.setdefault(a, []).append(b)
        found.setdefault(b, []).append(a)
    return found


NAMES_ALIKE, WORDS_ALIKE = others(ALIKE), others(WORDS)


def as_default(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """A setting read as its default: an attribute of that name, or the parameter itself in its own function."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        owner = next((one.name for one in module.above(node) if isinstance(one, ast.ClassDef)), "")
        known = [one for one in package.settings.get(node.attr, []) if one.default is not None]
        if getattr(node.value, "id", "") == "self":
            known = [one for one in known if one.owner == owner]
        defaults = [one.default for one in known if isinstance(one.default, LITERAL)]
        texts = {ast.unparse(one) for one in defaults}
        if len(texts) > 1 or isinstance(module.parents[node], ast.Attribute):
            texts.discard("None")  # which of them it is, is not known; and None has no attributes
        for text in sorted(texts)[:1]:
            yield Edit(node, text)
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and (function := module.function(node)):
        for one in parameters(function):
            if one.name == node.id and isinstance(one.default, LITERAL | ast.Name):
                yield Edit(node, ast.unparse(one.default))


def argument_left_out(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """An argument that has a default."""
    if not isinstance(node, ast.Call):
        return
    signatures = package.signatures.get(called(node), [])
    optional = OPTIONAL | {one.name for all_of in signatures for one in all_of if one.default is not None}
    for keyword in node.keywords:
        if keyword.arg in optional:
            rest = [one for one in node.keywords if one is not keyword]
            yield Edit(node, call(node, node.args, rest))
    starred = any(isinstance(one, ast.Starred) for one in node.args)
    for all_of in signatures[:1]:
        for place in range(min(len(node.args), len(all_of))):
            if all_of[place].default is not None and not starred:
                named = [
                    ast.keyword(all_of[i].name, node.args[i])
                    for i in range(place + 1, min(len(node.args), len(all_of)))
                ]
                yield Edit(node, call(node, node.args[:place], [*named, *node.keywords]))


def call(node: ast.Call, args: list[ast.expr], keywords: list[ast.keyword]) -> str:
    return ast.unparse(ast.Call(node.func, args, keywords))


def always_first(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """An index, a time or a loop's variable that stays at the first."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        loops = loop_variables(module, node)
        if isinstance(node.slice, ast.Name) and (node.slice.id in loops or node.slice.id in TIMES):
            yield Edit(node.slice, "0" if node.slice.id in loops else f"0 * {node.slice.id}")
    name = getattr(node, "id", None) or getattr(node, "attr", None)
    loaded = isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)
    if loaded and name in TIMES and is_value(module, node):
        yield Edit(node, f"(0 * {module.segment(node)})")
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        sequence = loop_variables(module, node).get(node.id)
        if sequence:
            yield Edit(node, f"[*{sequence}][0]")


def is_value(module: Module, node: ast.AST) -> bool:
    """Whether a name stands for itself, and not for what is called or for an attribute of it."""
    above = module.parents[node]
    return not isinstance(above, ast.Attribute) and not (isinstance(above, ast.Call) and above.func is node)


def loop_variables(module: Module, node: ast.AST) -> dict[str, str]:
    """Variables of the loops around a node that run over something that can be asked twice, and what that is."""
    found: dict[str, str] = {}
    below = node
    for one in module.above(node):
        generators = getattr(one, "generators", []) if below not in getattr(one, "generators", []) else []
        loops = generators or ([one] if isinstance(one, ast.For) and below in one.body else [])
        for loop in loops:
            sources, targets = [loop.iter], [loop.target]
            if isinstance(loop.iter, ast.Call) and called(loop.iter) == "zip" and isinstance(loop.target, ast.Tuple):
                sources, targets = loop.iter.args, loop.target.elts
            if (
                isinstance(loop.iter, ast.Call)
                and called(loop.iter) == "enumerate"
                and isinstance(loop.target, ast.Tuple)
            ):
                sources, targets = loop.iter.args[:1], loop.target.elts[1:]
            for source, target in zip(sources, targets, strict=False):
                if isinstance(target, ast.Name) and isinstance(source, ast.Name | ast.Attribute):
                    found.setdefault(target.id, ast.unparse(source))
        below = one
        if isinstance(one, Function):
            break
    return found


def part_of_key(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """A part of what names noise, a cache's entry or a result."""
    above = module.parents.get(node)
    if isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) > 1:
        names = any(isinstance(one, ast.Constant) and isinstance(one.value, str) for one in node.elts)
        passed = isinstance(above, ast.Call) and called(above) in package.signatures
        sliced = any(isinstance(one, ast.Slice | ast.Starred) or ast.unparse(one) in ("...", ":") for one in node.elts)
        looked_up = isinstance(above, ast.Subscript | ast.Compare) and not sliced and not is_annotation(above)
        if (names and not isinstance(above, ast.List | ast.Tuple | ast.For | ast.comprehension)) or passed or looked_up:
            for left_out in node.elts:
                rest = [ast.unparse(one) for one in node.elts if one is not left_out]
                yield Edit(
                    node, f"({', '.join(rest)},)" if not isinstance(above, ast.Subscript) else f"{', '.join(rest)},"
                )
    if isinstance(node, ast.Call) and called(node) in ("generator", "repr") and len(node.args) > 1:
        for left_out in node.args:
            yield Edit(node, call(node, [one for one in node.args if one is not left_out], node.keywords))
    if isinstance(node, ast.Dict) and len(node.keys) > 1:
        for left_out in range(len(node.keys)):
            kept = [i for i in range(len(node.keys)) if i != left_out]
            yield Edit(node, ast.unparse(ast.Dict([node.keys[i] for i in kept], [node.values[i] for i in kept])))
    if isinstance(node, ast.JoinedStr) and not isinstance(above, ast.FormattedValue):
        parts = [one for one in node.values if isinstance(one, ast.FormattedValue)]
        for left_out in parts if len(parts) > 1 else []:
            yield Edit(node, ast.unparse(ast.JoinedStr([one for one in node.values if one is not left_out])))


def is_annotation(node: ast.AST) -> bool:
    return isinstance(node, ast.Subscript) and ast.unparse(node.value) in (
        "tuple",
        "dict",
        "list",
        "Callable",
        "Literal",
    )


def one_for_both(module: Module, node: ast.AST, package: Package) -> Iterator[Edit]:
    """One of two like things used for the other: names that pair up, parameters of one type, neighbouring arguments."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and (function := module.function(node)):
        if not is_value(module, node):
            return
        mine = parameters(function)
        here = {one.name for one in mine} | {
            one.id for one in ast.walk(function) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
        }
        type_of = {one.name: one.annotation for one in mine}
        like = [one for one in NAMES_ALIKE.get(node.id, []) if one in here]
        like += [one for one, kind in type_of.items() if kind and kind == type_of.get(node.id) and one != node.id]
        yield from (Edit(node, one) for one in dict.fromkeys(like))
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        like = [one for one in NAMES_ALIKE.get(node.attr, []) if one in package.attributes]
        yield from (Edit(node, f"{module.segment(node.value)}.{one}") for one in like)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield from (Edit(node, repr(one)) for one in WORDS_ALIKE.get(node.value, []))
    if isinstance(node, ast.Call) and called(node) in package.signatures:
        for one, other in pairwise(node.args):
            names = [getattr(arg, "attr", None) or getattr(arg, "id", "") for arg in (one, other)]
            if names[1] in NAMES_ALIKE.get(names[0], []):
                swapped = [{one: other, other: one}.get(arg, arg) for arg in node.args]
                yield Edit(node, call(node, swapped, node.keywords))


KINDS = {
    "a setting as its default": as_default,
    "an argument left out": argument_left_out,
    "always the first": always_first,
    "a part of a key left out": part_of_key,
    "one of two for both": one_for_both,
}
