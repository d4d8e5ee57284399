"""Turns a frozen text-to-video diffusion model into a video upscaler by training only a small adapter."""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsr_adapter.inference.restorer import Restorer as Restorer

__version__ = version("vsr-adapter")
__all__ = ["Restorer", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the heavy parts when they are asked for: `vsr --help` must answer at once."""
    if name == "Restorer":
        from vsr_adapter.inference.restorer import Restorer

        return Restorer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
