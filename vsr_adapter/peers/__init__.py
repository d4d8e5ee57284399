"""Other methods under the same test: bicubic, folders that they wrote, networks of single frames."""

from vsr_adapter.peers.base import Ask, Bicubic, Peer
from vsr_adapter.peers.folder import Folder
from vsr_adapter.peers.networks import NCNN, Spandrel

__all__ = ["NCNN", "Ask", "Bicubic", "Folder", "Peer", "Spandrel"]
