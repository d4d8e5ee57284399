"""Seeded losses and seeded outputs of each tiny stack, for `test_golden.py`, and bit for bit between two checkouts.

    python -m tests.bits OUT.safetensors
    python -m tests.bits --compare CHECKOUT CHECKOUT

All comes through `vsr fit`, `vsr predict`, `vsr test` and `Restorer`, from configs that are written here, so that
this file runs on the package of another checkout. It imports nothing of the tests for the same reason.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

STACKS = Path(__file__).parent / "data" / "stacks"
FRAMES, TOKENS, IN_DIM, TEXT_DIM = 3, 100, 64, 32
LONGER = {"tiny_wan": 5}  # frames of clips and windows, where 3 are none
Entry = tuple[str, Tensor]

# what each stack is trained with, so that every recipe meets a backbone that is noised and one that is not
TRAINED = {
    "tiny_ali_kl": ("UniformTimeSteps", "epsilon"),
    "tiny_ali_plain": ("InferenceGridTimeSteps", "epsilon"),
    "tiny_ali_sft": ("WholeGridTimeSteps", "prediction"),
    "tiny_sdx4": ("UniformTimeSteps", "prediction"),
    "tiny_upscale_plain": ("InferenceGridTimeSteps", "prediction"),
    "tiny_upscale_sft": ("WholeGridTimeSteps", "epsilon"),
    "tiny_wan": ("WholeGridTimeSteps", "prediction"),
}
NAMES = sorted(TRAINED)
SAMPLED: dict[str, dict[str, Any]] = {
    "blend": {"start": {"class_path": "GaussianStart"}, "tiles": {"size": 16, "overlap": 4, "batch": 2}},
    "joint": {"start": {"class_path": "EncodedNoiseStart"}, "tiles": {"size": 16, "overlap": 4, "mode": "joint"}},
    "low_res": {
        "start": {"class_path": "NoisedLowResStart", "init_args": {"strength": 0.5}},
        "tiles": {"size": 16, "overlap": 4},
        "sampler": {"class_path": "vsr_adapter.diffusion.Sampler", "init_args": {"steps": 3, "eta": 0.5}},
        "condition": "shuffled",
        "postprocess": [{"class_path": "vsr_adapter.postprocess.AdaIN"}],
    },
}


@cache
def sampling_is_a_part() -> bool:
    """Whether settings of sampling are `model.sampling.X` in this package, and not `model.X`."""
    from vsr_adapter.cli import main

    printed = io.StringIO()
    with redirect_stdout(printed):
        assert main(["fit", "--config", "tiny.yaml", "--print_config"]) == 0
    return "sampling" in yaml.safe_load(printed.getvalue())["model"]


def write_adapter(path: Path) -> None:
    """An exported adapter whose numbers do not depend on what else was drawn before."""
    numbers = np.random.default_rng(0)
    sizes = {"fusion": (TOKENS, FRAMES * TOKENS), "mapping.0": (TEXT_DIM, IN_DIM), "mapping.2": (TEXT_DIM, TEXT_DIM)}
    state = {}
    for layer, (rows, columns) in sizes.items():
        state[f"{layer}.weight"] = torch.from_numpy(numbers.normal(0, columns**-0.5, (rows, columns))).float()
        state[f"{layer}.bias"] = torch.from_numpy(numbers.normal(0, 0.1, rows)).float()
    about = {"frames": FRAMES, "tokens": TOKENS, "in_dim": IN_DIM, "text_dim": TEXT_DIM}
    about |= {"format": "vsr_adapter/1", "class_path": "vsr_adapter.adapters.linear.LinearLinear"}
    save_file(state, path, {"adapter": json.dumps(about), "made_by": "{}"})


def write_config(folder: Path, name: str, **sampling: Any) -> Path:
    """A whole config with a backbone of ours; `sampling` goes where this package has it."""
    recipe, objective = TRAINED[name]
    frames = LONGER.get(name, FRAMES)
    settings = {
        "window": frames,
        "overlap": 1,
        "noise_level": 60,
        "sampler": {"class_path": "vsr_adapter.diffusion.Sampler", "init_args": {"steps": 2, "eta": 1.0}},
        **sampling,
    }
    if "start" in settings:
        settings["start"] = {
            **settings["start"],
            "class_path": f"vsr_adapter.diffusion.{sampling['start']['class_path']}",
        }
    model = {
        "backbone": yaml.safe_load((STACKS / f"{name}.yaml").read_text()),
        "encoder": {"class_path": "vsr_adapter.conditioning.FrozenViT", "init_args": {"name": "test_vit"}},
        "adapter": {
            "class_path": "vsr_adapter.adapters.LinearLinear",
            "init_args": {"frames": FRAMES, "tokens": TOKENS, "in_dim": IN_DIM, "text_dim": TEXT_DIM},
        },
        "adapter_file": str(folder / "adapter.safetensors"),
        "optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 1e-3}},
        "time_steps": {"class_path": f"vsr_adapter.diffusion.{recipe}"},
        "objective": objective,
        **({"sampling": settings} if sampling_is_a_part() else settings),
    }
    data = {"size": 64, "frames": frames, "num_workers": 0}
    data["predict"] = {"threads": 1, "cuts": "off", "estimate": False, "segment": 1}
    trainer = {"accelerator": "cpu", "devices": 1, "precision": "32-true", "enable_progress_bar": False}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"model": model, "data": data, "trainer": trainer}))
    return path


def write_clips(folder: Path, count: int) -> None:
    """Folders of frames of the shipped sample: two to train on, one to validate, two to test, one to upscale."""
    from vsr_adapter import assets
    from vsr_adapter.video.images import write_png
    from vsr_adapter.video.read import read_frames

    frames = list(read_frames(Path(assets.__file__).parent / "sample.mp4", 0, count + 2))
    large, small, places = (80, 112), (64, 64), [(0, 0), (64, 96), (32, 200)]
    cuts = [("train/a", small, places[0]), ("train/b", small, places[1]), ("val/c", small, places[2])]
    cuts += [("test/d", large, places[0]), ("test/e", large, places[1]), ("low", (20, 28), (40, 100))]
    for name, (height, width), (top, left) in cuts:
        (folder / name).mkdir(parents=True)
        for number, frame in enumerate(frames[: count + 2 * (name == "low")]):
            picture = frame[top : top + height, left : left + width]
            write_png(folder / name / f"{number:08d}.png", np.ascontiguousarray(picture))


def run(*arguments: object) -> None:
    """`vsr`, which must succeed, without its words."""
    from vsr_adapter.cli import main

    with redirect_stdout(io.StringIO()):
        assert main([str(one) for one in arguments]) == 0


def losses(folder: Path, name: str) -> Iterator[Entry]:
    """What `vsr fit` logs in two epochs of two steps."""
    logger = {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": {"save_dir": str(folder / name)}}
    run(
        "fit", "--config", write_config(folder, name), f"--data.train={folder / 'train'}",
        f"--data.val={folder / 'val'}", "--trainer.max_epochs=2", "--trainer.log_every_n_steps=1",
        f"--trainer.logger={json.dumps(logger)}", "--trainer.enable_checkpointing=false",
        f"--trainer.default_root_dir={folder / name}", "--trainer.enable_model_summary=false",
    )  # fmt: skip
    rows = list(csv.DictReader(next((folder / name).rglob("metrics.csv")).open()))
    for key in ("train/loss", "train/grad_norm", "val/loss"):
        found = [float(row[key]) for row in rows if row[key]]
        yield f"{name}/{key}", torch.tensor(found, dtype=torch.float64)


def restored(folder: Path, name: str, kind: str) -> Entry:
    """What `Restorer` makes of float frames of 28x20: 2 x 2 tiles, and of `blend` two windows, the last moved back."""
    from vsr_adapter import Restorer

    frames = [cv2.imread(str(path))[..., ::-1].astype(np.float32) / 255 for path in sorted((folder / "low").iterdir())]
    config = write_config(folder, name, guidance_scale=2.0, seed=3, **SAMPLED[kind])
    frames = frames[: LONGER.get(name, FRAMES) + (kind == "blend")]
    return f"{name}/{kind}", torch.from_numpy(np.stack(list(Restorer.from_config(config).restore(frames))))


def predicted(folder: Path, name: str, kind: str) -> Entry:
    """What `vsr predict` makes of 5 frames: two windows, each in a segment of its own, as 16-bit codes / 65535."""
    config, out = write_config(folder, name, **SAMPLED[kind]), folder / "out" / name
    run(
        "predict", "--config", config, "--seed", 5, "--output_format", "png16", "--quiet",
        "--input", folder / "low", "--output", out,
    )  # fmt: skip
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((out / "low").glob("*.png"))]
    return f"{name}/predict", torch.from_numpy(np.stack(images).astype(np.float32) / 65535)


def scored(folder: Path, name: str, kind: str, size: object) -> Entry:
    """PSNR of `vsr test` in dB: of the middles of clips, or of whole frames in tiles."""
    config, out = write_config(folder, name, **SAMPLED[kind]), folder / "scores" / f"{name}-{size}"
    metrics = json.dumps([{"class_path": "vsr_adapter.metrics.PSNR"}])
    run(
        "test", "--config", config, f"--data.test={folder / 'test'}", f"--data.size={size}", "--seed", 6,
        f"--model.metrics={metrics}", "--output", out, "--trainer.logger=false",
    )  # fmt: skip
    rows = json.loads((out / "scores.json").read_text())["clips"]
    values = [row["values"]["PSNR"] for row in rows if row["method"] == "ours"]
    return f"{name}/test-{size}", torch.tensor(values, dtype=torch.float64)


def known(name: str) -> bool:
    """Whether this package has the classes of a stack."""
    from vsr_adapter import backbones

    parts = yaml.safe_load((STACKS / f"{name}.yaml").read_text())["init_args"].values()
    return all(hasattr(backbones, part["class_path"].split(".")[-1]) for part in parts)


def entries(root: Path, names: Sequence[str] = NAMES) -> Iterator[Entry]:
    """All losses and outputs of these stacks; files are left in `root`."""
    for name in [one for one in names if known(one)]:
        folder = root / str(LONGER.get(name, FRAMES))
        if not folder.exists():
            write_clips(folder, LONGER.get(name, FRAMES))
            write_adapter(folder / "adapter.safetensors")
        yield from losses(folder, name)
        for kind in SAMPLED:
            yield restored(folder, name, kind)
    for name, kind in (("tiny_sdx4", "blend"), ("tiny_ali_sft", "joint")):
        if name in names:
            folder = root / str(LONGER.get(name, FRAMES))
            yield predicted(folder, name, kind)
            yield scored(folder, name, kind, 64)
            yield scored(folder, name, kind, "whole")


def computed_in(checkout: Path, out: Path, names: Sequence[str]) -> dict[str, Tensor]:
    """The entries of another checkout's package, by this file."""
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-P", __file__, out, "--only", *names], env=environment, cwd=out.parent, check=True)
    return load_file(out)


