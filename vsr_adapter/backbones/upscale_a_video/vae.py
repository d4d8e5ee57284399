"""Upscale-A-Video's autoencoders: plain ("3D"), and with a decoder that sees the clean low-resolution clip (SFT)."""

from typing import Any, Self

import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from diffusers.models.upsampling import Upsample2D
from torch import Tensor, nn

from vsr_adapter.backbones.upscale_a_video.config import must_be, must_divide, with_defaults
from vsr_adapter.backbones.upscale_a_video.layers import VideoResnetBlock, VideoResnetBlockPlus, per_frame
from vsr_adapter.backbones.upscale_a_video.skip import DETAIL, detail, upscaled
from vsr_adapter.errors import UserError

EPS = 1e-6
DEFAULTS: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "latent_channels": 4,
    "block_out_channels": (128, 256, 512),
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "scaling_factor": 0.08333,
    "down_block_types": ("DownEncoderBlock3D",) * 3,
    "up_block_types": ("UpDecoderBlock3D",) * 3,
    "condition_img": False,
    "condition_channels": 128,
    "act_fn": "silu",
    # ours, off in what is published; for small networks, see `VideoVAE`
    "bicubic_skip": False,
    "mid_block_add_attention": True,
    # say nothing of the network
    "sample_size": None,
    "use_temporal_block": None,
    "_class_name": None,
    "_diffusers_version": None,
}


class FrameAttention(nn.Module):
    """Single-head self-attention over the pixels of a frame; its norm is per frame, unlike all others.

    Args:
        channels: of the features.
        groups: of the norm.
    """

    def __init__(self, channels: int, groups: int):
        super().__init__()
        self.group_norm = nn.GroupNorm(groups, channels, eps=EPS)
        self.query, self.key, self.value, self.proj_attn = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, frames: Tensor) -> Tensor:
        """Shape of ``frames`` (N, C, h, w)."""
        pixels = self.group_norm(frames).flatten(2).transpose(1, 2)[:, None]  # one head
        attended = F.scaled_dot_product_attention(self.query(pixels), self.key(pixels), self.value(pixels))
        return frames + self.proj_attn(attended[:, 0]).transpose(1, 2).unflatten(2, frames.shape[2:])


def resnet(entering: int, leaving: int, groups: int, plus: bool = False, first_groups: int | None = None) -> nn.Module:
    """A residual block of the autoencoder: no time embedding, eps 1e-6."""
    if plus:
        return VideoResnetBlockPlus(entering, leaving, first_groups or groups, groups, EPS)
    return VideoResnetBlock(in_channels=entering, out_channels=leaving, temb_channels=None, groups=groups, eps=EPS)


class VAELevel(nn.Module):
    """Residual blocks of one resolution, and the resampler after them."""

    def __init__(self, resnets: list[nn.Module], resampler: tuple[str, nn.Module] | None):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        self.resampler = None if resampler is None else resampler[0]
        if resampler is not None:
            setattr(self, resampler[0], nn.ModuleList([resampler[1]]))

    def forward(self, x: Tensor) -> Tensor:
        """Features of shape (B, C, T, h, w), resampled in space."""
        for block in self.resnets:
            x = block(x)
        return x if self.resampler is None else per_frame(getattr(self, self.resampler)[0], x)


class VAEMidLevel(nn.Module):
    """Residual block, attention where there is one, residual block."""

    def __init__(self, channels: int, groups: int, plus: bool, attention: bool):
        super().__init__()
        self.attentions = nn.ModuleList([FrameAttention(channels, groups)] if attention else [])
        self.resnets = nn.ModuleList([resnet(channels, channels, groups, plus) for _ in range(2)])

    def forward(self, x: Tensor) -> Tensor:
        """Shape of ``x`` (B, C, T, h, w)."""
        x = self.resnets[0](x)
        for attention in self.attentions:
            x = per_frame(attention, x)
        return self.resnets[1](x)


