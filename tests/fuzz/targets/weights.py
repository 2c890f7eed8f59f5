"""Weights of a pretraining, and of a timm model that a user brings: refused, or the numbers that the file holds."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from corruptions import ODD, Rng, corrupted, pick, spoiled_json
from safetensors.torch import save
from worker import WrongError

from glocalseg.config.settings import NetworkConfig
from glocalseg.networks.build import build_network
from glocalseg.networks.timm_encoder import TimmEncoder, ensure_torchvision
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import load_pretrained, parts_of, pretrained_tensors

Tensors = dict[str, torch.Tensor]
KINDS = {
    "F32": np.float32,
    "F64": np.float64,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
TIMM = "test_resnet"  # the smallest of timm's


@dataclass(frozen=True)
class Base:
    """Sound weights: of a pretraining, and of a timm model, where the extra is installed."""

    own: Tensors
    timm: Tensors | None


def prepare(folder: Path) -> Base:
    own = {name: t.clone() for name, t in pretrained_tensors(_net(1), parts_of("decoder", 1)).items()}
    if ensure_torchvision() == "absent":
        return Base(own, None)
    import timm

    torch.manual_seed(0)
    return Base(own, timm.create_model(TIMM, pretrained=False).state_dict())


def _net(seed: int) -> SegmentationNet:
    return build_network(NetworkConfig(channels=[2, 3, 4]), size=(32, 32), classes=3, seed=seed)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    bought = base.timm is not None and rng.random() < 0.3
    sound = base.timm if bought else base.own
    assert sound is not None
    if rng.random() < 0.5:
        what, tensors = spoiled_tensors(rng, sound)
        data = save(tensors)
    else:
        what, data = spoiled_file(rng, save(sound))
    ends = (".safetensors", ".safetensors", ".pth") if bought else (".safetensors",)
    path = folder / f"weights{pick(rng, ends)}"
    path.write_bytes(data)
    averages = bool(rng.random() < 0.5)
    if bought:
        return f"timm, {path.suffix}: {what}", lambda: _bought(path, data)
    return what, lambda: _handed_on(path, data, averages)


def _handed_on(path: Path, data: bytes, averages: bool) -> str:
    net = _net(2)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    copied = load_pretrained(net, path, running_averages=averages)
    held = tensors_of(data)
    for name, tensor in net.state_dict().items():
        expected = held[name] if name in copied else before[name].numpy()
        if not np.array_equal(tensor.numpy(), expected) or not np.isfinite(tensor.numpy()).all():
            raise WrongError(f"{name} is not what the file holds")
    if unknown := set(held) - set(before):
        raise WrongError(f"{sorted(unknown)} have no place in the network, and nothing was said")
    return "as the file says"


def _bought(path: Path, data: bytes) -> str:
    encoder = TimmEncoder(TIMM, size=(32, 32), levels=None, weights=path, seed=0)
    held = tensors_of(data)
    for name, tensor in encoder.net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue  # decides nothing where momentum is given, and torch makes it where it is not there
        found, expected = tensor.numpy(), held[name] if name in held else held[f"module.{name}"]
        if expected.ndim == 4 and expected.shape[1] != found.shape[1]:
            continue  # the first convolution, whose three channels become one
        if not np.allclose(found, expected) or not np.isfinite(found).all():
            raise WrongError(f"{name} is not what the file holds")
    return "as the file says"


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
        tensors[name] = _other(rng, tensor, what).contiguous()
    return f"{what} {name}", tensors


def _other(rng: Rng, tensor: torch.Tensor, what: str) -> torch.Tensor:
    match what:
        case "shape":
            return torch.zeros(*tensor.shape, 2)
        case "turned":
            return tensor.reshape(-1, *tensor.shape[2:]) if tensor.ndim > 2 else tensor[None]
        case "type":
            kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
            return tensor.to(pick(rng, kinds))
        case "nan":
            return tensor.double().fill_(float("nan")).to(tensor.dtype)
        case "inf":
            return (tensor.double() + float("inf")).to(tensor.dtype)
        case "empty":
            return torch.zeros(0)
        case "scalar":
            return torch.tensor(1.0)
        case "huge":
            return torch.full_like(tensor, 3e38 if tensor.is_floating_point() else 3)
    raise ValueError(what)


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
            if entry["dtype"] == "BF16":  # the upper half of a float32
                upper = np.frombuffer(body[start:end], np.uint16).astype(np.uint32)
                found[name] = (upper << 16).view(np.float32).reshape(entry["shape"])
                continue
            kind = KINDS.get(entry["dtype"], np.uint8)
            found[name] = np.frombuffer(body[start:end], kind)
            if entry["dtype"] in KINDS:
                found[name] = found[name].reshape(entry["shape"])
    return found
