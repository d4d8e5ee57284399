"""UNets of published checkpoints: what they share is where config, schedules and weights come from."""

from abc import abstractmethod
from typing import Any, ClassVar

from diffusers import DDPMScheduler
from torch import Tensor, nn

from vsr_adapter.assets import shipped
from vsr_adapter.backbones.base import UNetCapabilities, UNetPart
from vsr_adapter.backbones.loading import (
    DIFFUSERS_WEIGHTS,
    published_config,
    published_network,
    read_json,
    required,
)
from vsr_adapter.backbones.own import CrossAttentionSocket
from vsr_adapter.errors import UserError
from vsr_adapter.frozen import Precision

# of stacks of our own, with random weights: published ones bring theirs
OWN_LOW_RES_SCHEDULE = {"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"}


class PublishedUNet(CrossAttentionSocket, UNetPart):
    """A UNet with its config, schedule and weights from one checkpoint.

    Args:
        source: the published folder or its ``unet/``, a Hub id, a file of weights, or ``mini`` for the shipped ones;
            None builds random weights.
        revision: of the Hub repository.
        config: the network's arguments; read from ``source`` where None, and needed for single files.
        scheduler: a diffusers scheduler config, likewise.
        text_length: tokens of the text encoder, 77 for CLIP.
        seed: of random weights.
        precision: of the weights.
    """

    part: ClassVar[str] = "unet"  # folder of its weights
    config_name: ClassVar[str] = "config.json"
    weight_names: ClassVar[list[str]] = DIFFUSERS_WEIGHTS
    own_schedule: ClassVar[dict[str, Any]]

    def __init__(
        self,
        source: str | None = None,
        revision: str | None = None,
        config: dict[str, Any] | None = None,
        scheduler: dict[str, Any] | None = None,
        text_length: int = 77,
        seed: int = 0,
        precision: Precision = "float32",
    ):
        super().__init__(random=source is None)
        source = shipped(source)
        self.source, self.revision, self.seed, self.precision = source, revision, seed, precision
        self.text_length = text_length
        self.config = published_config(source, self.part, self.config_name, revision, config)
        self.scheduler = scheduler or self.schedule("scheduler", self.own_schedule)

    def schedule(self, part: str, own: dict[str, Any]) -> dict[str, Any]:
        """A published scheduler config, or ``own`` for random weights.

        Raises:
            UserError: it is not in ``source``.
        """
        if self.source is None:
            return own
        return read_json(required(self.source, part, ["scheduler_config.json"], self.revision))

    @abstractmethod
    def make(self) -> nn.Module:
        """The network of `config`."""

    def published_name(self, name: str) -> str:
        """The network's name of a tensor, by its name in the file."""
        return name

    def build(self) -> None:
        """Random weights, or those of ``source``."""
        self.network = published_network(
            self.make, self.source, self.part, self.weight_names, self.revision, self.seed, self.precision,
            self.published_name,
        )  # fmt: skip


class NoisedLowResUNet(PublishedUNet):
    """A UNet that sees the low-resolution clip, noised by a schedule of its own, beside the latents.

    Args:
        source: see `PublishedUNet`.
        low_res_scheduler: a diffusers scheduler config; read from ``source`` where None, and needed for single files.
        **kwargs: of `PublishedUNet`.
    """

    own_schedule: ClassVar[dict[str, Any]] = {
        "num_train_timesteps": 1000,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "prediction_type": "v_prediction",
        "clip_sample": False,
        "timestep_spacing": "trailing",
        "rescale_betas_zero_snr": True,
    }

    def __init__(self, source: str | None = None, low_res_scheduler: dict[str, Any] | None = None, **kwargs: Any):
        super().__init__(source, **kwargs)
        self.low_res_scheduler = low_res_scheduler or self.schedule("low_res_scheduler", OWN_LOW_RES_SCHEDULE)

    @property
    def capabilities(self) -> UNetCapabilities:
        """Read from the config."""
        return UNetCapabilities(
            latent_channels=self.config.get("out_channels", 4),
            latent_multiple=1,  # upsampling goes to the size of the next skip
            native_window=8,
            text_dim=self.config.get("cross_attention_dim", 1024),
            text_length=self.text_length,
            prediction_type=self.scheduler.get("prediction_type", "epsilon"),
            scheduler_config=self.scheduler,
            needs_low_res=True,
            latent_factor=4,
        )

    def build(self) -> None:
        """The network, and the schedule of the low-resolution clip's noise."""
        super().build()
        self.low_res_process = DDPMScheduler.from_config(self.low_res_scheduler)

    def noise_low_res(self, low_res: Tensor, noise_level: Tensor | None, noise: Tensor) -> Tensor:
        """The clip in [-1, 1], noised by its own schedule at ``noise_level``; shape (B, T, 3, h, w).

        Raises:
            UserError: no ``noise_level``.
        """
        return self.low_res_process.add_noise(low_res * 2 - 1, noise, given(noise_level))


def given(noise_level: Tensor | None) -> Tensor:
    """The level, which these networks cannot do without.

    Raises:
        UserError: there is none.
    """
    if noise_level is None:
        raise UserError("noise_level is None: this UNet takes a noised low-resolution clip; pass noise_level")
    return noise_level
