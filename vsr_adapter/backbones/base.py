"""What a frozen backbone is: a UNet half, a VAE half and their composition.

Adding a backbone is one subclass of `UNetPart` or `VAEPart` and one YAML file. Video is float RGB in
[0, 1], shaped (B, T, 3, H, W); latents are scaled, shaped (B, C, T, h, w); the halves alone know the
ranges and layouts of their networks.
"""

import warnings
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from vsr_adapter.backbones.checkpointing import checkpoint_blocks
from vsr_adapter.backbones.text import null_tokens, prompt_tokens
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import FrozenPart, kernels
from vsr_adapter.types import Condition
from vsr_adapter.windows import TimeGrid

PredictionType = Literal["epsilon", "v_prediction", "flow_prediction"]


@dataclass(frozen=True)
class UNetCapabilities:
    """What callers must know of a denoiser.

    Attributes:
        latent_channels: channels of z.
        latent_multiple: latent height and width must be multiples of this.
        native_window: frames that the network was trained on.
        text_dim: width of its cross-attention tokens.
        text_length: number of tokens of its own text encoder.
        prediction_type: what `UNetPart.denoise` returns.
        scheduler_config: diffusers scheduler config of its training schedule.
        needs_low_res: whether `UNetPart.denoise` takes the low-resolution clip.
        latent_factor: pixels per cell, along each side, of the latents that it was trained on.
    """

    latent_channels: int
    latent_multiple: int
    native_window: int
    text_dim: int
    text_length: int
    prediction_type: PredictionType
    scheduler_config: dict[str, Any]
    needs_low_res: bool = False
    latent_factor: int = 8


@dataclass(frozen=True)
class VAECapabilities:
    """What callers must know of an autoencoder.

    Attributes:
        latent_channels: channels of z.
        spatial_factor: pixels per latent cell, along each side.
        temporal_factor: frames per latent frame, but for the first, which is one frame.
        length_step: clips have 1 + k * length_step frames.
        needs_low_res: whether `VAEPart.decode` takes the low-resolution clip.
    """

    latent_channels: int
    spatial_factor: int
    temporal_factor: int = 1
    length_step: int = 1
    needs_low_res: bool = False


class UNetPart(FrozenPart):
    """The denoising half of a backbone.

    Attributes:
        network: what `build` made.
        source: where its weights are; None for random ones.
        revision: of a Hub repository.
        own_tokens: that the attached adapter's own keys and values are made of; None where none are let in.
    """

    network: Any
    source: str | None = None
    revision: str | None = None
    own_tokens: int | None = None

    @property
    @abstractmethod
    def capabilities(self) -> UNetCapabilities:
        """Known before `load`."""

    @abstractmethod
    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Predicts epsilon, v or the flow, as `UNetCapabilities.prediction_type` says.

        Args:
            z_t: noisy latents, shape (B, C, T, h, w).
            t: training time of each clip, shape (B,).
            condition: tokens of any number, and what `noise_low_res` gave, where the network takes it.

        Returns:
            Shape of ``z_t``.
        """

    def null_tokens(self) -> Tensor:
        """What the text encoder makes of the empty prompt, shape (1, text_length, text_dim).

        Zeros for a network that has no text encoder beside its weights.
        """
        return null_tokens(self.source, self.capabilities.text_length, self.capabilities.text_dim, self.revision)

    def prompt_tokens(self, prompt: str) -> Tensor:
        """What the text encoder makes of a prompt, shape (1, L, text_dim).

        Raises:
            UserError: the checkpoint has no text encoder, or the prompt is too long for it.
        """
        return prompt_tokens(self.source, prompt, self.revision)

    def noise_low_res(self, low_res: Tensor, noise_level: Tensor | None, noise: Tensor) -> Tensor:
        """The low-resolution clip as `denoise` wants it: noised by its own schedule, where it has one.

        Args:
            low_res: clean video in [0, 1], shape (B, T, 3, h, w).
            noise_level: training time of that schedule, shape (B,).
            noise: standard normal, shape of ``low_res``.
        """
        return low_res


class VAEPart(FrozenPart):
    """The half of a backbone that knows pixels."""

    @property
    @abstractmethod
    def capabilities(self) -> VAECapabilities:
        """Known before `load`."""

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """Posterior mode times the scaling factor.

        Args:
            video: in [0, 1], shape (B, T, 3, H, W); values outside are taken as they are.

        Returns:
            Scaled latents, shape (B, C, T, H / f_s, W / f_s).
        """

    @abstractmethod
    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video in [0, 1], clamped, shape (B, T, 3, H, W), of scaled latents (B, C, T, h, w)."""


