"""The exceptions that users see, and what they are told once."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(ValueError):
    """A mistake that a user can mend: one line that gives the value, the rule and the remedy.

    The command line prints the message alone and exits with 1; every other exception is a bug of ours
    and keeps its traceback.
    """

    def __init__(self, message: str):
        # DataLoader raises a worker's error anew, with the worker's whole traceback as its message
        if message.startswith("Caught ") and "\n" in message:
            message = message.strip().splitlines()[-1].split("Error: ", 1)[-1]
        super().__init__(message)


class CommandLineError(UserError):
    """The command line is wrong: exit code 2."""


@contextmanager
def unwrapped() -> Iterator[None]:
    """Raises the `UserError` itself where jsonargparse wraps it: that of a part whose setting may also be None.

    Raises:
        UserError: of the part.
    """
    try:
        yield
    except ValueError as error:
        inner: BaseException | None = error
        while inner is not None and not isinstance(inner, UserError):
            inner = inner.__cause__
        if inner is None or inner is error:
            raise
        raise inner from error


def say(note: str) -> None:
    """A warning, by the first of the processes alone."""
    launched = os.environ.get("RANK") or os.environ.get("NODE_RANK", "0") + os.environ.get("LOCAL_RANK", "0")
    if not launched.strip("0"):
        warnings.warn(note, stacklevel=3)
