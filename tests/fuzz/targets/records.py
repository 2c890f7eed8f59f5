"""Finished folders through ``open_sealed``, ``restore`` and ``open_store``: refused, or the bytes that were sealed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from corruptions import Rng, corrupted, pick, spoiled_json
from worker import WrongError

from glocalseg.data.slices.store import SLICE_COLUMNS, VOLUME_COLUMNS, open_store, write_store
from glocalseg.records.sealed import open_sealed, restore, seal
from targets.nifti import card

PAYLOAD = {
    "spec": {"seed": 0, "threads": 1},
    "label": "tiny gd",
    "timing": {"wall_seconds": 1.5},
    "split": {"test": ["a", "b"]},
}


@dataclass(frozen=True)
class Base:
    """A run and a slice store, and what their records say."""

    run: Path
    store: Path
    said: dict[str, Any]
    manifest: dict[str, Any]


def prepare(folder: Path) -> Base:
    run, store = folder / "run", folder / "store"
    (run / "deep").mkdir(parents=True)
    rng = np.random.default_rng(0)
    (run / "weights.bin").write_bytes(rng.bytes(3000))
    (run / "deep" / "log.csv").write_text("step,loss\n1,0.5\n", encoding="utf-8")
    seal(run / "run.json", PAYLOAD)
    volumes = pd.DataFrame([("a", "a", 0, 2, 3, 4, 8.0, 1.5, 1.5, 3, 4, 0, True)], columns=VOLUME_COLUMNS)
    slices = pd.DataFrame([("a", "a", i, (i + 0.5) / 2) for i in range(2)], columns=SLICE_COLUMNS)
    images, labels = rng.random((2, 32, 32)), rng.integers(0, 3, (2, 32, 32))
    write_store(
        store / "manifest.json", images=images, labels=labels, native_labels=labels.ravel()[:24], slices=slices, volumes=volumes,
        preparation=card().preparation, manifest={"spec": {"code": "x"}},
    )  # fmt: skip
    return Base(run, store, open_sealed(run / "run.json"), open_sealed(store / "manifest.json"))


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    source, record = pick(rng, ((base.run, "run.json"), (base.store, "manifest.json")))
    here = folder / source.name
    shutil.copytree(source, here)
    lost = rng.random() < 0.2  # the record itself, which comes back from its twin
    names = [p.relative_to(here).as_posix() for p in sorted(here.rglob("*")) if p.is_file()]
    name = f".{record}" if lost else pick(rng, [record, record, record, *names])
    path = here / name
    if name.endswith(".json") and rng.random() < 0.7:
        what, data = spoiled_json(rng, json.loads(path.read_text(encoding="utf-8")))
        path.write_bytes(data)
    elif rng.random() < 0.1:
        what = "gone"
        path.unlink()
        if rng.random() < 0.3:
            path.mkdir()
    else:
        what, data = corrupted(rng, path.read_bytes())
        path.write_bytes(data)
    if lost:
        (here / record).unlink()

    def check() -> str:
        if lost and not restore(here / record):
            return "made again"
        said = open_sealed(here / record)
        if said != (base.said if source == base.run else base.manifest):
            raise WrongError("another record")
        if source == base.store:
            store, sound = open_store(here / record), open_store(base.store / record)
            arrays = [(a, b) for a, b in zip(_arrays(store), _arrays(sound), strict=True) if not np.array_equal(a, b)]
            if arrays or not store.slices.equals(sound.slices) or not store.volumes.equals(sound.volumes):
                raise WrongError("another store")
        return "what was sealed"

    return f"{source.name}: {name}{' alone' if lost else ''}: {what}", check


def _arrays(store: Any) -> list[Any]:
    return [store.images, store.labels, store.native_labels]
