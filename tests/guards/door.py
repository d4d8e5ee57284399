"""The user's door, with an ear at the networks: runs by `Restorer` and `vsr`, and what the networks were given in them.

A guard sets one setting, as a user does, and holds what came into and out of the networks against an oracle.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from lightning.pytorch import Callback
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook

from tests.clips import cut, write_folder
from tests.stacks import CONFIGS, STACKS
from vsr_adapter import Restorer
from vsr_adapter.cli import main
from vsr_adapter.renamed import MOVED
from vsr_adapter.types import Clip
from vsr_adapter.video.read import read_frames

UNETS = ("UNet3DConditionModel", "UNet2DConditionModel", "UpscaleUNet")
WATCHED = (*UNETS, "Encoder", "Decoder", "PatchEmbed", "ConstantTokens", "LinearLinear", "DecoupledCrossAttention")


def key(name: str) -> str:
    """Where a setting of the stack lies: the one place that knows."""
    return f"model.sampling.{name}" if name.split(".")[0] in MOVED else f"model.{name}"


def guards(*settings: str) -> Callable[[Any], Any]:
    """Says which settings a test guards: ``noise_level`` for `key` of it, ``Sampler.steps`` for a class's argument."""

    def mark(test: Any) -> Any:
        test.guards_of_the_stack = settings
        return test

    return mark


class Call(NamedTuple):
    """A call of a watched network."""

    module: nn.Module
    inputs: list[Any]
    output: Tensor

    @property
    def name(self) -> str:
        return type(self.module).__name__


class Pass(NamedTuple):
    """A call of a UNet, in its own layout; those of one clip share the first axis."""

    z: Tensor
    t: Tensor
    tokens: Tensor
    low_res: Tensor | None
    level: Tensor | None
    prediction: Tensor
    module: nn.Module
    own: Tensor | None


