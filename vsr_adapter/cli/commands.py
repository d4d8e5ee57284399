"""Commands that need no trainer."""

from pathlib import Path

from safetensors.torch import save_file

from vsr_adapter.adapters.files import save_adapter
from vsr_adapter.backbones.loading import tensors
from vsr_adapter.errors import UserError
from vsr_adapter.training.checkpoints import read_checkpoint


def convert(source: Path) -> None:
    """Writes the pickled weights of a checkpoint as safetensors, once, beside them; the pickles stay.

    Args:
        source: a .bin or .pt file of weights, or a folder with ``unet/`` and ``vae/``.

    Raises:
        UserError: nothing to convert, or a file that cannot be read.
    """
    files = [source] if source.is_file() else sorted(p for p in source.rglob("*") if p.suffix in (".bin", ".pt"))
    if not files:
        raise UserError(f"{source}: holds no .bin or .pt; name a file of weights, or the folder that holds them")
    for file in files:
        target = file.with_suffix(".safetensors")
        if target.exists():
            print(f"{target}: is there already")
            continue
        with tensors(file) as (names, read):
            # copies: safetensors refuses tensors that share memory, as LaVie's rotary frequencies do
            state = {name: read(name).clone() for name in names}
        part = target.with_suffix(".part")
        save_file(state, part)
        part.replace(target)
        print(f"{target}: {len(state)} tensors")


def export(checkpoint: Path, file: Path) -> None:
    """Writes the adapter of a checkpoint as safetensors, with what made it.

    Raises:
        UserError: not a checkpoint of ours, or ``file`` exists.
    """
    content = read_checkpoint(checkpoint)
    ours = content["vsr_adapter"]
    save_adapter(file, content["state_dict"], ours["adapter"], ours["made_by"])
    parameters = sum(tensor.numel() for tensor in content["state_dict"].values())
    print(f"{file}: {parameters:,} parameters, step {ours['made_by']['step']}")