class Encoder(nn.Module):
    """Pixels to moments."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        widths, groups, layers = config["block_out_channels"], config["norm_num_groups"], config["layers_per_block"]
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList()
        for i, width in enumerate(widths):
            entering = [widths[max(i - 1, 0)]] + [width] * (layers - 1)
            # padding 0: the downsampler pads right and below only
            down = ("downsamplers", Downsample2D(width, use_conv=True, padding=0, name="op"))
            blocks = [resnet(one, width, groups) for one in entering]
            self.down_blocks.append(VAELevel(blocks, None if i == len(widths) - 1 else down))
        self.mid_block = VAEMidLevel(widths[-1], groups, plus=False, attention=config["mid_block_add_attention"])
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=EPS)
        self.conv_out = nn.Conv2d(widths[-1], 2 * config["latent_channels"], 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Moments (B, 2 C, T, h, w) of pixels (B, 3, T, H, W)."""
        h = per_frame(self.conv_in, x)
        for block in self.down_blocks:
            h = block(h)
        return per_frame(self.conv_out, F.silu(self.conv_norm_out(self.mid_block(h))))


class ConditionFusion(nn.Module):
    """Spatial feature transform: h + w (h scale + shift), scale and shift from the encoded clip and h."""

    def __init__(self, condition: int, channels: int, groups: int):
        super().__init__()
        self.shared = nn.Sequential(resnet(condition + channels, channels, groups), resnet(channels, channels, groups))
        self.scale = nn.Conv2d(channels, channels, 3, padding=1)
        self.shift = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, condition: Tensor, h: Tensor, weight: float) -> Tensor:
        """Shape of ``h`` (B, C, T, h, w)."""
        shared = self.shared(torch.cat([condition, h], dim=1))
        return h + weight * (h * per_frame(self.scale, shared) + per_frame(self.shift, shared))


class Decoder(nn.Module):
    """Latents to pixels."""

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        widths, groups, layers = config["block_out_channels"], config["norm_num_groups"], config["layers_per_block"]
        conditioned = config["condition_img"]
        widest = widths[-1]
        self.conv_in = nn.Conv2d(config["latent_channels"], widest, 3, padding=1)
        if conditioned:
            width, colours = config["condition_channels"], 3
            self.condition_in = nn.Sequential(
                resnet(colours, width, groups, plus=True, first_groups=colours), resnet(width, width, groups, plus=True)
            )
            self.condition_fuse = ConditionFusion(width, widest, groups)
        self.mid_block = VAEMidLevel(widest, groups, conditioned, config["mid_block_add_attention"])
        self.up_blocks = nn.ModuleList()
        for i, kind in enumerate(config["up_block_types"]):
            level = len(widths) - 1 - i
            entering = [widths[min(level + 1, len(widths) - 1)]] + [widths[level]] * layers
            blocks = [resnet(one, widths[level], groups, plus=kind.endswith("_plus")) for one in entering]
            up = ("upsamplers", Upsample2D(widths[level], use_conv=True))
            self.up_blocks.append(VAELevel(blocks, None if level == 0 else up))
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps=EPS)
        self.conv_out = nn.Conv2d(widths[0], config["out_channels"], 3, padding=1)

    def forward(self, z: Tensor, low_res: Tensor | None, weight: float) -> Tensor:
        """Pixels (B, 3, T, H, W) of latents (B, C, T, h, w)."""
        h = per_frame(self.conv_in, z)
        if low_res is not None:
            h = self.condition_fuse(self.condition_in(low_res), h, weight)
        h = self.mid_block(h)
        for block in self.up_blocks:
            h = block(h)
        return per_frame(self.conv_out, F.silu(self.conv_norm_out(h)))


