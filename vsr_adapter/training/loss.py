"""The loss of a training clip: the objective where the sampler was."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vsr_adapter.diffusion import TimeSteps, epsilon_loss, prediction_loss
from vsr_adapter.model import VSRModel
from vsr_adapter.seeds import generator
from vsr_adapter.types import Clip

ObjectiveName = Literal["epsilon", "prediction"]
OBJECTIVES = {"epsilon": epsilon_loss, "prediction": prediction_loss}


@dataclass(frozen=True)
class Loss:
    """Eq. 3.4 on latents, or what stands for it.

    Args:
        objective: ``epsilon`` is Eq. 3.4; ``prediction`` the squared error of what the network itself predicts, which
            also teaches at zero terminal SNR (`prediction_loss`).
        time_steps: which training times a step looks at.
    """

    objective: ObjectiveName
    time_steps: TimeSteps

    def __call__(self, model: VSRModel, clip: Clip, key: tuple[object, ...]) -> Tensor:
        """The loss of each clip.

        Times and noise are a function of (seed, ``key``, clip name): the same for any batch size, order and number of
        processes.

        Args:
            model: with its weights loaded.
            clip: low and high resolution.
            key: ``("fit", epoch)``, or ``("val",)`` for times and noise that every epoch shares.

        Returns:
            Shape (B,).
        """
        with torch.no_grad():
            z_0 = model.backbone.encode(clip.hr)
        generators = [generator(model.sampling.seed, *key, name) for name in clip.name]
        index = torch.stack([self.time_steps.draw(len(model.process), model.grid, one) for one in generators])
        low_res_noise = torch.stack([torch.randn(clip.lr.shape[1:], generator=one) for one in generators])
        denoise = model.conditioned(model.condition(clip.lr, low_res_noise))
        losses = []
        for times in index.unbind(1):
            noise = torch.stack([torch.randn(z_0.shape[1:], generator=one) for one in generators])
            losses.append(OBJECTIVES[self.objective](denoise, model.process, z_0, noise.to(z_0), times))
        return torch.stack(losses).mean(dim=0)
