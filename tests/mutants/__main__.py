"""Plants mutants in the package one by one, and says which of them the tests let pass.

    make mutants                                    # 400 of all files of the table, half of them of wires
    python -m tests.mutants --count 20 --only model
    python -m tests.mutants --defects               # those that the suite once let pass
    python -m tests.mutants --baseline              # the tests of each file as they are, and their times

Goes on where it was stopped: what is known of a mutant, of its file as it is and of its tests as they are, is kept in
build/mutants/results.jsonl.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.mutants.draw import drawn
from tests.mutants.harness import Task, Verdict, preload, run_all
from tests.mutants.report import accepted, defects, survivors
from tests.mutants.source import ROOT, Mutant, digest, path_of
from tests.mutants.table import TESTS, selection

BUILD = ROOT / "build" / "mutants"
AT_LEAST, TIMES = 60, 6  # seconds of CPU, and times what the tests take by themselves
UNMUTATED = 600


def identity(tests: Sequence[str]) -> str:
    """Of chosen tests as they are now."""
    files = [ROOT / test.split("::")[0] for test in tests if not test.startswith("not ")]
    every = [one for file in files for one in (sorted(file.rglob("*.py")) if file.is_dir() else [file])]
    return digest(" ".join(tests) + "".join(file.read_text() for file in every))


class Journal:
    """Verdicts that are known, and those that come."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.known = {one["key"]: Verdict(*one["verdict"]) for one in map(json.loads, lines)}

    def add(self, key: str, verdict: Verdict, about: str) -> None:
        self.known[key] = verdict
        with self.path.open("a") as file:
            file.write(json.dumps({"key": key, "about": about, "verdict": verdict}) + "\n")


def key_of(module: str, source: str) -> str:
    """Names a result: the mutated file and the one it was made of, and the tests."""
    return digest(f"{module} {source} {path_of(module).read_text()} {identity(selection(module))}")


def verdicts(sources: dict[str, tuple[str, str]], journal: Journal, jobs: int) -> Iterator[tuple[str, Verdict]]:
    """Of mutated sources (module, text) by name: what is known first, then what is run.

    Raises:
        SystemExit: tests fail with nothing mutated.
    """
    keys = {name: key_of(*one) for name, one in sources.items()}
    yield from ((name, journal.known[key]) for name, key in keys.items() if key in journal.known)
    todo = [name for name, key in keys.items() if key not in journal.known]
    if not todo:
        return
    preload()
    limits = baseline({sources[name][0] for name in todo}, journal, jobs)
    tasks = [
        Task(name, module, path_of(module), text, selection(module), limits[module])
        for name, (module, text) in ((name, sources[name]) for name in todo)
    ]
    for task, verdict in run_all(tasks, jobs):
        journal.add(keys[task.name], verdict, task.name)
        yield task.name, verdict


def baseline(modules: set[str], journal: Journal, jobs: int) -> dict[str, int]:
    """Seconds of CPU that a mutant of each module may take."""
    texts = {module: path_of(module).read_text() for module in sorted(modules)}
    keys = {module: key_of(module, text) for module, text in texts.items()}
    tasks = [
        Task(module, module, path_of(module), text, selection(module), UNMUTATED)
        for module, text in texts.items()
        if keys[module] not in journal.known
    ]
    for task, verdict in run_all(tasks, jobs):
        print(
            f"{verdict.seconds:6.1f} s  {task.module} as it is: {verdict.what} {verdict.test} {verdict.error}",
            flush=True,
        )
        if verdict.what != "survived":
            sys.exit(f"{task.module}: its tests fail with nothing mutated")
        journal.add(keys[task.name], verdict, task.name)
    return {module: max(AT_LEAST, round(TIMES * journal.known[keys[module]].seconds)) for module in modules}


def said(number: int, count: int, name: str, verdict: Verdict) -> None:
    by = f" by {verdict.test.split('/')[-1]} ({verdict.error})" if verdict.what == "caught" else ""
    print(f"{number:4}/{count} {verdict.what:8} {verdict.seconds:5.1f} s  {name[:150]}{by}", flush=True)


def run_defects(journal: Journal, jobs: int) -> int:
    """All must be caught."""
    sources = {one.name: (one.module, one.planted()) for one in defects()}
    passed = []
    for number, (name, verdict) in enumerate(verdicts(sources, journal, jobs), 1):
        said(number, len(sources), name, verdict)
        passed += [name] if verdict.what == "survived" else []
    print("\n".join(f"not caught: {name}" for name in passed) or f"all {len(sources)} defects are caught")
    return int(bool(passed))


def run_mutants(mutants: Sequence[Mutant], journal: Journal, jobs: int) -> int:
    """At most 5 % may survive, beside those that are accepted."""
    by_name = {f"{one.name} {one.module} line {one.line}, {one.kind}: {one.change}": one for one in mutants}
    sources = {name: (one.module, one.source) for name, one in by_name.items()}
    found: list[tuple[Mutant, Verdict]] = []
    for number, (name, verdict) in enumerate(verdicts(sources, journal, jobs), 1):
        said(number, len(sources), name, verdict)
        found.append((by_name[name], verdict))
    table, left = survivors(found, accepted())
    (BUILD / "survivors.md").write_text(table)
    print(f"\n{table}\n{dict(Counter(verdict.what for _, verdict in found))}; {left} not accepted, at most 5 % may be")
    return int(left > 0.05 * len(found))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="draws the mutants")
    parser.add_argument("--count", type=int, default=400, help="of mutants")
    parser.add_argument("--only", action="append", metavar="FILE", help="module or path, repeatable")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time")
    parser.add_argument("--defects", action="store_true", help="the kept defects, and nothing else")
    parser.add_argument("--baseline", action="store_true", help="the tests of each file with nothing mutated")
    parser.add_argument("--list", action="store_true", help="name the mutants, run none")
    options = parser.parse_args(arguments)
    wanted = [one.removesuffix(".py").replace("/", ".").removeprefix("vsr_adapter.") for one in options.only or []]
    modules = [one for one in TESTS if not wanted or one.removeprefix("vsr_adapter.") in wanted]
    journal = Journal(BUILD / "results.jsonl")
    if options.baseline:
        preload()
        print("limits", baseline(set(modules), journal, options.jobs))
        return 0
    if options.defects:
        return run_defects(journal, options.jobs)
    mutants = drawn(modules, options.count, options.seed)
    if options.list:
        print("\n".join(f"{one.name} {one.module} line {one.line}, {one.kind}: {one.change}" for one in mutants))
        return 0
    return run_mutants(mutants, journal, options.jobs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
