"""Files that travel with the package: weights, and configs."""

from pathlib import Path
from typing import TypeVar

from vsr_adapter.errors import CommandLineError

NAME = "mini"
Source = TypeVar("Source", str, str | None)
PACKAGE = Path(__file__).parent.parent
# inside the package in a wheel, beside it in a clone
CONFIG_FOLDERS = (PACKAGE / "configs", PACKAGE.parent / "configs")


def shipped(source: Source) -> Source:
    """The folder of the shipped weights where ``source`` is their name, ``mini``; any other ``source`` as it is.

    A folder of one's own that has this name is ``./mini``.
    """
    return str(Path(__file__).parent / NAME) if source == NAME else source


def find_config(name: str | Path) -> Path:
    """A config file, or the shipped one of that name: in a clone, an editable install and a wheel.

    Raises:
        CommandLineError: there is neither.
    """
    for path in (Path(name), *(folder / name for folder in CONFIG_FOLDERS)):
        if path.is_file():
            return path
    shipped = sorted(path.name for folder in CONFIG_FOLDERS if folder.is_dir() for path in folder.glob("*.yaml"))
    raise CommandLineError(f"--config {name}: no such file; name a file, or a shipped one: {', '.join(shipped)}")
