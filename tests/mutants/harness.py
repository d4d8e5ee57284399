"""Runs chosen tests with one module mutated, in a fork of a process that has imported all but what is ours."""

import ast
import importlib
import importlib.abc
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.mutants.source import PACKAGE, ROOT

OURS = ("vsr_adapter", "tests", "recipes")
PROBE = """
import importlib, json, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(json.dumps(list(sys.modules)))
"""


class Mutated(SourceFileLoader, importlib.abc.MetaPathFinder):
    """Finds one module, with other source than that of its file."""

    def __init__(self, module: str, path: Path, source: str):
        super().__init__(module, str(path))
        self.source = source

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> Any:
        return compile(self.source, self.path, "exec")


class Verdict(NamedTuple):
    """What became of a mutant: ``survived``, ``caught``, or ``timeout``; by which test, by what error."""

    what: str
    seconds: float
    test: str = ""
    error: str = ""


class Task(NamedTuple):
    name: str
    module: str
    path: Path
    source: str
    tests: Sequence[str]
    limit: float


class Watch:
    """A plugin of pytest that keeps the first failure."""

    def __init__(self) -> None:
        self.test = self.error = ""

    def pytest_exception_interact(self, node: Any, call: Any) -> None:
        if not self.test:
            self.test, self.error = node.nodeid, call.excinfo.typename


def preload() -> None:
    """Imports what the package and its tests import, but for themselves: found out in another process."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if path.stem not in ("__main__", "__init__") and not imports_extra(path)
    ]
    more = ["pytest", "skimage.metrics", "tensorboard.backend.event_processing.event_accumulator"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROBE, *modules, *more]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd=ROOT)
    os.environ["HF_HUB_OFFLINE"] = "1"
    for name in json.loads(found.stdout.splitlines()[-1]):
        if name.split(".")[0] not in (*OURS, "__main__"):
            try:
                importlib.import_module(name)
            except Exception:  # parts of others that are made at run time
                continue


def imports_extra(path: Path) -> bool:
    """Whether a module needs what is not installed with the package."""
    names = {
        one.name.split(".")[0]
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for one in node.names
    }
    return bool(names & {"spandrel", "ncnn"})


def child(task: Task, report: Path) -> None:
    """In the fork: the tests, in an empty folder; ends the process."""
    code = 1
    try:
        os.setsid()
        with TemporaryDirectory() as folder, open(report.with_suffix(".log"), "w") as log:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
            os.chdir(folder)
            import pytest

            sys.path.insert(0, str(ROOT))
            sys.meta_path.insert(0, Mutated(task.module, task.path, task.source))
            watch = Watch()
            options = [
                "-x",
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:xdist",
                f"--rootdir={ROOT}",
                f"--basetemp={folder}/tmp",
            ]
            tests = [f"--deselect={test[4:]}" if test.startswith("not ") else str(ROOT / test) for test in task.tests]
            code = int(pytest.main([*options, "-c", str(ROOT / "pyproject.toml"), *tests], plugins=[watch]))
            report.write_text(json.dumps([code, watch.test, watch.error]))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def run_all(tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Verdict]]:
    """Verdicts as they come, `jobs` at a time; call `preload` before."""
    waiting, running = list(tasks), dict[int, tuple[Task, float, Path]]()
    with TemporaryDirectory() as folder:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    task = waiting.pop(0)
                    report = Path(folder) / f"{len(waiting)}.json"
                    sys.stdout.flush()
                    pid = os.fork()
                    if pid == 0:
                        child(task, report)
                    running[pid] = task, time.monotonic(), report
                for pid, (task, begun, report) in list(running.items()):
                    seconds = time.monotonic() - begun
                    ended = os.waitpid(pid, os.WNOHANG)[0] == pid
                    if not ended and seconds < task.limit:
                        continue
                    if not ended:
                        kill(pid)
                        os.waitpid(pid, 0)
                    del running[pid]
                    yield task, judged(report, seconds, ended)
                time.sleep(0.05)
        finally:
            for pid in running:
                kill(pid)


def kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)


def judged(report: Path, seconds: float, ended: bool) -> Verdict:
    """From what the tests left; those that died without a word caught it too, as a crash."""
    seconds = round(seconds, 1)
    if not ended:
        return Verdict("timeout", seconds)
    if not report.exists():
        return Verdict("caught", seconds, error="crash")
    code, test, error = json.loads(report.read_text())
    return Verdict("survived" if code == 0 else "caught", seconds, test, error or f"pytest exit {code}")
