"""Wan's video transformer and its causal autoencoder, diffusers'."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor

from vsr_adapter.backbones.base import UNetCapabilities, VAECapabilities, VAEPart
from vsr_adapter.backbones.loading import DIFFUSERS_WEIGHTS, home, locate, published_config, published_network
from vsr_adapter.backbones.own import KeysValues, OwnAttention, added
from vsr_adapter.backbones.published import PublishedUNet
from vsr_adapter.backbones.text import CACHE, has_text_encoder
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision
from vsr_adapter.types import Condition

# Wan2.1-T2V's scheduler/scheduler_config.json, in so far as it is not the class's defaults; flow_shift 5 for 720p
WAN_SCHEDULER = {
    "_class_name": "UniPCMultistepScheduler",
    "num_train_timesteps": 1000,
    "prediction_type": "flow_prediction",
    "use_flow_sigmas": True,
    "flow_shift": 3.0,
}
ENCODED = 4  # frames that `AutoencoderKLWan` encodes at once, after the first; it drops what is left over


def in_one_file(source: str | None, part: str) -> None:
    """Refuses what is published in ways that are not read yet.

    Raises:
        UserError: a Hub id, weights in several files, or a second transformer.
    """
    if source is None:
        return
    if not Path(source).exists():
        raise UserError(f"{source}: no such folder, and Wan is not read from the Hub yet; download it, pass the folder")
    if locate(source, part, DIFFUSERS_WEIGHTS) is None:
        index = locate(source, part, ["diffusion_pytorch_model.safetensors.index.json"])
        if index is not None:
            raise UserError(f"{index}: weights in several files are not read yet; save them as one, and name that")
    if (home(source) / "transformer_2").is_dir():
        raise UserError(f"{source}: has a second transformer_2/, which is not read; use Wan 2.1, or TI2V 5B")


def unchanged(own: Tensor) -> Tensor:
    """Own tokens as the network's image tokens, which it lays before those of the text."""
    return own


class WanOwnAttention(OwnAttention):
    """The same for Wan, whose blocks hand one sequence to a processor: own tokens, then the text."""

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        """As diffusers' `WanAttnProcessor`."""
        assert encoder_hidden_states is not None
        own, text = encoder_hidden_states[:, : self.tokens], encoder_hidden_states[:, self.tokens :]
        output = self.before(attn, hidden_states, text, attention_mask, rotary_emb)
        return output + added(attn, hidden_states, *self.layer(own))


