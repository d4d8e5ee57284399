"""The LightningModule: steps, logging, optimizer, and checkpoints that hold the adapter alone."""

from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn import ModuleList
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR
from torchmetrics import MeanMetric

from vsr_adapter.adapters.files import check_fits, describe
from vsr_adapter.diffusion import TimeSteps, UniformTimeSteps
from vsr_adapter.errors import UserError
from vsr_adapter.evaluation.loop import Evaluated, default_metrics, evaluate
from vsr_adapter.evaluation.stack import Stack
from vsr_adapter.metrics import ClipMetric
from vsr_adapter.model import VSRModel
from vsr_adapter.peers import Bicubic
from vsr_adapter.training.datamodule import Work
from vsr_adapter.training.loss import Loss, ObjectiveName
from vsr_adapter.types import Clip, Trial

OptimizerFactory = Callable[[Iterable[Tensor]], Optimizer]


class AdapterModule(LightningModule):
    """Trains the adapter of a `VSRModel`; everything else stays frozen.

    Args:
        optimizer: gets the adapter's parameters.
        warmup_steps: optimizer steps of linear warm-up before the cosine.
        objective: ``epsilon`` is Eq. 3.4; ``prediction`` the squared error of what the network itself predicts, which
            also teaches at zero terminal SNR (`prediction_loss`).
        time_steps: which training times a step looks at: recipe A (where None), B or C.
        adapter_file: exported adapter to start from (`vsr export`).
        metrics: of a test; None takes PSNR, SSIM, LPIPS and E_warp with their defaults.
        **kwargs: of `VSRModel`.
    """

    def __init__(
        self,
        optimizer: OptimizerFactory = lambda params: Adam(params, lr=1e-4),
        warmup_steps: int = 100,
        objective: ObjectiveName = "epsilon",
        time_steps: TimeSteps | None = None,
        adapter_file: Path | None = None,
        metrics: list[ClipMetric] | None = None,
        **kwargs: Any,
    ):
        super().__init__()
        self.optimizer = optimizer
        self.warmup_steps = warmup_steps
        self.model = VSRModel(**kwargs)
        self.loss = Loss(objective, time_steps or UniformTimeSteps())
        if adapter_file is not None:
            self.model.load_adapter(adapter_file)
        self.val_loss = MeanMetric()
        self.metrics = ModuleList(metrics or [])

    def setup(self, stage: str) -> None:
        """Metrics where none are configured: LPIPS takes seconds to import, and only a test needs it."""
        if stage == "test" and not self.metrics:
            self.metrics = ModuleList(default_metrics())

    def configure_model(self) -> None:
        """Reads the frozen weights, once."""
        self.model.load()

    def configure_optimizers(self) -> Any:
        """The optimizer on the adapter's parameters; linear warm-up, then a cosine to zero, step by step."""
        optimizer = self.optimizer(self.model.adapter.parameters())
        total = int(self.trainer.estimated_stepping_batches)
        warmup = min(self.warmup_steps, max(total - 1, 0))
        cosine = CosineAnnealingLR(optimizer, max(total - warmup, 1))
        if warmup:
            ramp = LinearLR(optimizer, start_factor=1 / (warmup + 1), total_iters=warmup)
            schedule: Any = SequentialLR(optimizer, [ramp, cosine], milestones=[warmup])
        else:
            schedule = cosine
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def training_step(self, clip: Clip, batch_idx: int) -> Tensor:
        """Mean of Eq. 3.4 over the batch; its noise is named by (seed, epoch, clip)."""
        loss = self.loss(self.model, clip, ("fit", self.current_epoch)).mean()
        if not torch.isfinite(loss):
            raise UserError(
                f"train/loss {loss.item()} at step {self.global_step}: must be finite; lower --model.optimizer.lr, "
                "or pass --trainer.precision 32-true"
            )
        self.log("train/loss", loss, prog_bar=True, batch_size=clip.batch_size)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Logs the gradient's norm before clipping."""
        gradients = [p.grad for p in self.model.adapter.parameters() if p.grad is not None]
        self.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))

    def validation_step(self, clip: Clip, batch_idx: int) -> None:
        """Eq. 3.4 with times and noise fixed per clip, so that epochs compare."""
        loss = self.loss(self.model, clip, ("val",)).mean()
        # a float with `sync_dist` is wrong where processes have different numbers of clips: Lightning 2.6 divides by
        # the mean number, cut to a whole one (3 clips on two processes gave 1.5 times the mean)
        self.val_loss.update(loss, clip.batch_size)
        self.log("val/loss", self.val_loss, prog_bar=True, batch_size=clip.batch_size)

    def stack(self) -> Stack:
        """What is tested, as a method among others."""
        return Stack(self.model, precision=str(self.trainer.precision))

    def test_step(self, trial: Trial, batch_idx: int, dataloader_idx: int = 0) -> Evaluated:
        """Scores of the output, of bicubic, and of the truth."""
        return evaluate([self.stack(), Bicubic()], self.measures(), trial)

    def measures(self) -> list[ClipMetric]:
        """The metrics, for the type checker too."""
        return [metric for metric in self.metrics if isinstance(metric, ClipMetric)]

    def predict_step(self, work: Work, batch_idx: int) -> None:
        """Does a piece of work; what fails in it goes to the journal, so that the others are still done."""
        work(self.model)

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The adapter's alone: checkpoints are some MB."""
        return self.model.adapter.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, strict: bool = True, assign: bool = False) -> Any:
        """Of the adapter, always strictly."""
        return self.model.adapter.load_state_dict(state_dict, strict=True, assign=assign)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds what `vsr export` and a later load must know."""
        checkpoint["vsr_adapter"] = {
            "adapter": describe(self.model.adapter),
            "made_by": {
                **self.model.made_of(),
                "time_steps": type(self.loss.time_steps).__name__,
                "version": version("vsr-adapter"),
                "step": self.global_step,
            },
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuses checkpoints that are not ours or not of this adapter."""
        ours = checkpoint.get("vsr_adapter")
        if ours is None:
            raise UserError("checkpoint without a vsr_adapter entry: only those of `vsr fit` load; pass one of them")
        check_fits(self.model.adapter, ours["adapter"], "checkpoint")
