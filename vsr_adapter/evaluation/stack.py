"""A stack of ours as a method like the others."""

from torch import Tensor

from vsr_adapter.frozen import SAMPLED, fingerprint
from vsr_adapter.inference.memory import fitting_tiles
from vsr_adapter.inference.restorer import autocast
from vsr_adapter.inference.sample import finished, sample
from vsr_adapter.inference.streaming import upscale_in_tiles
from vsr_adapter.model import VSRModel
from vsr_adapter.peers import Peer
from vsr_adapter.seeds import NoiseField
from vsr_adapter.types import Ask

OURS = "ours"  # the row of `vsr test`


class Stack(Peer):
    """Samples a clip at once, and whole frames in tiles, as predict does; the noise is named by (seed, clip).

    Args:
        model: loaded, on its device.
        name: row in the table.
        precision: ``32-true``, or ``bf16-mixed`` for autocast; others are those of a trainer that is at work.
    """

    def __init__(self, model: VSRModel, name: str = OURS, precision: str = "32-true"):
        self.model, self.name, self.precision = model, name, precision

    def __call__(self, ask: Ask) -> Tensor:
        """On the model's device, or, of whole frames, on the CPU."""
        device = self.model.backbone.device
        with autocast(device, self.precision):
            lr = ask.lr.to(device)
            return sample_whole(self.model, lr, ask.name) if ask.whole else sample_crop(self.model, lr, ask.name)

    def describe(self, whole: bool) -> dict[str, str]:
        """Networks by their weights, and how they are sampled."""
        model, sampling = self.model, self.model.sampling
        tiles, parts = sampling.tiles, model.made_of()
        sampler = model.sampler.describe(model.backbone.capabilities.unet.scheduler_config)
        weights = [fingerprint(part, SAMPLED)[:12] for part in (model.backbone, model.encoder)]
        return {
            "model": f"{parts['unet']}, {parts['vae']}, {parts['encoder']}; weights {', '.join(weights)}",
            "adapter": f"{type(model.adapter).__name__} {fingerprint(model.adapter)[:12]}",
            "condition": sampling.condition,
            "post-processing": ", ".join(type(step).__name__ for step in sampling.postprocess or []) or "none",
            "sampling": f"{sampler}, {type(model.start).__name__}, guidance {sampling.guidance_scale:g}, "
            f"seed {sampling.seed}",
            "tiles": f"{tiles.size}, overlap {tiles.overlap}, {tiles.mode}" if whole else "none",
            "run": f"{model.backbone.device.type}, {self.precision}",
        }


def sample_crop(model: VSRModel, lr: Tensor, name: str) -> Tensor:
    """A clip (T, 3, h, w), upscaled at once."""
    field = NoiseField((model.sampling.seed, name), range(len(lr)))
    return finished(model, sample(model, lr[None], [field]), lr[None])[0]


def sample_whole(model: VSRModel, lr: Tensor, name: str) -> Tensor:
    """Whole frames (T, 3, h, w), upscaled in tiles, on the CPU."""
    tiles = fitting_tiles(model, *lr.shape[-2:])
    return upscale_in_tiles(model, lr, 0, tiles, (model.sampling.seed, name), len(lr))
