"""The networks: backbone + encoder + adapter, and what they are told about a clip."""

from dataclasses import replace
from inspect import signature
from math import gcd
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from vsr_adapter.adapters import Adapter, LinearLinear
from vsr_adapter.adapters.files import load_adapter
from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.diffusion import (
    ConditionedDenoiser,
    Denoiser,
    ForwardProcess,
    GaussianStart,
    GuidedDenoiser,
    Sampler,
    Start,
)
from vsr_adapter.errors import UserError, say
from vsr_adapter.sampling import DEFAULT_SAMPLING, Sampling
from vsr_adapter.seeds import generator
from vsr_adapter.types import Condition, Told

OVERLAP = 2  # frames that windows share where nothing else is set


class VSRModel(nn.Module):
    """A frozen backbone told of the low-resolution clip by an adapter, and how it is sampled.

    Args:
        backbone: frozen denoiser and VAE.
        encoder: frozen ViT.
        adapter: the only part that trains; its tokens and in_dim must be the encoder's, what it gives the denoiser's.
        scale: upscaling factor.
        sampling: how clips are sampled.

    Attributes:
        sampling: with a number for everything that was left open, but for tiles ``auto``.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: FrozenViT,
        adapter: Adapter | None = None,
        scale: int = 4,
        sampling: Sampling = DEFAULT_SAMPLING,
    ):
        super().__init__()
        self.backbone, self.encoder = backbone, encoder
        unet = backbone.capabilities.unet
        self.adapter = adapter or LinearLinear(8, encoder.tokens, encoder.dim, unet.text_dim)
        self.scale = scale
        self.sampler: Sampler = sampling.sampler or Sampler()
        self.start: Start = sampling.start or GaussianStart()
        self.time = backbone.capabilities.time
        usual = (self.adapter.frames, OVERLAP)
        self.window, self.overlap = self.time.window(sampling.window, sampling.overlap, usual)
        taken = [("window", sampling.window, self.window), ("overlap", sampling.overlap, self.overlap)]
        raised = [
            f"{name} {found} in place of {instead}"
            for (name, given, found), instead in zip(taken, usual, strict=True)
            if given is None and found != instead
        ]
        if raised:
            say(f"model.sampling: {', '.join(raised)}, which this backbone does not take")
        self.sampling = replace(
            sampling, sampler=self.sampler, start=self.start, window=self.window, overlap=self.overlap
        )
        self.process = ForwardProcess(unet.scheduler_config, unet.prediction_type)
        self.sampler.check(self.process, unet.scheduler_config)
        self.grid = self.process.visited(self.sampler.schedule(unet.scheduler_config))
        self.check_dimensions()
        self.adapter.fit_to(backbone.unet)
        self.made_by: dict[str, Any] | None = None

    @property
    def lr_multiple(self) -> int:
        """Low-resolution height and width must be multiples of this for the backbone to take them."""
        multiple = self.backbone.capabilities.size_multiple
        return multiple // gcd(multiple, self.scale)

    def check_dimensions(self) -> None:
        """The adapter's input is the encoder's output.

        Raises:
            UserError: they differ.
        """
        for name, ours, theirs in [
            ("tokens", self.adapter.tokens, self.encoder.tokens),
            ("in_dim", self.adapter.in_dim, self.encoder.dim),
        ]:
            if ours != theirs:
                raise UserError(f"adapter.{name} {ours}: the encoder has {theirs}; set --model.adapter.{name} {theirs}")

    def load_adapter(self, file: Path) -> None:
        """Takes the weights of an exported adapter.

        Raises:
            UserError: no such file, or one of another adapter.
        """
        self.made_by = load_adapter(self.adapter, file)

    def load(self) -> Self:
        """Reads the frozen weights, attaches the adapter, encodes the prompts; does nothing the second time."""
        self.backbone.load()
        self.adapter.attach(self.backbone.unet)
        if not hasattr(self, "prompt_tokens"):
            prompts = {"prompt_tokens": self.sampling.prompt, "negative_tokens": self.sampling.negative_prompt}
            for name, prompt in prompts.items():
                tokens = self.backbone.unet.prompt_tokens(prompt) if prompt else self.backbone.null_tokens
                self.register_buffer(name, tokens, persistent=False)
        self.encoder.load()
        return self

    def told(self, lr: Tensor) -> Told:
        """What the adapter tells of clips, Adapter(ViT(x_LR)), Eq. 3.2; nothing where the condition is off.

        Args:
            lr: low-resolution video in [0, 1], shape (B, T, 3, h, w).
        """
        if self.sampling.condition == "off":
            return Told()
        with torch.no_grad():
            features = self.encoder(lr)
        told = self.adapter.tell(features)
        return tree_map_only(Tensor, self.shuffled, told) if self.sampling.condition == "shuffled" else told

    def shuffled(self, part: Tensor) -> Tensor:
        """The numbers of each clip in a fixed wrong order, shape of ``part`` (B, ...)."""
        order = torch.randperm(part[0].numel(), generator=generator(self.sampling.seed, "shuffled"))
        return part.flatten(1)[:, order.to(part.device)].view_as(part)

    def condition(self, lr: Tensor, low_res_noise: Tensor) -> Condition:
        """All that the denoiser is told about clips.

        The prompt's tokens follow the adapter's. Where it gives none they stand alone, or the null tokens do.

        Args:
            lr: low-resolution video in [0, 1], shape (B, T, 3, h, w).
            low_res_noise: standard normal, shape of ``lr``; for backbones that see the clip noised.
        """
        told = self.told(lr)
        text = self.get_buffer("prompt_tokens").expand(lr.shape[0], -1, -1)
        if told.tokens is not None and self.sampling.prompt:
            told = told._replace(tokens=torch.cat([told.tokens, text.to(told.tokens)], dim=1))
        if not self.backbone.capabilities.unet.needs_low_res:
            return told.condition(text)
        noise_level = torch.full((lr.shape[0],), self.sampling.noise_level, device=lr.device)
        low_res = self.backbone.unet.noise_low_res(lr, noise_level, low_res_noise.to(lr))
        return told.condition(text, low_res, noise_level)

    def conditioned(self, condition: Condition) -> Denoiser:
        """The backbone told of clips: what trains."""
        return ConditionedDenoiser(self.backbone, condition)

    def guided(self, condition: Condition) -> Denoiser:
        """The same, guided where the sampling asks for it: what samples."""
        conditioned = self.conditioned(condition)
        if self.sampling.guidance_scale == 1:
            return conditioned
        negative = self.get_buffer("negative_tokens").expand(condition.tokens.shape[0], -1, -1)
        null = self.conditioned(Condition(negative, condition.low_res, condition.noise_level))
        return GuidedDenoiser(conditioned, null, self.sampling.guidance_scale)

    def decode(self, z_0: Tensor, lr: Tensor) -> Tensor:
        """Video of latents and, for VAEs that take it, the clean low-resolution clip."""
        return self.backbone.decode(z_0.to(lr), lr if self.backbone.capabilities.vae.needs_low_res else None)

    def made_of(self) -> dict[str, Any]:
        """What an exported adapter says of the stack that made it."""
        return {
            "unet": type(self.backbone.unet).__name__,
            "vae": type(self.backbone.vae).__name__,
            "prediction_type": self.backbone.capabilities.unet.prediction_type,
            "encoder": self.encoder.name,
            "scale": self.scale,
            "seed": self.sampling.seed,
        }


NETWORKS = tuple(name for name in signature(VSRModel).parameters if name != "sampling")  # all but how it is sampled