def kept(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


@contextmanager
def watch(*names: str) -> Iterator[list[Call]]:
    """Calls of the networks of these classes, in order; not those on fake tensors, which count memory."""
    calls: list[Call] = []

    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        if type(module).__name__ in (names or WATCHED):
            inputs = [kept(value) for value in (*args, *kwargs.values())]
            result = getattr(output, "sample", output)
            if not isinstance(result, FakeTensor):
                calls.append(Call(module, inputs, kept(result)))

    handle = register_module_forward_hook(hook, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def passes(calls: list[Call]) -> list[Pass]:
    """Of the UNets."""
    return [as_pass(call) for call in calls if call.name in UNETS]


def as_pass(call: Call) -> Pass:
    if call.name == "UpscaleUNet":
        z, t, tokens, low_res, level, own = call.inputs
    elif call.name == "UNet2DConditionModel":
        images, t, tokens, level, attention = call.inputs
        own = attention["ip_hidden_states"]
        z, low_res = images[:, :4], images[:, 4:]
    else:
        (z, t, tokens, attention), low_res, level = call.inputs, None, None
        own = attention["ip_hidden_states"]
    return Pass(z, t, tokens, low_res, level, call.output, call.module, own)


def of(calls: list[Call], name: str) -> list[Call]:
    return [call for call in calls if call.name == name]


def piece(name: str) -> dict[str, Any]:
    """A tiny backbone's config."""
    return yaml.safe_load((STACKS / f"{name}.yaml").read_text())


def stack(unet: str, vae: str, **unet_settings: Any) -> dict[str, Any]:
    """A backbone of two tiny ones' halves."""
    parts = {"unet": piece(unet)["init_args"]["unet"], "vae": piece(vae)["init_args"]["vae"]}
    parts["unet"]["init_args"] |= unet_settings
    return {"class_path": "vsr_adapter.backbones.Backbone", "init_args": parts}


# of ModelScope, as published
DDIM = {
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip
V = {**DDIM, "prediction_type": "v_prediction"}
LOW_RES = {"num_train_timesteps": 1000, "beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02}
# a UNet that sees the low-resolution clip, with schedules of its own and diffusers' VAE, of which an oracle can be made
UPSCALE = stack("tiny_upscale_plain", "tiny_ali_kl", scheduler=V, low_res_scheduler=LOW_RES)
# the same with a decoder that sees the clip
UPSCALE_SFT = stack("tiny_upscale_plain", "tiny_upscale_sft", scheduler=V, low_res_scheduler=LOW_RES)


def text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def arguments(settings: dict[str, Any]) -> list[str]:
    """Settings as options."""
    return [f"--{key(name)}={text(value)}" for name, value in settings.items()]


def of_class(path: str, **init_args: Any) -> dict[str, Any]:
    """A class of the package with its arguments, as in YAML."""
    return {"class_path": path if path.count(".") > 1 else f"vsr_adapter.{path}", "init_args": init_args}


@cache
def video(frames: int = 8, height: int = 16, width: int = 16) -> np.ndarray:
    """Real frames, float32 in [0, 1], shape (T, H, W, 3); multiples of 1 / 255."""
    return (np.stack(cut(0, frames, height=height, width=width)) / 255).astype(np.float32)


def clip(frames: np.ndarray) -> Tensor:
    """Frames in [-1, 1], shape (1, 3, T, H, W), as networks see them."""
    return torch.from_numpy(frames).permute(3, 0, 1, 2)[None] * 2 - 1


class Run(NamedTuple):
    """Frames (T, H, W, 3) that came out, float32, and what was called."""

    frames: np.ndarray
    calls: list[Call]

    @property
    def passes(self) -> list[Pass]:
        return passes(self.calls)


def restored(frames: np.ndarray | None = None, /, **settings: Any) -> Run:
    """By the Python door, with tiny.yaml; dots in names as double underscores."""
    config = with_adapter(settings.pop("adapter")) if "adapter" in settings else "tiny.yaml"
    options = {key(name.replace("__", ".")).removeprefix("model."): text(value) for name, value in settings.items()}
    names = {name.replace(".", "__"): value for name, value in options.items()}
    torch.manual_seed(0)  # of the adapter
    with watch() as calls:
        restorer = Restorer.from_config(config, **names)
        return Run(np.stack(list(restorer.restore(video() if frames is None else frames))), calls)


def with_adapter(adapter: dict[str, Any]) -> Path:
    """tiny.yaml with another adapter: the Python door's argument of that name is a file of weights."""
    whole = yaml.safe_load((CONFIGS / "tiny.yaml").read_text())
    whole["model"] |= {"adapter": adapter, "backbone": str(STACKS / "tiny_ali_kl.yaml")}
    config = Path("with_adapter.yaml")
    config.write_text(yaml.safe_dump(whole))
    return config


def predicted(folder: Path, frames: np.ndarray | None = None, *more: str, **settings: Any) -> Run:
    """By `vsr predict` with tiny.yaml, of 8 bits."""
    eight = (255 * (video() if frames is None else frames)).round().astype(np.uint8)
    number = len(list(folder.iterdir())) if folder.exists() else 0
    source, target = folder / f"{number}" / "in", folder / f"{number}" / "out"
    write_folder(source, list(eight))
    options = arguments({name.replace("__", "."): value for name, value in settings.items()})
    where = ["--input", str(source), "--output", str(target), "--output_format=png", "--quiet"]
    with watch() as calls:
        assert main(["predict", "--config=tiny.yaml", *where, *options, *more]) == 0
    found = np.stack(list(read_frames(target / "in")))
    return Run((found / 255).astype(np.float32), calls)


class Step(NamedTuple):
    """A batch of a fit, validation or test."""

    kind: str
    epoch: int
    lr: Tensor
    hr: Tensor
    name: list[str]
    logged: dict[str, float]
    passes: list[Pass]
    rates: list[float]
    optimizer: Any
    module: nn.Module


class Recorder(Callback):
    """Keeps each batch with the passes in it."""

    steps: list[Step] = []  # noqa: RUF012 - of the last run; LightningCLI makes the callback
    calls: list[Call] = []  # noqa: RUF012

    def begin(self, *args: Any, **kwargs: Any) -> None:
        type(self).calls.clear()

    on_train_batch_start = on_validation_batch_start = on_test_batch_start = begin

    def on_before_zero_grad(self, trainer: Any, pl_module: Any, optimizer: Any) -> None:
        self.rates = [group["lr"] for group in optimizer.param_groups]

    def keep(self, kind: str, trainer: Any, pl_module: Any, batch: Any) -> None:
        logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
        optimizer = trainer.optimizers[0] if trainer.optimizers else None
        rates = getattr(self, "rates", [])
        seen = passes(list(self.calls))
        if kind == "test":  # of a set, one by one
            batch = Clip(batch.ask.lr[None], batch.truth[None], [batch.ask.name])
        step = Step(
            kind, trainer.current_epoch, batch.lr, batch.hr, list(batch.name), logged, seen, rates, optimizer, pl_module
        )
        type(self).steps.append(step)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.keep("fit", trainer, pl_module, batch)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.keep("val", trainer, pl_module, batch)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        last = type(self).steps[-1].logged
        last |= {name: float(value) for name, value in trainer.callback_metrics.items()}

    def on_test_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.keep("test", trainer, pl_module, batch)


def trainer_run(command: str, *more: str, **settings: Any) -> list[Step]:
    """`vsr fit`, `validate` or `test` with tiny.yaml; clips of 32x32."""
    options = arguments({name.replace("__", "."): value for name, value in settings.items()})
    quiet = ["--trainer.enable_progress_bar=false", "--trainer.logger=false", "--trainer.enable_model_summary=false"]
    recorder = '--trainer.callbacks=[{"class_path": "tests.guards.door.Recorder"}]'
    unsaved = ["--trainer.enable_checkpointing=false"] if command == "fit" else []
    with watch() as calls:
        Recorder.steps, Recorder.calls = [], calls
        assert main([command, "--config=tiny.yaml", "--data.size=32", recorder, *quiet, *unsaved, *options, *more]) == 0
    return Recorder.steps


def fitted(clips: Path, *more: str, epochs: int = 1, **settings: Any) -> list[Step]:
    """`vsr fit` on ``train/`` and ``val/`` of a folder."""
    data = [f"--data.train={clips / 'train'}", f"--data.val={clips / 'val'}", f"--trainer.max_epochs={epochs}"]
    return trainer_run("fit", *data, "--trainer.num_sanity_val_steps=0", *more, **settings)
