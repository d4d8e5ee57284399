"""A training run that can be stopped at any moment and goes on as if it had not been."""

import json
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from recipes.mini.optimizers import optimizers
from vsr_adapter.errors import UserError


class Stage(ABC):
    """What differs between the runs.

    Attributes:
        name: of its folder in the state.
        state: folder that `media.prepare` filled, and that the run is kept in.
        network: what trains.
    """

    name: str
    state: Path
    network: nn.Module

    @abstractmethod
    def files(self, network: nn.Module) -> dict[str, nn.Module]:
        """Parts of the (averaged) network by the file that they are exported to."""

    @abstractmethod
    def configs(self, network: nn.Module) -> dict[str, dict[str, Any]]:
        """JSON files that the exported weights need beside them."""

    @abstractmethod
    def loss(self, step: int) -> dict[str, Tensor]:
        """The parts of the loss at a step, a function of the step and the weights; ``total`` is what is minimised."""

    @abstractmethod
    def measure(self, network: nn.Module) -> dict[str, float]:
        """Figures of (averaged) weights on the validation clips."""


@dataclass(frozen=True)
class Plan:
    """How long, how fast.

    Warm-up, constant rate, and 1 - sqrt decay over the last ``cooldown`` steps (Haegele et al. 2024): unlike a
    cosine it does not need to know in advance when a run will be ended.

    Attributes:
        steps: to go to, those of earlier runs counted.
        rate: AdamW's learning rate; Muon's follows it.
        cooldown: last steps, in which it falls to 0.
        warmup: first steps, in which it rises.
        decay: of the exponential moving average; smaller in the first steps.
        clip: largest norm of the gradient.
        save_every: seconds between two saves.
        measure_every: steps between two measurements.
        bf16: whether the loss is computed under bfloat16 autocast: .65 to .8 of the time on CPUs with
            AVX-512 and its bfloat16 instructions, hundreds of times slower on those without.
    """

    steps: int
    rate: float
    cooldown: int = 0
    warmup: int = 50
    decay: float = 0.998
    clip: float = 1.0
    save_every: float = 180.0
    measure_every: int = 250
    bf16: bool = False

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        rate = self.rate * min(1.0, (step + 1) / max(self.warmup, 1))
        left = self.steps - step
        return rate * (1 - (1 - left / self.cooldown) ** 0.5) if left < self.cooldown else rate


class Run:
    """Weights, their average, optimizer and step of a stage; one that is in the stage's folder goes on.

    Args:
        stage: what trains.
        plan: for how long.
        start: folder of exported weights to start from where there is no run yet.
    """

    def __init__(self, stage: Stage, plan: Plan, start: Path | None = None):
        self.stage, self.plan, self.folder = stage, plan, stage.state / stage.name
        self.folder.mkdir(parents=True, exist_ok=True)
        self.step = 0
        self.stopping = False
        if start is not None:
            read(stage, start)
        self.trained = [parameter for parameter in stage.network.parameters() if parameter.requires_grad]
        self.optimizers = optimizers(stage.network, plan.rate)
        self.average = AveragedModel(stage.network, avg_fn=averaging(plan.decay))
        if self.file.exists():
            self.load()

    @property
    def file(self) -> Path:
        """The saved run."""
        return self.folder / "run.pt"

    def load(self) -> None:
        """Goes on where the saved run stood."""
        saved: dict[str, Any] = torch.load(self.file, weights_only=True)
        self.step = saved["step"]
        self.stage.network.load_state_dict(saved["network"])
        self.average.load_state_dict(saved["average"])
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)

    def save(self) -> None:
        """Writes the run; a run that was there stays whole until the new one is."""
        partial = self.file.with_suffix(".part")
        saved = {
            "step": self.step,
            "network": self.stage.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        torch.save(saved, partial)
        partial.replace(self.file)

    def log(self, **figures: float) -> None:
        """One line of figures, to the screen and to ``log.jsonl``."""
        line = json.dumps({"step": self.step, **{name: round(figure, 5) for name, figure in figures.items()}})
        print(line, flush=True)
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(line + "\n")

    def advance(self) -> dict[str, float]:
        """One step; the parts of its loss."""
        with torch.autocast("cpu", torch.bfloat16, enabled=self.plan.bf16):
            losses = self.stage.loss(self.step)
        self.stage.network.zero_grad(set_to_none=True)
        losses["total"].backward()
        norm = nn.utils.clip_grad_norm_(self.trained, self.plan.clip)
        if torch.isfinite(norm):  # one bad batch must not end hours of work
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.plan.rate_at(self.step) * group["share"]
                optimizer.step()
            self.average.update_parameters(self.stage.network)
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    def go(self, report_every: int = 20) -> None:
        """Trains to the end of the plan, or until a signal asks to stop; saves in both cases."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self.stop)
        saved = reported = time.monotonic()
        recent: list[dict[str, float]] = []
        while self.step < self.plan.steps and not self.stopping:
            recent.append(self.advance())
            if self.step % report_every == 0:
                seconds = (time.monotonic() - reported) / len(recent)
                self.log(**averages(recent), seconds=seconds)
                recent, reported = [], time.monotonic()
            if self.step % self.plan.measure_every == 0:
                self.log(**self.stage.measure(self.average.module))
            if time.monotonic() - saved > self.plan.save_every:
                self.save()
                saved = time.monotonic()
        self.save()

    def stop(self, number: int, frame: FrameType | None) -> None:
        """Ends the run after the current step."""
        self.stopping = True

    def export(self, folder: Path) -> None:
        """Averaged weights in half precision, as safetensors, and their configs: a published checkpoint's layout."""
        network = self.average.module
        for name, part in self.stage.files(network).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            state = {key: half(tensor) for key, tensor in part.state_dict().items()}
            save_file(state, folder / name, metadata={"stage": self.stage.name, "steps": str(self.step)})
        for name, config in self.stage.configs(network).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(json.dumps(config, indent=2) + "\n")


def read(stage: Stage, folder: Path) -> None:
    """Puts exported weights into a stage's network.

    Raises:
        UserError: ``folder`` does not hold them.
    """
    for name, part in stage.files(stage.network).items():
        if not (folder / name).is_file():
            raise UserError(f"{folder}: has no {name}; name a folder of exported weights, as {stage.name} writes it")
        part.load_state_dict(load_file(folder / name))


def averaging(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average that follows quickly at first: (1 + n) / (10 + n) as in TensorFlow's."""

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        return torch.lerp(averaged, current, 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    return average


def half(tensor: Tensor) -> Tensor:
    """In float16, where that holds it.

    Raises:
        UserError: a weight is beyond its range.
    """
    largest = tensor.abs().max().item()
    if not largest <= torch.finfo(torch.float16).max:  # so that NaN is refused too
        raise UserError(f"a weight of {largest:.0f}: float16 ends at 65504; the run has diverged, start it anew")
    return tensor.to(torch.float16).contiguous()


def averages(losses: list[dict[str, float]]) -> dict[str, float]:
    """Of each part, over the steps that had it."""
    names = dict.fromkeys(name for one in losses for name in one)
    return {name: mean([one[name] for one in losses if name in one]) for name in names}


def mean(values: list[float]) -> float:
    """Of some numbers."""
    return sum(values) / len(values)
