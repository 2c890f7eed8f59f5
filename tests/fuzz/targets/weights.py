"""Weights of a pretraining through ``load_pretrained``: refused, or the numbers that the file holds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corruptions import ODD, Rng, corrupted, pick, spoiled_json
from safetensors.torch import save
from worker import WrongError

from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import load_pretrained, parts_of, pretrained_tensors

Tensors = dict[str, torch.Tensor]
KINDS = {"F32": np.float32, "F64": np.float64, "F16": np.float16, "I64": np.int64, "I32": np.int32, "U8": np.uint8}


def prepare(folder: Path) -> Tensors:
    return {name: t.clone() for name, t in pretrained_tensors(_net(1), parts_of("decoder", 1)).items()}


def _net(seed: int) -> SegmentationNet:
    return build_network(NetworkConfig(channels=[2, 3, 4]), size=(32, 32), classes=3, seed=seed)


def make(rng: Rng, base: Tensors, folder: Path) -> tuple[str, Callable[[], str]]:
    path, net = folder / "weights.safetensors", _net(2)
    if rng.random() < 0.5:
        what, tensors = spoiled_tensors(rng, base)
        data = save(tensors)
    else:
        what, data = spoiled_file(rng, save(base))
    path.write_bytes(data)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    averages = bool(rng.random() < 0.5)

    def check() -> str:
        copied = load_pretrained(net, path, running_averages=averages)
        held = tensors_of(data)
        for name, tensor in net.state_dict().items():
            expected = held[name] if name in copied else before[name].numpy()
            if not np.array_equal(tensor.numpy(), expected) or not np.isfinite(tensor.numpy()).all():
                raise WrongError(f"{name} is not what the file holds")
        if unknown := set(held) - set(before):
            raise WrongError(f"{sorted(unknown)} have no place in the network, and nothing was said")
        return "as the file says"

    return what, check


def spoiled_tensors(rng: Rng, base: Tensors) -> tuple[str, Tensors]:
    """Tensors of another name, shape, type or content, and what was done."""
    tensors = {name: t.clone() for name, t in base.items()}
    name = pick(rng, list(tensors))
    tensor = tensors[name]
    what = pick(
        rng, ("name", "gone", "more", "shape", "turned", "type", "nan", "inf", "empty", "scalar", "none", "swapped", "huge")
    )
    other = pick(rng, list(tensors))
    if what in ("name", "gone"):
        del tensors[name]
    if what in ("name", "more"):
        tensors[pick(rng, (f"{name}x", f"module.{name}", "", "\0", "x" * 5000, "__metadata", "\u540d"))] = tensor.clone()
    elif what == "none":
        tensors = {}
    elif what == "swapped":
        tensors[name], tensors[other] = tensors[other], tensor
    elif what != "gone":
        tensors[name] = {
            "shape": lambda: torch.zeros(*tensor.shape, 2), "turned": lambda: tensor.reshape(-1, *tensor.shape[2:]) if tensor.ndim > 2 else tensor[None],
            "type": lambda: tensor.to(pick(rng, (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool))),
            "nan": lambda: tensor.double().fill_(float("nan")).to(tensor.dtype), "inf": lambda: (tensor.double() + float("inf")).to(tensor.dtype),
            "empty": lambda: torch.zeros(0), "scalar": lambda: torch.tensor(1.0), "huge": lambda: torch.full_like(tensor, 3e38 if tensor.is_floating_point() else 3),
        }[what]().contiguous()  # fmt: skip
    return f"{what} {name}", tensors


def spoiled_file(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """A file of safetensors with a damaged header or body, and what was done."""
    how = int(rng.integers(4))
    if how < 2:
        return corrupted(rng, data)
    length = struct.unpack("<Q", data[:8])[0]
    header, body = data[8 : 8 + length], data[8 + length :]
    if how == 2:
        size = int(pick(rng, (0, 1, length - 1, length + 1, 2**20, 2**31, 2**40, 2**62, 2**64 - 1)))
        return f"a header of {size} bytes", struct.pack("<Q", size) + header + body
    tree = json.loads(header)
    if rng.random() < 0.5:  # places of the tensors
        entry: Any = tree[pick(rng, [name for name in tree if name != "__metadata__"])]
        key = pick(rng, list(entry))
        if isinstance(entry[key], list) and entry[key] and rng.random() < 0.7:
            at = int(rng.integers(len(entry[key])))
            entry[key][at] += int(pick(rng, (-4, -1, 1, 4, 2**31, 2**62)))
        else:
            entry[key] = pick(rng, (*KINDS, "F8_E4M3", "BF16", "X", *ODD))
        what, header = f"{key} = {entry[key]!r}"[:60], json.dumps(tree).encode()
    else:
        what, header = spoiled_json(rng, tree)
    return f"header: {what}", struct.pack("<Q", len(header)) + header + body


def tensors_of(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a file of safetensors, by the format's own words: length, header, body."""
    length = struct.unpack("<Q", data[:8])[0]
    header, body = json.loads(data[8 : 8 + length]), data[8 + length :]
    found = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, end = entry["data_offsets"]
            kind = KINDS.get(entry["dtype"], np.uint8)
            found[name] = np.frombuffer(body[start:end], kind)
            if entry["dtype"] in KINDS:
                found[name] = found[name].reshape(entry["shape"])
    return found
