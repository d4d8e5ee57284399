"""What a checkpoint's text encoder makes of a prompt; that of the empty one is kept beside the weights."""

import os
import warnings
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from vsr_adapter.backbones.loading import home
from vsr_adapter.errors import UserError

CACHE = "null_tokens.safetensors"


def text_folder(source: str, revision: str | None = None) -> Path:
    """The folder of a checkpoint that ``text_encoder/`` and ``tokenizer/`` would lie in; of the Hub, its snapshot."""
    if Path(source).exists():
        return home(source)
    wanted = ["tokenizer/*", "text_encoder/config.json", "text_encoder/*.safetensors"]
    folder = Path(snapshot_download(source, revision=revision, allow_patterns=wanted))
    if (folder / "text_encoder").is_dir() and not list((folder / "text_encoder").glob("*.safetensors")):
        folder = Path(snapshot_download(source, revision=revision, allow_patterns=[*wanted, "text_encoder/*.bin"]))
    return folder


def has_text_encoder(folder: Path) -> bool:
    """Whether prompts can be encoded."""
    return (folder / "text_encoder").is_dir() and (folder / "tokenizer").is_dir()


def encoded_prompt(folder: Path, prompt: str = "") -> Tensor:
    """The text encoder's last hidden state, as diffusers' pipelines give it to the UNet.

    Args:
        folder: holds ``text_encoder/`` and ``tokenizer/`` in transformers' format.
        prompt: padded to the tokenizer's length.

    Returns:
        Shape (1, L, text_dim), float32.

    Raises:
        UserError: the prompt is longer than the encoder can read.
    """
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    longest = encoder.config.max_position_embeddings
    ids = tokenizer(prompt, padding="max_length", max_length=longest, return_tensors="pt").input_ids
    if ids.shape[1] > longest:
        raise UserError(f"prompt {prompt!r}: {ids.shape[1]} tokens, the text encoder reads {longest}; shorten it")
    with torch.no_grad():
        return encoder(ids).last_hidden_state.float()


def prompt_tokens(source: str | None, prompt: str, revision: str | None = None) -> Tensor:
    """Tokens of a prompt, shape (1, L, text_dim).

    Args:
        source: the published folder, a part of it, or a Hub id; None for random weights.
        prompt: any text but the empty one.
        revision: of the Hub repository.

    Raises:
        UserError: there is no text encoder, or the prompt is too long.
    """
    if source is None:
        raise UserError(f"prompt {prompt!r}: random weights have no text encoder; name a source, or leave it out")
    folder = text_folder(source, revision)
    if not has_text_encoder(folder):
        raise UserError(f"prompt {prompt!r}: {folder} has no text_encoder/ and tokenizer/; add them, or leave it out")
    return encoded_prompt(folder, prompt)


def null_tokens(source: str | None, text_length: int, text_dim: int, revision: str | None = None) -> Tensor:
    """Tokens of the empty prompt, shape (1, L, text_dim); computed once, then read from ``null_tokens.safetensors``.

    Zeros for random weights, and, with a warning, where the checkpoint has no text encoder.

    Args:
        source: the published folder, a part of it, or a Hub id; None for random weights.
        text_length: of the zeros.
        text_dim: of the zeros, and of what the UNet takes.
        revision: of the Hub repository.

    Raises:
        UserError: the text encoder is not this UNet's.
    """
    zeros = torch.zeros(1, text_length, text_dim)
    if source is None:
        return zeros
    folder = text_folder(source, revision)
    cache = folder / CACHE
    if cache.is_file():
        tokens = load_file(cache)["null_tokens"]
    elif has_text_encoder(folder):
        tokens = encoded_prompt(folder)
        if os.access(folder, os.W_OK):
            part = cache.with_suffix(f".{os.getpid()}.part")  # several processes may come here at once
            save_file({"null_tokens": tokens}, part)
            part.replace(cache)
    else:
        warnings.warn(
            f"{source}: no text_encoder/ and tokenizer/ beside it, so the null tokens are zeros", stacklevel=2
        )
        return zeros
    if tokens.shape[-1] != text_dim:
        raise UserError(
            f"{folder}: its text encoder gives tokens of width {tokens.shape[-1]}, the UNet takes {text_dim}; "
            "use the text_encoder/ that was published with this UNet"
        )
    return tokens
