"""What all guards share: which test guards which setting."""

from collections.abc import Callable
from typing import TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

GUARDED: dict[str, str] = {}  # by setting: file and name of the test


def guards(*settings: str) -> Callable[[Test], Test]:
    """Says that a test fails when one of these settings has another effect than its docstring names."""

    def record(test: Test) -> Test:
        file = test.__module__.replace(".", "/")
        GUARDED.update(dict.fromkeys(settings, f"{file}.py::{test.__name__}"))
        return test

    return record
