"""Stage a: the autoencoder. Its latents carry the detail that the low-resolution clip lacks."""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.mini.footage import Footage, Shape, validation
from recipes.mini.layout import features, silence, video
from recipes.mini.perceptual import distance, perceptual
from recipes.mini.training import Stage, mean
from vsr_adapter.backbones import VideoVAE
from vsr_adapter.backbones.upscale_a_video.layers import VideoResnetBlock, VideoResnetBlockPlus
from vsr_adapter.backbones.upscale_a_video.skip import upscaled
from vsr_adapter.backbones.upscale_a_video.vae import ConditionFusion
from vsr_adapter.frozen import channels_last, random_weights
from vsr_adapter.metrics import PSNR
from vsr_adapter.seeds import generator

# the published structure; without the mid attention and with 3-D convolutions at the latent's resolution alone,
# since those of the published decoder are most of its work
CONFIG: dict[str, Any] = {
    "block_out_channels": [16, 32, 64],
    "down_block_types": ["DownEncoderBlock3D"] * 3,
    "up_block_types": ["UpDecoderBlock3D"] * 3,
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "condition_img": True,
    "condition_channels": 32,
    "bicubic_skip": True,
    "mid_block_add_attention": False,
}
# of about 30,000 pixels each, of several scenes: steps on one scene alone undo what others taught. The large ones show
# the norms what whole frames look like
SHAPES = [Shape(6, 1, 72, 0.4), Shape(4, 2, 64, 0.3), Shape(3, 4, 48, 0.25), Shape(1, 1, 192, 0.05)]

CALIBRATION, CALIBRATION_BATCHES = 10**7, 64  # steps that no run comes to


@torch.no_grad()
def begin(network: VideoVAE) -> None:
    """Residual branches that start at zero, and a narrow posterior.

    With the defaults a dozen random branches, and noise of unit width, drown the little that the latents hold: the
    loss stood at bicubic's for 200 steps.
    """
    for module in network.modules():
        if isinstance(module, VideoResnetBlock):
            module.conv2.weight.zero_()
        if isinstance(module, VideoResnetBlockPlus):
            module.conv_3d.weight.zero_()
        if isinstance(module, ConditionFusion):
            module.scale.weight.zero_()
            module.shift.weight.zero_()
        if isinstance(module, nn.Conv2d | nn.Conv3d):
            silence(module)
    network.decoder.conv_out.weight.mul_(0.3)
    biases = network.quant_conv.bias
    assert biases is not None
    biases[len(biases) // 2 :] = -6.0  # of the log-variance


class VAEStage(Stage):
    """L1 + LPIPS + KL.

    Args:
        state: folder that `media.prepare` filled.
        seed: of weights and draws.
        lpips_weight: of LPIPS with VGG16's trunk.
        kl_weight: of the KL divergence, mean over latent elements. At 1e-4 the latents die: the low-resolution clip
            explains most of a frame.
        patch: side of the part of each frame that LPIPS sees, in pixels: VGG16 costs more than the autoencoder.
    """

    name = "vae"
    network: VideoVAE

    def __init__(self, state: Path, seed: int = 0, lpips_weight: float = 0.1, kl_weight: float = 2e-6, patch: int = 48):
        self.state, self.seed = state, seed
        self.lpips_weight, self.kl_weight, self.patch = lpips_weight, kl_weight, patch
        with random_weights(seed):
            self.network = channels_last(VideoVAE.from_config(CONFIG))
        begin(self.network)
        self.footage = Footage(state, SHAPES, seed)

    def files(self, network: nn.Module) -> dict[str, nn.Module]:
        """As Upscale-A-Video publishes its own."""
        return {"vae/vae_video.safetensors": network}

    @torch.no_grad()
    def configs(self, network: nn.Module) -> dict[str, dict[str, Any]]:
        """With the factor that gives the latents of training clips unit variance."""
        assert isinstance(network, VideoVAE)
        clips = (self.footage.batch(CALIBRATION + number) for number in range(CALIBRATION_BATCHES))
        latents = torch.cat([network.encode_moments(features(clip.hr))[0].flatten() for clip in clips])
        return {"vae/vae_video_config.json": scaled(round(1 / latents.std().item(), 5))}

    def loss(self, step: int) -> dict[str, Tensor]:
        """See the class."""
        clip = self.footage.batch(step)
        random = generator("vae", self.seed, step)
        truth, low_res = features(clip.hr), features(clip.lr)
        mean_z, logvar = self.network.encode_moments(truth)
        noise = torch.randn(mean_z.shape, generator=random)
        ours = self.network.decode(mean_z + (logvar / 2).exp() * noise, low_res)
        l1 = F.l1_loss(ours, truth)
        seen = window(truth.shape, self.patch, random)
        lpips = distance(perceptual(self.state, "vgg"), ours[seen], truth[seen])
        kl = (mean_z.square() + logvar.exp() - 1 - logvar).mean() / 2
        total = l1 + self.lpips_weight * lpips + self.kl_weight * kl
        bicubic = F.l1_loss(upscaled(low_res, 4), truth)  # what l1 is to be held against: batches differ widely
        return {"total": total, "l1": l1, "bicubic_l1": bicubic, "lpips": lpips, "kl": kl}

    @torch.no_grad()
    def measure(self, network: nn.Module) -> dict[str, float]:
        """PSNR and LPIPS (AlexNet) of bikes.mp4 with true latents and with zeroed ones; the latents' size."""
        assert isinstance(network, VideoVAE)
        figures: dict[str, list[float]] = {}
        for clip in validation(self.state, frames=3, size=192):
            z, _ = network.encode_moments(features(clip.hr))
            figures.setdefault("latent_std", []).append(z.std().item())
            for name, latents in [("", z), ("zeroed_", torch.zeros_like(z))]:
                ours = network.decode(latents, features(clip.lr))
                alex = distance(perceptual(self.state, "alex"), ours.clamp(-1, 1), features(clip.hr))
                figures.setdefault(f"{name}lpips", []).append(alex.item())
                figures.setdefault(f"{name}psnr", []).append(PSNR().per_clip(video(ours), clip.hr).mean().item())
        return {f"val_{name}": mean(values) for name, values in figures.items()}


def scaled(factor: float) -> dict[str, Any]:
    """The config of an autoencoder whose latents times ``factor`` have unit variance."""
    return {**CONFIG, "scaling_factor": factor}


def window(shape: torch.Size, side: int, random: torch.Generator) -> tuple[Any, ...]:
    """Index of a random square of features (B, C, T, H, W), at most of that side."""
    places = [int(torch.randint(max(extent - side, 0) + 1, (), generator=random)) for extent in shape[-2:]]
    return (..., *(slice(place, place + side) for place in places))
