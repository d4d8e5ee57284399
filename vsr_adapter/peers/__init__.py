"""Other methods under the same test: bicubic, folders that they wrote, networks and diffusion of single frames."""

from vsr_adapter.peers.base import Bicubic, Peer
from vsr_adapter.peers.folder import Folder
from vsr_adapter.peers.networks import NCNN, Spandrel
from vsr_adapter.peers.pipeline import SDx4Pipeline
from vsr_adapter.types import Ask

__all__ = ["NCNN", "Ask", "Bicubic", "Folder", "Peer", "SDx4Pipeline", "Spandrel"]
