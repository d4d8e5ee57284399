"""Files that travel with the package."""

from pathlib import Path
from typing import TypeVar

NAME = "mini"
Source = TypeVar("Source", str, str | None)


def shipped(source: Source) -> Source:
    """The folder of the shipped weights where ``source`` is their name, ``mini``; any other ``source`` as it is.

    A folder of one's own that has this name is ``./mini``.
    """
    return str(Path(__file__).parent / NAME) if source == NAME else source
