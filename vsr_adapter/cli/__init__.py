"""The program `vsr`."""

from vsr_adapter.cli.entry import main

__all__ = ["main"]
