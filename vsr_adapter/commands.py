"""Commands that need no trainer."""

from pathlib import Path

from vsr_adapter.adapters.files import save_adapter
from vsr_adapter.checkpoint import read_checkpoint


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
