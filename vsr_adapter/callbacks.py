"""Lightning callbacks."""

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.utils.data import default_collate

from vsr_adapter.errors import UserError
from vsr_adapter.types import Clip
from vsr_adapter.video.resize import bicubic_upscale


def strip(clip: Clip, output: Tensor, scale: int) -> Tensor:
    """LR | bicubic | output | HR of the middle frame, side by side at the size of HR.

    Args:
        clip: a batch of one.
        output: video in [0, 1], shape (1, T, 3, H, W).
        scale: upscaling factor.

    Returns:
        Image in [0, 1], shape (3, H, 4 W).
    """
    middle = clip.lr.shape[1] // 2
    pixels = clip.lr.repeat_interleave(scale, -2).repeat_interleave(scale, -1)
    videos = [pixels, bicubic_upscale(clip.lr, scale), output, clip.hr]
    return torch.cat([video[0, middle].float().cpu() for video in videos], dim=-1)


class SampleStrips(Callback):
    """Samples fixed validation clips after each validation of a fit, and logs LR | bicubic | output | HR.

    Args:
        clips: number of clips, the first ones of the validation set.
        every_n_epochs: sampling takes ``steps`` passes a clip; raise this where that is slow.
    """

    def __init__(self, clips: int = 2, every_n_epochs: int = 1):
        if clips < 1 or every_n_epochs < 1:
            raise UserError(f"SampleStrips clips {clips}, every_n_epochs {every_n_epochs}: both must be at least 1")
        self.clips = clips
        self.every_n_epochs = every_n_epochs

    @torch.no_grad()
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Rank 0 alone: sampling communicates nothing."""
        if trainer.state.fn != "fit" or trainer.sanity_checking or not trainer.is_global_zero:
            return
        if trainer.current_epoch % self.every_n_epochs or not hasattr(trainer.logger, "experiment"):
            return
        dataset = trainer.val_dataloaders.dataset
        for i in range(min(self.clips, len(dataset))):
            clip = pl_module.transfer_batch_to_device(default_collate([dataset[i]]), pl_module.device, 0)
            with trainer.precision_plugin.val_step_context():
                output = pl_module.sample(clip)
            image = strip(clip, output, pl_module.model.scale)
            trainer.logger.experiment.add_image(f"val/{clip.name[0]}", image, trainer.global_step)
