"""Weights on disk, and what one stage hands to the next (docs/method.md 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from glocalseg.config.lines import one_line, shortened
from glocalseg.networks.unet import SegmentationNet
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import CorruptedError

FILE = "weights.safetensors"


def save_weights(tensors: dict[str, Tensor], path: Path) -> None:
    """Write named tensors as safetensors, atomically."""
    write_atomic(path, save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors of a file of safetensors. Raises CorruptedError."""
    try:
        return load_file(path)
    except (OSError, SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise CorruptedError(
            f"{path}: expected weights as safetensors, found {one_line(shortened(f'{type(error).__name__}: {error}'))}"
        ) from None


def parts_of(part: Literal["encoder", "decoder", "network"], blocks: int) -> tuple[str, ...]:
    """What a pretraining trains, as beginnings of a network's tensor names.

    Args:
        part: ``encoder``; ``decoder``: its first blocks, and the encoder that they stand on; ``network``: all but the last layer.
        blocks: how many decoder blocks ``decoder`` means.
    """
    if part == "encoder":
        return ("encoder.",)
    if part == "decoder":
        return ("encoder.", *(f"decoder.blocks.{i}." for i in range(blocks)))
    return ("encoder.", "decoder.", "head.0.", "head.1.")


def pretrained_tensors(net: SegmentationNet, parts: tuple[str, ...], start: Iterable[str] = ()) -> dict[str, Tensor]:
    """What a pretraining hands on, running averages included.

    Args:
        parts: see ``parts_of``.
        start: names of the tensors that it started from: they are handed on as well.
    """
    kept = set(start)
    return {name: t for name, t in net.state_dict().items() if name in kept or name.startswith(parts)}


def load_pretrained(net: SegmentationNet, path: Path, *, running_averages: bool) -> list[str]:
    """Copy handed-on weights into a network; everything else stays as drawn.

    Args:
        running_averages: False for fine-tuning, which starts with fresh batch-norm averages whatever the start (3.3).

    Returns:
        Names of the copied tensors.

    Raises:
        CorruptedError: if the file is none of weights, or a tensor has no place of its shape and type in the network, or numbers
            that are not finite.
    """
    found = read_tensors(path)
    state = net.state_dict()
    for name, tensor in found.items():
        expected = _kind(state[name]) if name in state else "no such tensor"
        if _kind(tensor) != expected:
            called = shortened(one_line(name))
            raise CorruptedError(f"{path}: {called}: expected {expected}, found {_kind(tensor)}")
        if not torch.isfinite(tensor).all():
            raise CorruptedError(f"{path}: {name}: expected finite numbers, found others")
    trainable = {name for name, _ in net.named_parameters()}
    chosen = {name: t for name, t in found.items() if running_averages or name in trainable}
    net.load_state_dict(chosen, strict=False)
    return sorted(chosen)


def _kind(tensor: Tensor) -> str:
    return f"shape {tuple(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"


def freeze(module: nn.Module) -> None:
    """Exclude a module's parameters from gradients."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
