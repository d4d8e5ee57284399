"""The mean of two sets of exported weights that share a beginning (Wortsman et al. 2022, "Model soups")."""

from pathlib import Path
from shutil import copytree

import torch
from safetensors.torch import load_file, save_file

from vsr_adapter.errors import UserError


def blend(first: Path, second: Path, share: float, output: Path) -> None:
    """Writes (1 - share) x first + share x second, weight by weight; what is no weights is the first's.

    Args:
        first: folder of exported weights.
        second: another one, of the same networks.
        share: of the second, 0 to 1.
        output: folder that does not exist yet.

    Raises:
        UserError: ``output`` exists, ``share`` is out of range, or the folders hold different networks.
    """
    if not 0 <= share <= 1:
        raise UserError(f"share {share}: is the second folder's part of the mean; pass 0 to 1")
    if output.exists():
        raise UserError(f"{output}: exists; weights are not overwritten, choose another name")
    blended = {}
    for path in sorted(first.rglob("*.safetensors")):
        name = path.relative_to(first)
        if not (second / name).is_file():
            raise UserError(f"{second}: has no {name}; both folders must be exports of the same stages")
        one, other = load_file(path), load_file(second / name)
        if {key: tensor.shape for key, tensor in one.items()} != {key: tensor.shape for key, tensor in other.items()}:
            raise UserError(f"{second / name}: other tensors than {path}; both must be of the same network")
        blended[name] = {
            key: torch.lerp(tensor.float(), other[key].float(), share).to(tensor.dtype) for key, tensor in one.items()
        }
    copytree(first, output)
    for name, tensors in blended.items():
        save_file(tensors, output / name)