class VideoVAE(nn.Module):
    """f4 autoencoder of clips; 2-D convolutions per frame, norms that pool over time.

    So encoding a clip is not encoding its frames. State-dict names are the published ones.

    Two entries of the config are ours, off in published ones, and for small networks: with ``bicubic_skip`` the encoder
    sees, and the decoder gives, what the bicubic upscale of the low-resolution clip lacks;
    ``mid_block_add_attention: false`` (diffusers' name) leaves out the attention over all pixels of a frame, half the
    work of a small decoder at 80x80 latents.

    Args:
        config: entries of `DEFAULTS`; use `from_config` for a published one.
    """

    def __init__(self, config: dict[str, Any]):
        super().__init__()
        self.config = config
        must_be(config, "act_fn", "silu")
        levels = len(config["block_out_channels"])
        self.factor = 2 ** (levels - 1)
        for key, allowed in [
            ("down_block_types", ("DownEncoderBlock3D",)),
            ("up_block_types", ("UpDecoderBlock3D", "UpDecoderBlock3D_plus")),
        ]:
            if len(config[key]) != levels or set(config[key]) - set(allowed):
                raise UserError(f"{key} {list(config[key])}: {levels} of {' or '.join(allowed)}; use such a checkpoint")
        must_divide(config["block_out_channels"], config["norm_num_groups"], "norm_num_groups")
        if config["bicubic_skip"] and not config["condition_img"]:
            raise UserError("bicubic_skip true, condition_img false: the skip needs the low-resolution clip; set both")
        channels = config["latent_channels"]
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.quant_conv = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.post_quant_conv = nn.Conv2d(channels, channels, 1)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The network of a published ``vae_3d_config.json`` or ``vae_video_config.json``.

        Absent keys take the published defaults; block types that are absent follow the number of widths.

        Raises:
            UserError: the config asks for another architecture.
        """
        settings = with_defaults(config, DEFAULTS, "VideoVAE")
        levels = len(settings["block_out_channels"])
        for key, kind in [("down_block_types", "DownEncoderBlock3D"), ("up_block_types", "UpDecoderBlock3D")]:
            if key not in config:
                plus = "_plus" if key == "up_block_types" and settings["condition_img"] else ""
                settings[key] = (kind + plus,) * levels
        return cls(settings)

    def encode_moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior.

        Args:
            x: pixels in [-1, 1], shape (B, 3, T, H, W).

        Returns:
            Twice shape (B, C, T, H / 4, W / 4); the log-variance is clamped to [-30, 20].
        """
        if self.config["bicubic_skip"]:
            x = detail(x, self.factor)
        mean, logvar = per_frame(self.quant_conv, self.encoder(x)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def decode(self, z: Tensor, low_res: Tensor | None = None, sft_weight: float = 1.0) -> Tensor:
        """Pixels of raw latents.

        Args:
            z: unscaled latents, shape (B, C, T, h, w).
            low_res: the clean low-resolution clip in [-1, 1], shape (B, 3, T, h, w); SFT decoders need it, and
                plain ones ignore it.
            sft_weight: strength of the fusion.

        Returns:
            Shape (B, 3, T, 4h, 4w), roughly in [-1, 1], not clamped.

        Raises:
            UserError: an SFT decoder without ``low_res``, or one of another size than ``z``.
        """
        if not self.config["condition_img"]:
            low_res = None
        elif low_res is None:
            raise UserError("low_res is None: this VAE decodes with the clean low-resolution clip; pass low_res")
        elif (low_res.shape[0], *low_res.shape[2:]) != (z.shape[0], *z.shape[2:]):
            raise UserError(
                f"low_res of {tuple(low_res.shape)}, latents of {tuple(z.shape)}: clips, frames, height and width must "
                "be equal; pass the clip that was encoded"
            )
        pixels = self.decoder(per_frame(self.post_quant_conv, z), low_res, sft_weight)
        if self.config["bicubic_skip"]:
            assert low_res is not None  # the constructor has seen to it
            pixels = upscaled(low_res, self.factor) + DETAIL * pixels
        return pixels
