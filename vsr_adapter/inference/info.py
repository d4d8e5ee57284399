"""What a stack is made of and what it costs, on the meta device: no weights are read, no numbers are computed."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from jsonargparse import ArgumentParser
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vsr_adapter.adapters import Adapter, LinearLinear
from vsr_adapter.backbones import Backbone
from vsr_adapter.conditioning import FrozenViT
from vsr_adapter.inference.config import read_model

# Table 4.6 of the thesis and its caption, by the true number of parameters
THESIS = {
    691_036_436: "691.04 M",
    1_411_233_860: "1.41 B",
    113_776_365: "113.78 M",
    86_567_656: "86.57 M",
    2_144_580: "2.14 M",
    893_525_037: "0.892 B",
    1_613_722_461: "1.601 B",
}


class Cost(NamedTuple):
    """Floating-point operations, a multiply-add counted as two.

    Attributes:
        training: of a training step: encoding, ViT, adapter, one denoising pass, and the way back to the adapter.
        clip: of a sampled clip: ViT, adapter, the steps, decoding.
    """

    training: int
    clip: int


def read_stack(path: Path) -> tuple[Backbone, FrozenViT, Adapter]:
    """The parts of a whole config, or a backbone piece with the default ViT and adapter; nothing is loaded.

    Raises:
        UserError: the config cannot be read.
    """
    content = yaml.safe_load(path.read_text())
    if isinstance(content, dict) and "class_path" in content:
        parser = ArgumentParser(exit_on_error=False)
        parser.add_subclass_arguments(Backbone, "backbone")
        backbone = parser.instantiate(parser.parse_args([f"--backbone={path}"])).backbone
        encoder = FrozenViT()
        return backbone, encoder, LinearLinear(8, encoder.tokens, encoder.dim, backbone.capabilities.unet.text_dim)
    model = read_model(path)
    return model.backbone, model.encoder, model.adapter


def parameters(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


def cost(backbone: Backbone, encoder: FrozenViT, adapter: Adapter, size: int, frames: int, steps: int) -> Cost:
    """Counts on the meta device, where the parts must be.

    Args:
        backbone: loaded on the meta device.
        encoder: likewise.
        adapter: likewise.
        size: side of the square low-resolution frames; HR is four times that.
        frames: of a clip.
        steps: of sampling.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        lr, hr = torch.rand(1, frames, 3, size, size), torch.rand(1, frames, 3, 4 * size, 4 * size)
        z, t = torch.rand(1, *backbone.capabilities.latent_shape(frames, 4 * size, 4 * size)), torch.zeros(1)
        low_res = lr if backbone.capabilities.unet.needs_low_res else None
        level = torch.zeros(1, dtype=torch.long)
        # each pass is made once: on the meta device it costs as much as Python's overhead
        reached = [0]
        with torch.no_grad():
            backbone.encode(hr)
            reached.append(counter.get_total_flops())
            features = encoder(lr)
        told = adapter.tell(features)
        reached.append(counter.get_total_flops())
        prediction = backbone.denoise(z, t, told.condition(backbone.null_tokens, low_res, level))
        reached.append(counter.get_total_flops())
        prediction.sum().backward()
        reached.append(counter.get_total_flops())
        with torch.no_grad():
            backbone.decode(z, lr if backbone.capabilities.vae.needs_low_res else None)
        reached.append(counter.get_total_flops())
    _, condition, step, _, decode = (after - before for before, after in pairwise(reached))
    return Cost(training=reached[4], clip=condition + steps * step + decode)


def info(path: Path, size: int = 80, frames: int | None = None, steps: int = 30) -> str:
    """A table of every part's parameters, widths, memory and cost.

    Args:
        path: a backbone piece or a whole config.
        size: side of the square low-resolution frames of a clip, in pixels.
        frames: of a clip; None takes 8, or the next number that the backbone takes.
        steps: of sampling.

    Raises:
        UserError: the config cannot be read, or the size or the length is none that the backbone takes.
    """
    backbone, encoder, adapter = read_stack(path)
    with torch.device("meta"):
        backbone.load()
        encoder.load()
    for part in (backbone, encoder, adapter):
        part.to("meta")  # weights that were read are not made there
    adapter.attach(backbone.unet)
    capabilities = backbone.capabilities
    frames = capabilities.time.up(8) if frames is None else frames
    time = "" if capabilities.time.factor == 1 else f", {capabilities.time.factor} frames to a latent one"
    parts: list[tuple[str, nn.Module, str]] = [
        (f"UNet {type(backbone.unet).__name__}", backbone.unet, f"tokens {capabilities.unet.text_dim} wide"),
        (f"VAE {type(backbone.vae).__name__}", backbone.vae, f"f{capabilities.vae.spatial_factor}{time}"),
        (f"ViT {encoder.name}", encoder, f"{encoder.tokens} tokens x {encoder.dim}, with its classifier head"),
        (f"adapter {type(adapter).__name__}", adapter, adapter.gives),
    ]
    rows: list[tuple[str, ...]] = [("part", "parameters", "", "fp32 MB", "fp16 MB", "thesis", "")]
    for name, module, note in parts:
        rows.append(row(name, parameters(module), "trainable" if module is adapter else "frozen", note))
    rows.append(row("all", sum(parameters(module) for _, module, _ in parts), "", ""))
    headless = parameters(encoder) - parameters(encoder.network.get_classifier())
    widths = [max(len(line[i]) for line in rows) for i in range(len(rows[0]))]
    left = {0, 2, 6}
    lines = [
        "  ".join(
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in rows
    ]
    spent = cost(backbone, encoder, adapter, size, frames, steps)
    return "\n".join(
        [
            *(line.rstrip() for line in lines),
            f"ViT without its head: {headless:,}",
            f"{frames} frames {size}x{size} -> {4 * size}x{4 * size}: training step {spent.training / 1e12:.2f} TFLOP, "
            f"clip of {steps} steps {spent.clip / 1e12:.2f} TFLOP",
        ]
    )


def row(name: str, count: int, kind: str, note: str) -> tuple[str, ...]:
    """A line of the table."""
    return name, f"{count:,}", kind, f"{count * 4 / 1e6:,.1f}", f"{count * 2 / 1e6:,.1f}", THESIS.get(count, ""), note