def compare(ours: dict[str, Tensor], theirs: dict[str, Tensor], say: Callable[[str], None] = print) -> bool:
    """Says of each entry whether its bits are equal; whether all are, but for new ones in the second."""
    same = True
    for name in sorted({*ours, *theirs}):
        a, b = ours.get(name), theirs.get(name)
        if a is None or b is None:
            verdict = f"only in the {'second' if a is None else 'first'}"
        elif a.shape != b.shape:
            verdict = f"shape {tuple(a.shape)}, {tuple(b.shape)}"
        elif torch.equal(a, b):
            verdict = "equal"
        else:
            verdict = f"differs by {(a - b).abs().max():.3g} at most, in {(a != b).float().mean():.1%}"
        same = same and verdict in ("equal", "only in the second")
        say(f"{name:32} {verdict}")
    return same


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=Path, help="safetensors file to write")
    parser.add_argument(
        "--compare", nargs=2, type=Path, metavar="CHECKOUT", help="compare the packages of two checkouts"
    )
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="STACK", help="of the tiny stacks")
    options = parser.parse_args(arguments)
    os.environ["HF_HUB_OFFLINE"] = "1"
    with TemporaryDirectory() as folder:
        if options.compare:
            found = [
                computed_in(one.resolve(), Path(folder) / f"{i}.safetensors", options.only)
                for i, one in enumerate(options.compare)
            ]
            return int(not compare(*found))
        import vsr_adapter

        torch.set_num_threads(1)
        print(f"package {Path(vsr_adapter.__file__).parent}", file=sys.stderr)
        save_file({name: tensor.contiguous() for name, tensor in entries(Path(folder), options.only)}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
