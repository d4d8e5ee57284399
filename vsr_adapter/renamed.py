"""Settings that have another name than in earlier versions: the old one is refused with the new one."""

from collections.abc import Iterable
from pathlib import Path

import yaml

from vsr_adapter.errors import CommandLineError

# settings of `Sampling`, which stood beside the networks once
MOVED = (
    "sampler", "start", "prompt", "negative_prompt", "guidance_scale", "noise_level", "condition", "window", "overlap",
    "tiles", "postprocess", "seed",
)  # fmt: skip


def check_moved(names: Iterable[str], where: str, form: str = "model.{}") -> None:
    """Refuses settings of `Sampling` under their old names.

    Args:
        names: under ``model``, with dots.
        where: they stand.
        form: how such a setting is written there.

    Raises:
        CommandLineError: names the new one.
    """
    for name in names:
        if name.split(".")[0] in MOVED:
            raise CommandLineError(f"{where}: {form.format(name)} is {form.format(f'sampling.{name}')} now; rename it")


def check_config(path: Path) -> None:
    """`check_moved` of a config; what is wrong with it otherwise is said where it is parsed.

    Raises:
        CommandLineError: as `check_moved`.
    """
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError):
        return
    model = content.get("model") if isinstance(content, dict) else None
    check_moved(model if isinstance(model, dict) else {}, str(path))
