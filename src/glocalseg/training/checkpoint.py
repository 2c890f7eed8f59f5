"""The state of an unfinished run: safetensors plus JSON, never half written.

The JSON names its tensor file and that file's sha256 and is renamed into place last; the previous pair stays until then. Both
start with ``resume``, so that sealing the folder removes them.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from glocalseg.records.digest import is_stamped, sha256_file, stamped
from glocalseg.records.files import write_atomic, write_json
from glocalseg.records.sealed import RESUME

RECORD = f"{RESUME}.json"


@dataclass(frozen=True)
class State:
    """What a run needs to go on after ``step`` steps; ``extra`` is JSON-able."""

    step: int
    tensors: dict[str, Tensor]
    extra: dict[str, Any]


def save_state(folder: Path, key: str, state: State) -> None:
    """Write the state atomically; ``key`` says whose it is. Raises OSError, the previous state intact, if the disk is full."""
    name = f"{RESUME}-{state.step}.safetensors"
    write_atomic(folder / name, save({k: t.detach().cpu().contiguous() for k, t in state.tensors.items()}))
    record = {"key": key, "step": state.step, "file": name, "sha256": sha256_file(folder / name), "extra": state.extra}
    write_json(folder / RECORD, stamped(record))
    for old in folder.glob(f"{RESUME}-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_state(folder: Path, key: str) -> State | None:
    """The saved state of run ``key``; None if there is none, or with a warning if it is damaged: the run then starts anew."""
    record = folder / RECORD
    if not record.is_file():
        return None
    try:
        saved = json.loads(record.read_text(encoding="utf-8"))
        path = folder / saved["file"]
        if not is_stamped(saved):
            raise ValueError("expected what was written there, found another digest than that of its content")
        if saved["key"] != key:
            raise ValueError(f"expected the state of {key}, found that of {saved['key']}")
        if (found := sha256_file(path)) != saved["sha256"]:
            raise ValueError(f"expected {path.name} with sha256 {saved['sha256']}, found {found}")
        return State(saved["step"], load_file(path), saved["extra"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        print(f"{record}: {error}: the run starts from its beginning", file=sys.stderr)
        return None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as ``<parameter>/<name>``; parameters are numbered in order."""
    state = optimiser.state_dict()["state"]
    return {f"{i}/{name}": value for i, entry in state.items() for name, value in entry.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put saved state back, each tensor in its parameter's memory layout: fused steps walk both alike."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for name, value in tensors.items():
        index, key = name.split("/")
        parameter = parameters[int(index)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter).copy_(value)
        optimiser.state[parameter][key] = value.to(parameter.device)
