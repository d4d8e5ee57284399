"""Frozen latent video diffusion models behind one protocol."""

from vsr_adapter.backbones.base import Backbone, Capabilities, UNetCapabilities, UNetPart, VAECapabilities, VAEPart
from vsr_adapter.backbones.kl import KLVAE
from vsr_adapter.backbones.modelscope import ModelScopeUNet
from vsr_adapter.backbones.sd_x4 import SDx4UNet
from vsr_adapter.backbones.upscale_a_video.parts import UpscaleUNetPart, VideoVAEPart
from vsr_adapter.backbones.upscale_a_video.unet import UpscaleUNet
from vsr_adapter.backbones.upscale_a_video.vae import VideoVAE
from vsr_adapter.backbones.wan import WanTransformerPart, WanVAE

__all__ = [
    "KLVAE",
    "Backbone",
    "Capabilities",
    "ModelScopeUNet",
    "SDx4UNet",
    "UNetCapabilities",
    "UNetPart",
    "UpscaleUNet",
    "UpscaleUNetPart",
    "VAECapabilities",
    "VAEPart",
    "VideoVAE",
    "VideoVAEPart",
    "WanTransformerPart",
    "WanVAE",
]