class WanTransformerPart(PublishedUNet):
    """diffusers' `WanTransformer3DModel`: text to video, flow prediction on latents of 4x8x8 (or 4x16x16).

    Args:
        source: the published folder or its ``transformer/``, or a file of weights; None builds random weights.
        config: `WanTransformer3DModel`'s arguments; read from ``source`` where None, and needed for single files.
        scheduler: a diffusers scheduler config, likewise.
        text_length: tokens that the pipeline pads a prompt to.
        latent_factor: pixels per cell of the latents that it was trained on; 16 for TI2V 5B.
        seed: of random weights.
        precision: of the weights, but for those that the class keeps in float32.

    Raises:
        UserError: another kind of Wan than text to video.
    """

    part: ClassVar[str] = "transformer"
    own_schedule: ClassVar[dict[str, Any]] = WAN_SCHEDULER
    processor = WanOwnAttention

    def __init__(
        self,
        source: str | None = None,
        config: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        text_length: int = 512,
        latent_factor: int = 8,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        in_one_file(source, self.part)
        super().__init__(source, None, config, scheduler, text_length, seed, precision)
        self.latent_factor = latent_factor
        channels, patch = self.config.get("in_channels", 16), tuple(self.config.get("patch_size", (1, 2, 2)))
        for name, value, allowed in [
            ("_class_name", self.config.get("_class_name"), (None, "WanTransformer3DModel")),
            ("out_channels", self.config.get("out_channels", 16), (channels, None)),
            ("image_dim", self.config.get("image_dim"), (None,)),
            ("added_kv_proj_dim", self.config.get("added_kv_proj_dim"), (None,)),
            ("patch_size", patch, ((1, patch[-1], patch[-1]),)),
        ]:
            if value not in allowed:
                raise UserError(f"{name} {value}: no text-to-video Wan, which has {allowed[0]}; use one, such as T2V")

    @property
    def capabilities(self) -> UNetCapabilities:
        """Read from the config."""
        return UNetCapabilities(
            latent_channels=self.config.get("in_channels", 16),
            latent_multiple=self.config.get("patch_size", (1, 2, 2))[-1],
            native_window=81,  # the published models were trained on 81 frames
            text_dim=self.config.get("text_dim", 4096),
            text_length=self.text_length,
            prediction_type="flow_prediction",
            scheduler_config=self.scheduler,
            latent_factor=self.latent_factor,
        )

    def make(self) -> WanTransformer3DModel:
        """Its tables of positions are in no checkpoint, so they are made even where the rest has no numbers yet."""
        network = WanTransformer3DModel.from_config(self.config)
        rope = network.rope
        with torch.device("cpu"):
            network.rope = type(rope)(rope.attention_head_dim, rope.patch_size, rope.max_seq_len)
        return network

    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """The flow, shape of ``z_t``; ``t`` is the scheduler's time, 0 to 1000, and need not be whole."""
        dtype = self.network.patch_embedding.weight.dtype  # some others stay float32
        own = condition.own
        if own is None and self.own_tokens is not None:  # as many are split off whatever the call: zeros add nothing
            own = z_t.new_zeros(len(z_t), self.own_tokens, self.own_dim)
        own = None if own is None else own.to(dtype)
        return self.network(z_t.to(dtype), t, condition.tokens.to(dtype), own).sample.to(z_t.dtype)

    @property
    def own_dim(self) -> int:
        """That of the text after its embedding, since own tokens stand beside it."""
        return self.config.get("num_attention_heads", 40) * self.config.get("attention_head_dim", 128)

    def attach(self, layers: Mapping[str, KeysValues], tokens: int) -> None:
        """With a way in for the tokens: diffusers' class reads no ``attention_kwargs``."""
        super().attach(layers, tokens)
        self.network.condition_embedder.image_embedder = unchanged

    def detach(self) -> None:
        """Without it."""
        super().detach()
        self.network.condition_embedder.image_embedder = None

    def null_tokens(self) -> Tensor:
        """Of ``null_tokens.safetensors`` beside the weights; zeros where there is no text encoder either.

        Raises:
            UserError: there is a text encoder alone, which is not read yet.
        """
        if self.source is not None:
            folder = home(self.source)
            if has_text_encoder(folder) and not (folder / CACHE).is_file():
                raise UserError(f"{folder}/text_encoder: UMT5 is not read yet; put {CACHE} beside it")
        return super().null_tokens()

    def prompt_tokens(self, prompt: str) -> Tensor:
        """Refused.

        Raises:
            UserError: always.
        """
        raise UserError(f"prompt {prompt!r}: Wan's text encoder, UMT5, is not read yet; leave it out")


class WanVAE(VAEPart):
    """diffusers' `AutoencoderKLWan`: causal in time, the first latent frame is one frame, each other one four.

    It keeps features of the frames before on the module while it works, so one thread at a time enters.

    Args:
        source: a published folder or its ``vae/``, or a file of weights; None builds random weights.
        config: `AutoencoderKLWan`'s arguments; read from ``source`` where None, and needed for single files.
        seed: of random weights.
        precision: of the weights.

    Raises:
        UserError: a config whose factor in time does not divide the frames that are encoded at once.
    """

    def __init__(
        self,
        source: str | None = None,
        config: dict[str, Any] | None = None,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        in_one_file(source, "vae")
        self.source, self.seed, self.precision = source, seed, precision
        self.config = published_config(source, "vae", "config.json", config=config)
        if ENCODED % self.capabilities.temporal_factor:
            raise UserError(
                f"temperal_downsample {self.config['temperal_downsample']}: {self.capabilities.temporal_factor} frames "
                f"for a latent one, and {ENCODED} are encoded at once; use a published config"
            )

    @property
    def capabilities(self) -> VAECapabilities:
        """Read from the config."""
        levels = len(self.config.get("dim_mult", (1, 2, 4, 4)))
        return VAECapabilities(
            latent_channels=self.config.get("z_dim", 16),
            spatial_factor=2 ** (levels - 1) * (self.config.get("patch_size") or 1),
            temporal_factor=2 ** sum(self.config.get("temperal_downsample", (False, True, True))),
            length_step=ENCODED,
        )

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.network = published_network(
            lambda: AutoencoderKLWan.from_config(self.config), self.source, "vae", DIFFUSERS_WEIGHTS, None, self.seed,
            self.precision,
        )  # fmt: skip
        self.lock = Lock()

    def statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and deviation of raw latents, each of shape (C, 1, 1, 1)."""
        config = self.network.config
        mean, std = (torch.tensor(x, device=like.device) for x in (config.latents_mean, config.latents_std))
        return mean.view(-1, 1, 1, 1), std.view(-1, 1, 1, 1)

    def encode(self, video: Tensor) -> Tensor:
        """Posterior mode, less the mean of latents, by their deviation."""
        pixels = (video * 2 - 1).transpose(1, 2).to(self.network.dtype)
        with self.lock:
            mode = self.network.encode(pixels).latent_dist.mode()
        mean, std = self.statistics(mode)
        return ((mode.float() - mean) / std).to(video.dtype)

    def decode(self, z: Tensor, low_res: Tensor | None = None) -> Tensor:
        """Video in [0, 1]; the first latent frame gives one frame, each other one four."""
        mean, std = self.statistics(z)
        latents = (z.float() * std + mean).to(self.network.dtype)
        with self.lock:
            pixels = self.network.decode(latents).sample
        return ((pixels.to(z.dtype) + 1) / 2).clamp(0, 1).transpose(1, 2)
