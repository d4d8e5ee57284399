"""The "ali" side: ModelScope's text-to-video UNet and Stable Diffusion's KL autoencoder, both diffusers'."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ModelMixin, UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn

from vsr_adapter.backbones.base import UNetCapabilities, UNetPart, VAECapabilities, VAEPart
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision, random_weights

# text-to-video-ms-1.7b's scheduler/scheduler_config.json; DDIM's class defaults are wrong for latents
MODELSCOPE_SCHEDULER = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def diffusers_model(
    model: type[ModelMixin], source: str | None, config: dict[str, Any], seed: int, precision: Precision
) -> ModelMixin:
    """The network with the weights of ``source``, or with random ones that ``seed`` names."""
    dtype = getattr(torch, precision)
    if source is not None:
        return model.from_pretrained(source, torch_dtype=dtype)
    with random_weights(seed):
        network = model.from_config(config)
    return network if dtype == torch.float32 else network.to(dtype)


def contiguous(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same inputs in the order of their memory; a forward pre-hook."""
    return tuple(tensor.contiguous() for tensor in inputs)


class ModelScopeUNet(UNetPart):
    """diffusers' `UNet3DConditionModel`: epsilon prediction on f8 latents, tokens repeated to every frame inside.

    Args:
        source: a folder in diffusers' format or a Hub id; None builds random weights.
        config: `UNet3DConditionModel`'s arguments where there is no ``source``; its defaults are ModelScope's.
        scheduler: a diffusers scheduler config; ModelScope's where None.
        text_length: tokens of the text encoder, 77 for CLIP.
        latent_factor: pixels per cell of the latents that it was trained on; ModelScope's are f8.
        seed: of random weights.
        precision: of the weights.
    """

    def __init__(
        self,
        source: str | None = None,
        config: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        text_length: int = 77,
        latent_factor: int = 8,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        self.source, self.seed, self.precision = source, seed, precision
        self.text_length, self.latent_factor = text_length, latent_factor
        self.config = config or {}
        self.scheduler: dict[str, Any] = scheduler or MODELSCOPE_SCHEDULER
        if source is not None:
            self.config = read_config(source)

    @property
    def capabilities(self) -> UNetCapabilities:
        """Read from the config."""
        levels = len(self.config.get("block_out_channels", (320, 640, 1280, 1280)))
        return UNetCapabilities(
            latent_channels=self.config.get("in_channels", 4),
            latent_multiple=2 ** (levels - 1),
            native_window=16,  # the published model was trained on 16 frames
            text_dim=self.config.get("cross_attention_dim", 1024),
            text_length=self.text_length,
            prediction_type=self.scheduler.get("prediction_type", "epsilon"),
            scheduler_config=self.scheduler,
            latent_factor=self.latent_factor,
        )

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.network = diffusers_model(UNet3DConditionModel, self.source, self.config, self.seed, self.precision)
        for module in self.network.modules():
            if isinstance(module, TransformerTemporalModel):
                # it hands over a permuted view, for which torch multiplies pixel by pixel: thousands of tiny products
                module.proj_in.register_forward_pre_hook(contiguous)

    def denoise(
        self, z_t: Tensor, t: Tensor, tokens: Tensor, low_res: Tensor | None = None, noise_level: Tensor | None = None
    ) -> Tensor:
        """Epsilon, shape of ``z_t``; the network never sees the low-resolution clip."""
        dtype = self.network.dtype
        return self.network(z_t.to(dtype), t, tokens.to(dtype)).sample.to(z_t.dtype)


class KLVAE(VAEPart):
    """diffusers' `AutoencoderKL`, applied frame by frame.

    Args:
        source: a folder in diffusers' format or a Hub id; None builds random weights.
        config: `AutoencoderKL`'s arguments where there is no ``source``.
        chunk: frames that are encoded or decoded at once; bounds the memory, changes nothing.
        seed: of random weights.
        precision: of the weights.
    """

    def __init__(
        self,
        source: str | None = None,
        config: dict[str, Any] | None = None,
        chunk: int = 8,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        if chunk < 1:
            raise UserError(f"chunk {chunk}: at least 1 frame is decoded at once; pass a positive chunk")
        self.source, self.chunk, self.seed, self.precision = source, chunk, seed, precision
        self.config = config or {}
        if source is not None:
            self.config = read_config(source)

    @property
    def capabilities(self) -> VAECapabilities:
        """Read from the config."""
        levels = len(self.config.get("block_out_channels", (64,)))
        return VAECapabilities(latent_channels=self.config.get("latent_channels", 4), spatial_factor=2 ** (levels - 1))

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.network = diffusers_model(AutoencoderKL, self.source, self.config, self.seed, self.precision)

    def encode(self, video: Tensor) -> Tensor:
        """Posterior mode x scaling factor, frame by frame."""
        batch = video.shape[0]
        pixels = (video * 2 - 1).flatten(0, 1).to(self.network.dtype)
        modes = [self.network.encode(frames).latent_dist.mode() for frames in pixels.split(self.chunk)]
        z = torch.cat(modes) * self.network.config.scaling_factor
        return z.unflatten(0, (batch, -1)).transpose(1, 2).to(video.dtype)

    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video in [0, 1], frame by frame."""
        batch = z.shape[0]
        latents = (z.transpose(1, 2).flatten(0, 1) / self.network.config.scaling_factor).to(self.network.dtype)
        pixels = torch.cat([self.network.decode(frames).sample for frames in latents.split(self.chunk)])
        return ((pixels.to(z.dtype) + 1) / 2).clamp(0, 1).unflatten(0, (batch, -1))


def read_config(source: str) -> dict[str, Any]:
    """``config.json`` of a diffusers folder, or of a Hub id."""
    folder = Path(source)
    if folder.exists():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"{source}: a diffusers folder holds config.json and weights; name its unet/ or vae/ folder"
            )
        return json.loads((folder / "config.json").read_text())
    return dict(ModelMixin.load_config(source))
