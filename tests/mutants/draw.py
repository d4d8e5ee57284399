"""All mutants of a module, and as many as are wanted, drawn by a seed."""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest

from tests.mutants import generic, wiring
from tests.mutants.source import Module, Mutant, Package, path_of

FAMILIES = {"wiring": wiring.KINDS, "generic": generic.KINDS}


def mutants_of(module: str, package: Package) -> Iterator[Mutant]:
    """All that is proposed; what several kinds come to counts for the first."""
    parsed, seen, alike = Module(path_of(module)), set[tuple[int, int, str]](), Counter[str]()
    for node in parsed.places():
        for family, kinds in FAMILIES.items():
            for kind, propose in kinds.items():
                for edit in propose(parsed, node, package):
                    if (edit.node.lineno, edit.node.col_offset, edit.text) in seen:
                        continue
                    seen.add((edit.node.lineno, edit.node.col_offset, edit.text))
                    place = f"{parsed.place(edit.node)} {parsed.segment(edit.node)} -> {edit.text}"
                    alike[place] += 1
                    place += f" ({alike[place]})"
                    yield Mutant(module, parsed.path, family, kind, edit.node.lineno, place, parsed.edited(edit))


def changes(mutants: Iterable[Mutant], known: set[str]) -> Iterator[Mutant]:
    """Those that are Python, and another program than those that are known."""
    for mutant in mutants:
        try:
            dumped = mutant.module + ast.dump(ast.parse(mutant.source))
        except SyntaxError:
            continue
        if dumped not in known:
            known.add(dumped)
            yield mutant


def drawn(modules: Iterable[str], count: int, seed: int) -> list[Mutant]:
    """Half of them wiring, half generic; in each half all kinds in turn, as long as there are any."""
    package, modules = Package(), list(modules)
    every = [mutant for module in modules for mutant in mutants_of(module, package)]
    known = {module + ast.dump(Module(path_of(module)).tree) for module in modules}
    halves = []
    for family, share in (("wiring", count - count // 2), ("generic", count // 2)):
        ranked = sorted((one for one in every if one.family == family), key=lambda one: one.rank(seed))
        by_kind = [[one for one in ranked if one.kind == kind] for kind in FAMILIES[family]]
        in_turn = (one for one in chain.from_iterable(zip_longest(*by_kind)) if one is not None)
        halves.append([one for one, _ in zip(changes(in_turn, known), range(share), strict=False)])
    return sorted(chain.from_iterable(halves), key=lambda one: (one.module, one.line, one.place))
