"""Other methods under the same test: bicubic, folders that they wrote, networks and diffusion of single frames."""

from vsr_adapter.peers.base import Ask, Bicubic, Peer
from vsr_adapter.peers.folder import Folder
from vsr_adapter.peers.networks import NCNN, Spandrel
from vsr_adapter.peers.pipeline import SDx4Pipeline

__all__ = ["NCNN", "Ask", "Bicubic", "Folder", "Peer", "SDx4Pipeline", "Spandrel"]
