"""Runs chosen tests with one module mutated, in a fork of a process that has imported all but what is ours."""

import ast
import importlib
import importlib.abc
import importlib.util
import json
import os
import resource
import shutil
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

STUCK = 10  # times the CPU seconds that a mutant may take are the wall ones: others may use the machine
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
    """What became of a mutant: ``survived``, ``caught``, or ``timeout``; in seconds of CPU; by which test and error."""

    what: str
    seconds: float
    test: str = ""
    error: str = ""


class Task(NamedTuple):
    """A mutated source, its tests, and the seconds of CPU that they may take."""

    name: str
    module: str
    path: Path
    source: str
    tests: Sequence[str]
    limit: int


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


def child(task: Task, folder: Path) -> None:
    """In the fork: the tests, in an empty folder; ends the process."""
    code = 1
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (task.limit, task.limit + 5))
        (folder / "work").mkdir(parents=True)
        os.chdir(folder / "work")
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for stream in (1, 2):
            os.dup2(os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), stream)
        import pytest

        sys.path.insert(0, str(ROOT))
        sys.meta_path.insert(0, Mutated(task.module, task.path, task.source))
        watch = Watch()
        options = (
            f"-x -q -p no:cacheprovider -p no:xdist --rootdir={ROOT} --basetemp={folder}/tmp -c {ROOT}/pyproject.toml"
        )
        tests = [f"--deselect={test[4:]}" if test.startswith("not ") else str(ROOT / test) for test in task.tests]
        code = int(pytest.main([*options.split(), *tests], plugins=[watch]))
        (folder / "report.json").write_text(json.dumps([code, watch.test, watch.error]))
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
                    own = Path(folder) / str(len(waiting))
                    sys.stdout.flush()
                    pid = os.fork()
                    if pid == 0:
                        child(task, own)
                    running[pid] = task, time.monotonic(), own
                for pid, (task, begun, own) in list(running.items()):
                    if time.monotonic() - begun > STUCK * task.limit:
                        kill(pid)
                    ended, status, usage = os.wait4(pid, os.WNOHANG)
                    if ended:
                        del running[pid]
                        verdict = judged(own / "report.json", usage.ru_utime + usage.ru_stime, os.WIFSIGNALED(status))
                        shutil.rmtree(own, ignore_errors=True)
                        yield task, verdict
                time.sleep(0.05)
        finally:
            for pid in running:
                kill(pid)


def kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        os.kill(pid, signal.SIGKILL)


def judged(report: Path, seconds: float, killed: bool) -> Verdict:
    """From what the tests left; those that died without a word caught it too, as a crash."""
    seconds = round(seconds, 1)
    if not report.exists():
        return Verdict("timeout" if killed else "caught", seconds, error="killed" if killed else "crash")
    code, test, error = json.loads(report.read_text())
    return Verdict("survived" if code == 0 else "caught", seconds, test, error or f"pytest exit {code}")
