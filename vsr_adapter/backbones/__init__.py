"""Frozen latent video diffusion models behind one protocol."""

from vsr_adapter.backbones.base import Backbone, Capabilities, UNetCapabilities, UNetPart, VAECapabilities, VAEPart
from vsr_adapter.backbones.modelscope import KLVAE, ModelScopeUNet

__all__ = [
    "KLVAE",
    "Backbone",
    "Capabilities",
    "ModelScopeUNet",
    "UNetCapabilities",
    "UNetPart",
    "VAECapabilities",
    "VAEPart",
]
