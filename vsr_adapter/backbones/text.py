"""Null tokens: what a checkpoint's text encoder makes of the empty prompt, kept beside the weights."""

import os
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

CACHE = "null_tokens.safetensors"


def encoded_prompt(folder: Path, prompt: str = "") -> Tensor:
    """The text encoder's last hidden state, as diffusers' pipelines give it to the UNet.

    Args:
        folder: holds ``text_encoder/`` and ``tokenizer/`` in transformers' format.
        prompt: padded or cut to the tokenizer's length.

    Returns:
        Shape (1, L, text_dim), float32.
    """
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    longest = encoder.config.max_position_embeddings
    ids = tokenizer(prompt, padding="max_length", max_length=longest, truncation=True, return_tensors="pt").input_ids
    with torch.no_grad():
        return encoder(ids).last_hidden_state.float()


def null_tokens(source: str | None, text_length: int, text_dim: int) -> Tensor:
    """Tokens of the empty prompt, shape (1, L, text_dim); computed once, then read from ``null_tokens.safetensors``.

    Zeros for random weights, and, with a warning, where the checkpoint has no text encoder.

    Args:
        source: the published folder, or a part of it; None for random weights.
        text_length: of the zeros.
        text_dim: of the zeros.
    """
    zeros = torch.zeros(1, text_length, text_dim)
    if source is None:
        return zeros
    for folder in (Path(source), Path(source).parent):
        cache = folder / CACHE
        if cache.is_file():
            return load_file(cache)["null_tokens"]
        if (folder / "text_encoder").is_dir() and (folder / "tokenizer").is_dir():
            tokens = encoded_prompt(folder)
            if os.access(folder, os.W_OK):
                part = cache.with_suffix(f".{os.getpid()}.part")  # several processes may come here at once
                save_file({"null_tokens": tokens}, part)
                part.replace(cache)
            return tokens
    warnings.warn(f"{source}: no text_encoder/ and tokenizer/ beside it, so the null tokens are zeros", stacklevel=2)
    return zeros
