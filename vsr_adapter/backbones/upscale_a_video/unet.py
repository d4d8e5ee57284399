"""The "upscale" UNet: Upscale-A-Video's, and key for key LaVie's VSR UNet."""

from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from vsr_adapter.backbones.low_res import check_low_res, each_noise_level
from vsr_adapter.backbones.upscale_a_video.config import must_be, must_divide, with_defaults
from vsr_adapter.backbones.upscale_a_video.layers import TEMPORAL_GROUPS, TemporalBlock, VideoResnetBlock, per_frame
from vsr_adapter.backbones.upscale_a_video.transformer import RotaryEmbedding, VideoTransformer
from vsr_adapter.errors import UserError
from vsr_adapter.types import Condition

DEFAULTS: dict[str, Any] = {
    "in_channels": 7,
    "out_channels": 4,
    "block_out_channels": (256, 512, 512, 1024),
    "down_block_types": ("DownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D"),
    "up_block_types": ("CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "UpBlock3D"),
    "only_cross_attention": (True, True, True, False),
    "layers_per_block": 2,
    "attention_head_dim": 8,
    "cross_attention_dim": 1024,
    "num_class_embeds": 1000,
    "norm_num_groups": 32,
    "norm_eps": 1e-5,
    "down_temporal_idx": (0, 1, 2, 3),
    "mid_temporal": True,
    "up_temporal_idx": (0, 1, 2, 3),
    # read only to be refused where they are otherwise
    "act_fn": "silu",
    "use_linear_projection": True,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "center_input_sample": False,
    "downsample_padding": 1,
    "mid_block_scale_factor": 1,
    "dual_cross_attention": False,
    # say nothing of the network
    "sample_size": None,
    "temporal_module_config": None,
    "_class_name": None,
    "_diffusers_version": None,
}


class Level(nn.Module):
    """Residual blocks of one resolution, each followed by a transformer where the level has them."""

    def __init__(self, resnets: list[VideoResnetBlock], attentions: list[VideoTransformer]):
        super().__init__()
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        self.resnets = nn.ModuleList(resnets)

    def layer(self, i: int, x: Tensor, temb: Tensor, told: Condition) -> Tensor:
        """Residual block i, and its transformer."""
        x = self.resnets[i](x, temb)
        return self.attentions[i](x, told) if hasattr(self, "attentions") else x


class DownLevel(Level):
    """A level on the way down."""

    def __init__(self, resnets: list[VideoResnetBlock], attentions: list[VideoTransformer], last: bool):
        super().__init__(resnets, attentions)
        if not last:
            channels = resnets[-1].out_channels
            self.downsamplers = nn.ModuleList([Downsample2D(channels, use_conv=True, padding=1, name="op")])

    def forward(self, x: Tensor, temb: Tensor, told: Condition) -> tuple[Tensor, list[Tensor]]:
        """The output, and the skips: each layer's output and the downsampler's."""
        skips = []
        for i in range(len(self.resnets)):
            x = self.layer(i, x, temb, told)
            skips.append(x)
        if hasattr(self, "downsamplers"):
            x = per_frame(self.downsamplers[0], x)
            skips.append(x)
        return x, skips


class UpLevel(Level):
    """A level on the way up."""

    def __init__(self, resnets: list[VideoResnetBlock], attentions: list[VideoTransformer], last: bool):
        super().__init__(resnets, attentions)
        if not last:
            self.upsamplers = nn.ModuleList([Upsample2D(resnets[-1].out_channels, use_conv=True)])

    def forward(
        self, x: Tensor, skips: list[Tensor], size: tuple[int, int] | None, temb: Tensor, told: Condition
    ) -> Tensor:
        """Output at ``size``, which is that of the next skip; ``skips`` in the order of their use."""
        for i, skip in enumerate(skips):
            x = self.layer(i, torch.cat([x, skip], dim=1), temb, told)
        if hasattr(self, "upsamplers"):
            x = per_frame(lambda frames: self.upsamplers[0](frames, output_size=size), x)
        return x


class MidLevel(Level):
    """The lowest level: residual block, transformer with self-attention, residual block."""

    def forward(self, x: Tensor, temb: Tensor, told: Condition) -> Tensor:
        """Shape of ``x``."""
        x = self.attentions[0](self.resnets[0](x, temb), told)
        return self.resnets[1](x, temb)


class UpscaleUNet(nn.Module):
    """v-prediction on latents and a noised low-resolution clip; state-dict names are the published ones.

    Args:
        config: entries of `DEFAULTS`; use `from_config` for a published one.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.config = config
        self.check()
        widths, layers = list(config["block_out_channels"]), config["layers_per_block"]
        temb, last = 4 * widths[0], len(widths) - 1
        heads = config["attention_head_dim"]
        self.heads = [heads] * len(widths) if isinstance(heads, int) else list(heads)
        only = config["only_cross_attention"]
        only = [only] * len(widths) if isinstance(only, bool) else list(only)

        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.time_proj = Timesteps(widths[0], flip_sin_to_cos=True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(widths[0], temb)
        self.class_embedding = nn.Embedding(config["num_class_embeds"], temb)
        self.temporal_rotary_emb = RotaryEmbedding()

        def resnet(entering: int, leaving: int) -> VideoResnetBlock:
            groups, eps = config["norm_num_groups"], config["norm_eps"]
            return VideoResnetBlock(
                in_channels=entering, out_channels=leaving, temb_channels=temb, groups=groups, eps=eps
            )

        def transformers(count: int, level: int, cross: bool) -> list[VideoTransformer]:
            width, text, groups = widths[level], config["cross_attention_dim"], config["norm_num_groups"]
            return [
                VideoTransformer(width, self.heads[level], text, cross, self.temporal_rotary_emb, groups)
                for _ in range(count)
            ]

        self.down_blocks, self.down_temp_blocks = nn.ModuleList(), nn.ModuleList()
        for i, kind in enumerate(config["down_block_types"]):
            entering = [widths[max(i - 1, 0)]] + [widths[i]] * (layers - 1)
            attentions = transformers(layers, i, only[i]) if kind.startswith("CrossAttn") else []
            self.down_blocks.append(DownLevel([resnet(one, widths[i]) for one in entering], attentions, i == last))
            self.down_temp_blocks.append(self.temporal(i in config["down_temporal_idx"], widths[i], temb))

        self.mid_block = MidLevel([resnet(widths[-1], widths[-1]) for _ in range(2)], transformers(1, last, False))
        self.mid_temp_block = self.temporal(config["mid_temporal"], widths[-1], temb)

        self.up_blocks, self.up_temp_blocks = nn.ModuleList(), nn.ModuleList()
        for i, kind in enumerate(config["up_block_types"]):
            level = last - i
            above, below = widths[max(level - 1, 0)], widths[min(level + 1, last)]
            entering = [below] + [widths[level]] * layers
            skips = [widths[level]] * layers + [above]
            resnets = [resnet(one + skip, widths[level]) for one, skip in zip(entering, skips, strict=True)]
            attentions = transformers(layers + 1, level, only[level]) if kind.startswith("CrossAttn") else []
            self.up_blocks.append(UpLevel(resnets, attentions, level == 0))
            self.up_temp_blocks.append(self.temporal(i in config["up_temporal_idx"], widths[level], temb))

        self.conv_norm_out = nn.GroupNorm(config["norm_num_groups"], widths[0], eps=config["norm_eps"])
        self.conv_out = nn.Conv2d(widths[0], config["out_channels"], 3, padding=1)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The network of a published ``unet_video_config.json``; absent keys take the published defaults.

        Raises:
            UserError: the config asks for another architecture.
        """
        return cls(with_defaults(config, DEFAULTS, "UpscaleUNet"))

    def check(self) -> None:
        """Refuses configs of other architectures."""
        config = self.config
        for key in (
            "act_fn",
            "use_linear_projection",
            "flip_sin_to_cos",
            "freq_shift",
            "center_input_sample",
            "downsample_padding",
            "mid_block_scale_factor",
            "dual_cross_attention",
        ):
            must_be(config, key, DEFAULTS[key])
        levels = len(config["block_out_channels"])
        for key, allowed in [
            ("down_block_types", ("DownBlock3D", "CrossAttnDownBlock3D")),
            ("up_block_types", ("UpBlock3D", "CrossAttnUpBlock3D")),
        ]:
            if len(config[key]) != levels or set(config[key]) - set(allowed):
                raise UserError(f"{key} {list(config[key])}: {levels} of {' or '.join(allowed)}; use such a checkpoint")
        for divisor, what in [(config["norm_num_groups"], "norm_num_groups"), (TEMPORAL_GROUPS, "temporal groups")]:
            must_divide(config["block_out_channels"], divisor, what)

    @staticmethod
    def temporal(present: bool, channels: int, temb: int) -> nn.Module:
        """A temporal block, or one that does nothing and has no weights."""
        return TemporalBlock(channels, temb) if present else NoTemporalBlock()

    def forward(
        self,
        z_t: Tensor,
        t: Tensor,
        tokens: Tensor,
        low_res: Tensor,
        noise_level: Tensor | int,
        own: Tensor | None = None,
    ) -> Tensor:
        """The prediction.

        Args:
            z_t: noisy latents, shape (B, 4, T, h, w).
            t: training time, shape (B,) or ().
            tokens: shape (B, L, cross_attention_dim), any L.
            low_res: noised clip in the network's range, shape (B, 3, T, h, w).
            noise_level: training time of its noise, 0 to 350, shape (B,) or ().
            own: see `Condition`.

        Returns:
            Shape (B, 4, T, h, w).

        Raises:
            UserError: ``low_res`` has another size than ``z_t``, or the noise level is too high.
        """
        batch = z_t.shape[0]
        check_low_res(low_res, z_t)
        noise_level = each_noise_level(noise_level, batch, z_t.device, self.config["num_class_embeds"])
        dtype = self.conv_in.weight.dtype
        t = torch.as_tensor(t, device=z_t.device).expand(batch)
        temb = self.time_embedding(self.time_proj(t).to(dtype)) + self.class_embedding(noise_level)

        x = per_frame(self.conv_in, torch.cat([z_t, low_res], dim=1).to(dtype))
        told = Condition(tokens.to(dtype), own=own)
        skips = [x]
        for block, temporal in zip(self.down_blocks, self.down_temp_blocks, strict=True):
            x, more = block(x, temb, told)
            skips += more  # taken before the temporal block
            x = temporal(x, temb)
        x = self.mid_temp_block(self.mid_block(x, temb, told), temb)
        for block, temporal in zip(self.up_blocks, self.up_temp_blocks, strict=True):
            used = [skips.pop() for _ in range(self.config["layers_per_block"] + 1)]
            size = tuple(skips[-1].shape[-2:]) if skips else None
            x = temporal(block(x, used, size, temb, told), temb)
        return per_frame(self.conv_out, F.silu(self.conv_norm_out(x))).to(z_t.dtype)


class NoTemporalBlock(nn.Module):
    """Stands where a config has no temporal block."""

    def forward(self, x: Tensor, temb: Tensor) -> Tensor:
        """``x``."""
        return x
