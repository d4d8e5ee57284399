"""Frozen latent video diffusion models behind one protocol."""

from vsr_adapter.backbones.base import Backbone, Capabilities, UNetCapabilities, UNetPart, VAECapabilities, VAEPart
from vsr_adapter.backbones.modelscope import KLVAE, ModelScopeUNet
from vsr_adapter.backbones.upscale_a_video.parts import UpscaleUNetPart, VideoVAEPart
from vsr_adapter.backbones.upscale_a_video.unet import UpscaleUNet
from vsr_adapter.backbones.upscale_a_video.vae import VideoVAE

__all__ = [
    "KLVAE",
    "Backbone",
    "Capabilities",
    "ModelScopeUNet",
    "UNetCapabilities",
    "UNetPart",
    "UpscaleUNet",
    "UpscaleUNetPart",
    "VAECapabilities",
    "VAEPart",
    "VideoVAE",
    "VideoVAEPart",
]
