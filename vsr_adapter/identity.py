"""Which settings decide the bits of a result: each says so where it is declared, and nothing else is asked."""

from dataclasses import field, fields, is_dataclass
from pathlib import Path
from typing import Any

DECIDES = "decides"


def decides(default: Any) -> Any:
    """A dataclass field that decides the bits of a result."""
    return field(default=default, metadata={DECIDES: True})


def indifferent(default: Any) -> Any:
    """A dataclass field that says what is done, refused or printed, and leaves the bits of a result alone."""
    return field(default=default, metadata={DECIDES: False})


def deciding(value: Any) -> Any:
    """All of a setting that decides bits, as plain values for a hash.

    Args:
        value: a dataclass whose fields are `decides` or `indifferent`, or another object, all of whose attributes
            decide; containers and nested ones likewise.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return [deciding(one) for one in value]
    if isinstance(value, dict):
        return {str(name): deciding(one) for name, one in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if is_dataclass(value):
        found = fields(value)
        assert all(DECIDES in one.metadata for one in found), f"{type(value)}: a field does not say so"
        return {one.name: deciding(getattr(value, one.name)) for one in found if one.metadata[DECIDES]}
    return {"class_path": deciding(type(value)), **{name: deciding(one) for name, one in vars(value).items()}}
