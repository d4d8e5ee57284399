"""Stage c: the denoiser, on latents of stage a, the noised low-resolution clip and procedural captions."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler
from diffusers.models.resnet import ResnetBlock2D, TemporalResnetBlock
from torch import Tensor, nn

from recipes.mini.captions import CaptionEmbedding, NullTokens, describe
from recipes.mini.footage import Footage, Shape, validation
from recipes.mini.layout import features, silence, video
from recipes.mini.perceptual import distance, perceptual
from recipes.mini.training import Stage, mean
from recipes.mini.vae import scaled, window
from vsr_adapter.backbones import UpscaleUNet, VideoVAEPart
from vsr_adapter.backbones.published import OWN_LOW_RES_SCHEDULE, NoisedLowResUNet
from vsr_adapter.backbones.upscale_a_video.layers import TemporalBlock
from vsr_adapter.backbones.upscale_a_video.transformer import VideoTransformer
from vsr_adapter.diffusion import ForwardProcess, Sampler
from vsr_adapter.frozen import channels_last, random_weights
from vsr_adapter.metrics import PSNR
from vsr_adapter.resize import bicubic_upscale
from vsr_adapter.seeds import generator
from vsr_adapter.types import Clip

TEXT_DIM = 128
SCALE = 4  # of the autoencoder, and of what it upscales
MAX_NOISE_LEVEL = 350
HIDING = 150  # a noise level
CONFIG: dict[str, Any] = {
    "block_out_channels": [64, 96, 96],
    "down_block_types": ["DownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D"],
    "up_block_types": ["CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "UpBlock3D"],
    "only_cross_attention": [True, True, False],
    "down_temporal_idx": [1, 2],
    "up_temporal_idx": [0, 1],
    "layers_per_block": 1,
    "attention_head_dim": 4,
    "cross_attention_dim": TEXT_DIM,
    "num_class_embeds": MAX_NOISE_LEVEL + 1,
    "norm_num_groups": 16,
}
# of about 100,000 pixels each: small batches leave the processor idle. Half of them are in motion, most of several
# scenes; 320 pixels are the 80x80 latents of a window, whose statistics small crops do not have (see large.yaml)
SHAPES = [
    Shape(16, 1, 80, 0.3),
    Shape(8, 1, 112, 0.2),
    Shape(6, 4, 64, 0.2),
    Shape(2, 4, 112, 0.1),
    Shape(4, 8, 56, 0.08),
    Shape(2, 1, 224, 0.08),
    Shape(1, 1, 320, 0.04),
]


@dataclass(frozen=True)
class Rates:
    """How often what is drawn.

    Attributes:
        first: share of clips at the last training time, where one-step sampling stands; the others are uniform.
        uncaptioned: share of clips without a caption.
        pixels: share of batches whose predicted z_0 is also decoded and compared in pixels.
        clean: share of clips at noise level 0, the default of the stack.
        noisy: share of clips whose noise level is uniform; it is mostly small in the rest.
    """

    first: float = 0.8
    uncaptioned: float = 0.3
    pixels: float = 0.0
    clean: float = 0.6
    noisy: float = 0.2


@torch.no_grad()
def begin(unet: UpscaleUNet) -> None:
    """Residual branches, and the prediction, start at zero (see `vae.begin`), and the first layer sees edges.

    So that noise of unit variance and the low frequencies of the clip do not drown the edges, which tell of the detail.
    Its effect was not measured alone.
    """
    for module in unet.modules():
        if isinstance(module, ResnetBlock2D | TemporalResnetBlock):
            module.conv2.weight.zero_()
        if isinstance(module, VideoTransformer):
            module.proj_out.weight.zero_()
        if isinstance(module, TemporalBlock):
            module.shift_conv.weight.zero_()
    latents, low_res = unet.conv_in.weight.split([unet.config["out_channels"], 3], dim=1)
    latents.mul_(0.2)
    low_res.sub_(low_res.mean(dim=(2, 3), keepdim=True)).mul_(5)
    silence(unet.conv_in, unet.conv_out)
    unet.conv_out.weight.zero_()


class UNetStage(Stage):
    """v-prediction, and with ``rates.pixels`` what it looks like.

    The autoencoder's encoder is fixed, since other latents would undo the denoiser. Its decoder trains with the
    denoiser if asked: on the decoded prediction, and on true latents in the other batches, so that it stays one.

    Args:
        state: folder that `media.prepare` filled.
        vae: folder that holds the exported autoencoder; None for that in ``state``.
        seed: of weights and draws.
        rates: of the draws.
        v_weight: of the squared error of v.
        l1_weight: of L1 in pixels.
        lpips_weight: of LPIPS (VGG16).
        patch: side of the part of a frame that LPIPS sees, in pixels.
        judged: pixels of a batch that LPIPS sees, about: VGG16 on all of them would be half of a step.
        decoder: whether the autoencoder's decoder trains too.
        shapes: of the batches; None for `SHAPES`.
    """

    name = "unet"
    network: nn.ModuleDict

    def __init__(
        self,
        state: Path,
        vae: Path | None = None,
        seed: int = 0,
        rates: Rates | None = None,
        v_weight: float = 1.0,
        l1_weight: float = 1.0,
        lpips_weight: float = 1.0,
        patch: int = 64,
        judged: int = 16_000,
        decoder: bool = False,
        shapes: list[Shape] | None = None,
    ):
        self.state, self.seed, self.rates = state, seed, rates or Rates()
        self.v_weight, self.l1_weight, self.lpips_weight = v_weight, l1_weight, lpips_weight
        self.patch, self.judged, self.decoder = patch, judged, decoder
        self.vae = VideoVAEPart(str(vae or state / "export")).load()
        channels_last(self.vae.network)
        with random_weights(seed):
            unet, captions = UpscaleUNet.from_config(CONFIG), CaptionEmbedding(TEXT_DIM)
        begin(unet)
        self.network = nn.ModuleDict({"unet": channels_last(unet), "captions": captions, "null": NullTokens(TEXT_DIM)})
        if decoder:
            self.network["vae"] = self.vae.network
            for part in ("decoder", "post_quant_conv"):
                self.vae.network.get_submodule(part).requires_grad_(True)
        self.process = ForwardProcess(NoisedLowResUNet.own_schedule, "v_prediction")
        self.low_res_process = DDPMScheduler.from_config(OWN_LOW_RES_SCHEDULE)
        self.footage = Footage(state, shapes or SHAPES, seed)

    def files(self, network: nn.Module) -> dict[str, nn.Module]:
        """As Upscale-A-Video publishes its own; the captions' embedding is kept for going on with training."""
        assert isinstance(network, nn.ModuleDict)
        return {
            "unet/unet_video.safetensors": network["unet"],
            "captions.safetensors": network["captions"],
            "null_tokens.safetensors": network["null"],
            **({"vae/vae_video.safetensors": network["vae"]} if self.decoder else {}),
        }

    def configs(self, network: nn.Module) -> dict[str, dict[str, Any]]:
        """The network's and both schedules'."""
        return {
            "unet/unet_video_config.json": CONFIG,
            "scheduler/scheduler_config.json": NoisedLowResUNet.own_schedule,
            "low_res_scheduler/scheduler_config.json": OWN_LOW_RES_SCHEDULE,
            **({"vae/vae_video_config.json": scaled(self.vae.scaling_factor)} if self.decoder else {}),
        }

    def loss(self, step: int) -> dict[str, Tensor]:
        """Squared error of v, mean over latents; L1 and LPIPS of the decoded z_0 where they are drawn."""
        clip = self.footage.batch(step)
        random = generator("unet", self.seed, step)
        count = len(clip.hr)
        with torch.no_grad():
            z_0 = self.vae.encode(clip.hr).float()  # bfloat16 under autocast
        draws = torch.rand(5, count, generator=random)
        index = torch.where(draws[0] < self.rates.first, 1.0, draws[1]).mul(len(self.process) - 1).long()
        noise = torch.randn(z_0.shape, generator=random)
        z_t = self.process.noised(z_0, noise, index)
        tokens = self.network["captions"](describe(clip)) * (draws[2] >= self.rates.uncaptioned).float()[:, None, None]
        uniform, clean = draws[4] < self.rates.noisy, draws[4] >= 1 - self.rates.clean
        level = (MAX_NOISE_LEVEL * torch.where(uniform, draws[3], draws[3] ** 4)).long() * ~clean
        v = self.predict(self.network, z_t, self.process.times[index], tokens, clip.lr, level, random)
        alpha, sigma = self.process.coefficients(index, z_0)
        target = alpha * noise - sigma * z_0
        latent = F.mse_loss(v, target)
        total = self.v_weight * latent
        losses = {"total": total, "v": latent, "nothing": target.square().mean()}  # v of a network that says nothing
        judge = torch.rand((), generator=random) < self.rates.pixels
        if judge or self.decoder:
            seen = self.seen(alpha * z_t - sigma * v if judge else z_0, clip, random)
            named = seen if judge else {f"true_{name}": part for name, part in seen.items()}
            weights = {"l1": self.l1_weight, "lpips": self.lpips_weight}
            total = total + sum(weights[name] * part for name, part in seen.items())
            losses = {**losses, **named, "total": total}
        return losses

    def predict(
        self,
        network: nn.ModuleDict,
        z_t: Tensor,
        t: Tensor,
        tokens: Tensor,
        lr: Tensor,
        level: Tensor,
        random: torch.Generator,
    ) -> Tensor:
        """v; the low-resolution clip (B, T, 3, h, w) in [0, 1] is noised here."""
        noised = self.low_res_process.add_noise(lr * 2 - 1, torch.randn(lr.shape, generator=random), level)
        z_t, noised = (x.contiguous(memory_format=torch.channels_last_3d) for x in (z_t, noised.transpose(1, 2)))
        return network["unet"](z_t, t, tokens, noised, level)

    def seen(self, z_0: Tensor, clip: Clip, random: torch.Generator) -> dict[str, Tensor]:
        """L1 and LPIPS of decoded latents, in [-1, 1]."""
        truth = features(clip.hr)
        latents = (z_0 / self.vae.scaling_factor).contiguous(memory_format=torch.channels_last_3d)
        ours = self.vae.network.decode(latents, features(clip.lr))
        l1 = F.l1_loss(ours, truth)
        if not self.lpips_weight:
            return {"l1": l1}
        part = window(truth.shape, self.patch, random)
        frames = torch.cartesian_prod(torch.arange(len(truth)), torch.arange(truth.shape[2]))
        count = math.ceil(self.judged / truth[part][0, 0, 0].numel())
        chosen = frames[torch.randperm(len(frames), generator=random)[:count]]
        judged = [pixels[part][chosen[:, 0], :, chosen[:, 1]] for pixels in (ours, truth)]
        lpips = perceptual(self.state, "vgg")(*judged).mean()
        return {"l1": l1, "lpips": lpips}

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """PSNR and LPIPS (AlexNet) of bikes.mp4: bicubic; 1, 2 and 4 steps of DDIM without a caption; 1 with it.

        One step also where noise hides much of the low-resolution clip, so that captions have more to say.
        """
        assert isinstance(network, nn.ModuleDict)
        figures: dict[str, list[float]] = {}
        for clip in validation(self.state, frames=4, size=160)[::2]:
            said = network["captions"](describe(clip))
            outputs = {f"null{steps}": self.sample(network, clip.lr, said * 0, steps) for steps in (1, 2, 4)}
            outputs |= {"said1": self.sample(network, clip.lr, said, 1), "bicubic": bicubic_upscale(clip.lr)}
            outputs["hidden_null1"] = self.sample(network, clip.lr, said * 0, 1, HIDING)
            outputs["hidden_said1"] = self.sample(network, clip.lr, said, 1, HIDING)
            for name, ours in outputs.items():
                alex = distance(perceptual(self.state, "alex"), features(ours), features(clip.hr))
                figures.setdefault(f"{name}_lpips", []).append(alex.item())
                figures.setdefault(f"{name}_psnr", []).append(PSNR().per_clip(ours, clip.hr).mean().item())
        return {f"val_{name}": mean(values) for name, values in figures.items()}

    def sample(self, network: nn.ModuleDict, lr: Tensor, tokens: Tensor, steps: int, noise_level: int = 0) -> Tensor:
        """Video (B, T, 3, H, W) in [0, 1] by DDIM, noise of seed 0."""
        sampler, random = Sampler(steps=steps), torch.Generator().manual_seed(0)
        scheduler = sampler.schedule(NoisedLowResUNet.own_schedule)
        level = torch.full((len(lr),), noise_level)
        batch, frames, _, height, width = lr.shape
        z = torch.randn((batch, self.vae.capabilities.latent_channels, frames, height, width), generator=random)
        kept = random.get_state()

        def denoise(z_t: Tensor, t: Tensor) -> Tensor:
            random.set_state(kept)  # every step sees the same noised clip
            return self.predict(network, z_t, t.expand(batch), tokens, lr, level, random)

        z_0 = sampler.run(denoise, z, scheduler, scheduler.timesteps, lambda i: torch.zeros_like(z))
        if self.decoder:  # the averaged one
            vae: Any = network["vae"]
            return video(vae.decode(z_0 / self.vae.scaling_factor, features(lr)))
        return self.vae.decode(z_0, lr)
