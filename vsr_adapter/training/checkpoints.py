"""Checkpoints of `vsr fit` as files."""

import pickle
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch

from vsr_adapter.errors import UserError


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """A checkpoint of `vsr fit`, read without running code from it.

    Raises:
        UserError: no such file, no checkpoint, or not one of ours.
    """
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file}: no such checkpoint; `vsr fit` writes them into its log folder's checkpoints/")
    if not is_zipfile(file):  # what the unpickler makes of other bytes is any exception
        raise UserError(f"{file}: cannot be read as a checkpoint; only those of `vsr fit` load, pass one")
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise UserError(
            f"{file}: a damaged checkpoint, or one that holds code; only those of `vsr fit` load"
        ) from error
    if not isinstance(checkpoint, dict) or "vsr_adapter" not in checkpoint:
        raise UserError(f"{file}: not a checkpoint of `vsr fit` (no vsr_adapter entry); pass one of those")
    return checkpoint
