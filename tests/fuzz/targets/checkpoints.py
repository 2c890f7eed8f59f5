"""States of unfinished runs and files of predictions: dropped or refused, or what was saved."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from corruptions import Rng, corrupted, pick, spoiled_json
from worker import WrongError

from glocalseg.evaluation.predictions import read_predictions, write_predictions
from glocalseg.training.checkpoint import RECORD, State, load_state, save_state

KEY = "0123456789"


@dataclass(frozen=True)
class Base:
    """A folder with a state and predictions, and what they are."""

    folder: Path
    state: State
    predictions: dict[str, np.ndarray]


def prepare(folder: Path) -> Base:
    rng = np.random.default_rng(0)
    tensors = {f"modules/{i}": torch.from_numpy(rng.random((3, i + 1)).astype(np.float32)) for i in range(4)}
    state = State(
        40, {**tensors, "optimiser/all/0/step": torch.tensor(40.0)}, {"seconds": 1.5, "rows": [{"step": 10, "loss": 0.5}]}
    )
    predictions = {name: rng.integers(0, 3, (2, 5, 4)).astype(np.uint8) for name in ("a", "\u540d", "files", "volumes")}
    here = folder / "sound"
    here.mkdir()
    save_state(here, KEY, state)
    write_predictions(here / "predictions.npz", predictions)
    return Base(here, state, predictions)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    here = folder / "run"
    shutil.copytree(base.folder, here)
    path = pick(rng, sorted(here.iterdir()))
    if path.name == RECORD and rng.random() < 0.7:
        what, data = spoiled_json(rng, json.loads(path.read_text(encoding="utf-8")))
    else:
        what, data = corrupted(rng, path.read_bytes())
    path.write_bytes(data)

    def check() -> str:
        if path.suffix == ".npz":
            found = read_predictions(path)
            if list(found) != list(base.predictions) or any(
                not np.array_equal(found[n], base.predictions[n]) for n in found
            ):
                raise WrongError("other predictions")
            return "what was saved"
        state = load_state(here, KEY)
        if state is None:
            return "dropped"
        same = (
            state.step == base.state.step
            and state.extra == base.state.extra
            and set(state.tensors) == set(base.state.tensors)
        )
        if not same or any(not torch.equal(t, base.state.tensors[n]) for n, t in state.tensors.items()):
            raise WrongError("another state")
        return "what was saved"

    return f"{path.name}: {what}", check
