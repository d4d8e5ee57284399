"""The "ali" UNet: ModelScope's text-to-video, diffusers'."""

from typing import Any

from diffusers import UNet3DConditionModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn

from vsr_adapter.backbones.base import UNetCapabilities
from vsr_adapter.backbones.published import PublishedUNet
from vsr_adapter.types import Condition

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


def contiguous(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same inputs in the order of their memory; a forward pre-hook."""
    return tuple(tensor.contiguous() for tensor in inputs)


class ModelScopeUNet(PublishedUNet):
    """diffusers' `UNet3DConditionModel`: epsilon prediction on f8 latents, tokens repeated to every frame inside.

    Args:
        source: see `PublishedUNet`.
        latent_factor: pixels per cell of the latents that it was trained on; ModelScope's are f8.
        **kwargs: of `PublishedUNet`.
    """

    own_schedule = MODELSCOPE_SCHEDULER

    def __init__(self, source: str | None = None, latent_factor: int = 8, **kwargs: Any):
        super().__init__(source, **kwargs)
        self.latent_factor = latent_factor

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

    def make(self) -> UNet3DConditionModel:
        """Its defaults are ModelScope's."""
        return UNet3DConditionModel.from_config(self.config)

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        super().build()
        for module in self.network.modules():
            if isinstance(module, TransformerTemporalModel):
                # it hands over a permuted view, for which torch multiplies pixel by pixel: thousands of tiny products
                module.proj_in.register_forward_pre_hook(contiguous)

    def denoise(self, z_t: Tensor, t: Tensor, condition: Condition) -> Tensor:
        """Epsilon, shape of ``z_t``; the network never sees the low-resolution clip."""
        dtype, own = self.network.dtype, {"ip_hidden_states": condition.own}
        tokens = condition.tokens.to(dtype)
        return self.network(z_t.to(dtype), t, tokens, cross_attention_kwargs=own).sample.to(z_t.dtype)
