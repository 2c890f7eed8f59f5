"""A stage's inputs, opened and checked, and the record that it leaves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glocalseg.data.slices.store import SliceStore, open_store
from glocalseg.data.splits.lists import Split, SplitSpec, volumes_of
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, load_pretrained, read_tensors
from glocalseg.records.digest import sha256_file
from glocalseg.records.environment import environment
from glocalseg.records.sealed import CorruptedError, open_sealed, seal
from glocalseg.stages.specs import Place, RunSpec, Spec
from glocalseg.training.device import Device, choose_device
from glocalseg.training.randomness import seed_of


@dataclass(frozen=True)
class Inputs:
    """What a training or a diagnosis works on. ``start`` is the file of the weights that it starts from, None for random ones."""

    place: Place
    store: SliceStore
    split: Split
    device: Device
    start: Path | None
    started: float

    def network(self, spec: RunSpec, *, running_averages: bool) -> SegmentationNet:
        """The segmentation network on the device: random weights of the run's seed, then those that it starts from."""
        net = build_network(
            spec.network,
            size=self.store.size,
            classes=self.store.classes,
            seed=seed_of(spec.seed, "weights"),
            weights=self.place.weights,
        )
        if self.start is not None:
            load_pretrained(net, self.start, running_averages=running_averages)
        self.device.place(net)
        return net

    def start_names(self) -> frozenset[str]:
        """Names of the tensors of the run that this one starts from."""
        return frozenset(read_tensors(self.start)) if self.start is not None else frozenset()

    def images(self, volumes: tuple[str, ...]) -> Tensor:
        """Slices of volumes, (n, 1, H, W) float32 on the device."""
        rows = self.store.rows(volumes)
        return self.device.images(torch.from_numpy(np.asarray(self.store.images[rows]))[:, None])


def open_inputs(spec: RunSpec, split: SplitSpec, place: Place, *, steps: int) -> Inputs:
    """Open a run's data, split, device and start, every file checked against its record.

    Args:
        steps: of the training, 0 where nothing is trained.

    Raises:
        CorruptedError: if the data, the start or the bought-in weights are missing, changed, or not those of the specification.
        ConfigError: if the card's split does not fit the data, or steps are to be compiled and cannot be.
    """
    started = time.perf_counter()
    place.require(data=spec.data, start=spec.start)
    assert place.data is not None
    store = open_store(place.data)
    start = None
    if place.start is not None:
        open_sealed(place.start)
        start = place.start.parent / FILE
    require_weights(spec, place)
    device = choose_device(spec.network.precision, spec.threads, compiled=spec.network.compiled, steps=steps)
    place.folder.mkdir(parents=True, exist_ok=True)
    return Inputs(place, store, volumes_of(split, _columns(store)), device, start, started)


def require_weights(spec: RunSpec, place: Place) -> None:
    """Raise CorruptedError if the bought-in weights are missing, or not those of the specification."""
    if place.weights is None:
        return
    if not place.weights.is_file():
        raise CorruptedError(f"{place.weights}: expected weights with sha256 {spec.network.weights}, found no such file")
    if (found := sha256_file(place.weights)) != spec.network.weights:
        raise CorruptedError(f"{place.weights}: expected sha256 {spec.network.weights}, found {found}")


def _columns(store: SliceStore) -> dict[str, list[Any]]:
    known = store.known.values()
    return {name: [getattr(v, name) for v in known] for name in ("volume", "subject", "labelled")}


def finish(spec: Spec, inputs: Inputs, *, timing: Mapping[str, float], more: Mapping[str, Any]) -> None:
    """Seal a run's folder with its ``run.json``."""
    payload = {
        "spec": spec.dump(),
        "label": inputs.place.label,
        **more,
        "device": inputs.device.describe(),
        "timing": {
            "wall_seconds": round(time.perf_counter() - inputs.started, 3),
            **{k: round(v, 3) for k, v in timing.items()},
            "peak_memory_mb": round(inputs.device.peak_memory_mb(), 1),
        },
        "environment": environment(),
    }
    seal(inputs.place.record, payload)