@dataclass(frozen=True)
class Capabilities:
    """What callers must know of a backbone: its halves', and what follows from both."""

    unet: UNetCapabilities
    vae: VAECapabilities

    @property
    def size_multiple(self) -> int:
        """Output height and width must be multiples of this, in pixels."""
        return self.unet.latent_multiple * self.vae.spatial_factor

    @property
    def time(self) -> TimeGrid:
        """Lengths of clips and windows, and where windows begin."""
        return TimeGrid(self.vae.temporal_factor, self.vae.length_step)

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape (C, T', h, w) of the latents of ``frames`` frames of ``height`` x ``width`` pixels.

        Raises:
            UserError: the size is no multiple of `size_multiple`, or the length none of `time`.
        """
        multiple = self.size_multiple
        if height % multiple or width % multiple:
            raise UserError(
                f"video of {width}x{height}: this backbone takes multiples of {multiple}; "
                f"crop to {max(width // multiple, 1) * multiple}x{max(height // multiple, 1) * multiple}"
            )
        self.time.check("frames", frames)
        factor = self.vae.spatial_factor
        return self.vae.latent_channels, self.time.latent(frames), height // factor, width // factor


class Backbone(FrozenPart):
    """A frozen latent video diffusion model: any UNet half with any VAE half.

    Args:
        unet: the denoiser.
        vae: the autoencoder.
        gradient_checkpointing: compute the UNet's activations again in the backward pass: less memory, more time.

    Raises:
        UserError: the halves' latents have different channels, or one wants the low-resolution clip frame by frame and
            the VAE's latents are not.
    """

    def __init__(self, unet: UNetPart, vae: VAEPart, gradient_checkpointing: bool = False):
        super().__init__()
        self.gradient_checkpointing = gradient_checkpointing
        self.capabilities = Capabilities(unet.capabilities, vae.capabilities)
        if self.capabilities.unet.latent_channels != self.capabilities.vae.latent_channels:
            raise UserError(
                f"UNet with {self.capabilities.unet.latent_channels} latent channels, VAE with "
                f"{self.capabilities.vae.latent_channels}: they must agree; choose another vae or unet"
            )
        factor = self.capabilities.time.factor
        for part in (unet, vae):
            if factor != 1 and part.capabilities.needs_low_res:
                raise UserError(
                    f"{type(part).__name__} takes the low-resolution clip frame by frame, {type(vae).__name__} "
                    f"makes one latent frame of {factor}: they do not go together; choose another vae or unet"
                )
        trained, given = unet.capabilities.latent_factor, vae.capabilities.spatial_factor
        if trained != given:
            warnings.warn(
                f"latent mismatch: {type(unet).__name__} was trained on f{trained} latents, {type(vae).__name__} gives "
                f"f{given}: the low-resolution clip reaches this stack only through the tokens and the decoder",
                stacklevel=2,
            )
        self.unet = unet
        self.vae = vae

    def build(self) -> None:
        """Loads both halves.

        Raises:
            UserError: no blocks were found whose activations could be computed again.
        """
        self.unet.load()
        self.vae.load()
        if self.gradient_checkpointing:
            checkpoint_blocks(self.unet.network)
        self.register_buffer("_null_tokens", self.unet.null_tokens(), persistent=False)

    @property
    def null_tokens(self) -> Tensor:
        """Tokens of the empty prompt, shape (1, text_length, text_dim); needs `load`."""
        return self.get_buffer("_null_tokens")

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def encode(self, video: Tensor) -> Tensor:
        """Scaled latents (B, C, T, h, w) of a video (B, T, 3, H, W) in [0, 1]."""
        shape = self.capabilities.latent_shape(video.shape[1], *video.shape[-2:])
        with kernels(self.vae):
            z = self.vae.encode(video)
        assert z.shape[1:] == shape, f"{type(self.vae).__name__}: latents of {tuple(z.shape[1:])}, stated {shape}"
        return z

    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video (B, T, 3, H, W) in [0, 1] of scaled latents; ``low_res`` is the clean clip, where the VAE needs it.

        Raises:
            UserError: the VAE needs ``low_res`` and there is none.
        """
        if self.capabilities.vae.needs_low_res and low_res is None:
            raise UserError("low_res is None: this VAE decodes with the low-resolution clip; pass low_res")
        with kernels(self.vae):
            video = self.vae.decode(z, low_res)
        frames = 1 + (z.shape[2] - 1) * self.capabilities.time.factor
        assert video.shape[1] == frames, f"{type(self.vae).__name__}: {video.shape[1]} frames, stated {frames}"
        return video

    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The UNet's prediction (Eq. 3.3 of the thesis); see `UNetPart.denoise`.

        Raises:
            UserError: the tokens' width is not the UNet's, it needs ``low_res`` and there is none, or there are own
                tokens and nothing is attached that would hear them.
        """
        wanted, tokens = self.capabilities.unet, condition.tokens
        if tokens.shape[-1] != wanted.text_dim:
            raise UserError(
                f"tokens of width {tokens.shape[-1]}: the UNet takes {wanted.text_dim}; set adapter.text_dim"
            )
        if wanted.needs_low_res and condition.low_res is None:
            raise UserError("low_res is None: this UNet denoises with the low-resolution clip; pass low_res")
        given, heard = 0 if condition.own is None else condition.own.shape[1], self.unet.own_tokens or 0
        if given not in (0, heard):
            raise UserError(f"{given} own tokens: the UNet hears {heard}; attach the adapter that gives them")
        with kernels(self.unet):
            return self.unet.denoise(z_t, t.to(z_t.device).expand(z_t.shape[0]), condition)
