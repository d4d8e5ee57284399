"""Published configs: known keys, defaults, and what is said of the rest."""

import warnings
from collections.abc import Sequence
from typing import Any

from vsr_adapter.errors import UserError


def with_defaults(config: dict[str, Any], defaults: dict[str, Any], what: str) -> dict[str, Any]:
    """The published config over the published defaults; keys that nothing here reads are named in one warning.

    Args:
        config: as published, ``_class_name`` and ``_diffusers_version`` included.
        defaults: every key that the network reads.
        what: the network's name.
    """
    ignored = sorted(set(config) - set(defaults))
    if ignored:
        warnings.warn(f"{what} config: ignored {', '.join(ignored)}", stacklevel=3)
    return {key: config.get(key, value) for key, value in defaults.items()}


def must_be(settings: dict[str, Any], key: str, *allowed: Any) -> None:
    """Refuses a value that the network has no code for.

    Raises:
        UserError: names the key, the value and what is supported.
    """
    if settings[key] not in allowed:
        raise UserError(f"{key} {settings[key]}: supported is {' or '.join(map(str, allowed))}; use such a checkpoint")


def must_divide(widths: Sequence[int], divisor: int, what: str) -> None:
    """Refuses widths that norms or heads do not divide.

    Raises:
        UserError: names the first such width.
    """
    for width in widths:
        if width % divisor:
            raise UserError(f"block_out_channels {width}: must be a multiple of {what} {divisor}; use such a config")
