"""Made-up inputs of the golden run, by NumPy alone: nothing that a comparison is about makes their values."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from glocalseg.config.settings import NetworkConfig
from glocalseg.data.slices.store import SliceStore, open_store
from glocalseg.evaluation.predictions import LAST, PREDICTIONS, write_predictions
from glocalseg.networks.build import build_network
from glocalseg.networks.light_head import FEATURES
from glocalseg.networks.timm_encoder import ensure_torchvision
from glocalseg.networks.weights import FILE
from glocalseg.records.digest import sha256_file
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import seal
from glocalseg.stages.specs import HeadSpec, Place, RunSpec, ScoreSpec, UntrainedSpec

SIDE = 32  # of the frame
SUBJECTS, DEPTHS = 14, (9, 11, 10)  # in turn; four partitions divide none of the depths
COARSE, MAPS = 4, 6  # of features: pixels of a cell, and maps
NATIVE, SPACING = (40, 26), (5.0, 1.2, 1.2)  # higher than the frame and narrower than it, after resampling
RESAMPLED = (48, 31)
STRUCTURES = {1: "disc", 2: "core"}
KEY = "made-up"


class Inputs:
    """What the jobs of a golden run start from, made when it is asked for and below one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, stage: Callable[[Any, Place], None], spec: RunSpec | UntrainedSpec | ScoreSpec, folder: Path) -> None:
        """Let a stage do a job; a key in the specification says that the job starts from something, or has bought-in weights."""
        weights = start = None
        if isinstance(spec, RunSpec):
            if spec.network.weights is not None:
                weights = self.timm_weights(spec.network.encoder.removeprefix("timm:"))
                network = spec.network.model_copy(update={"weights": sha256_file(weights)})
                spec = spec.model_copy(update={"network": network})
            start = self.start(spec.network, weights) if spec.start else None
            if isinstance(spec, HeadSpec):
                start, weights = self.features, None
        elif isinstance(spec, ScoreSpec):
            start = self.predictions
        stage(spec, Place(folder / "run.json", "golden run", data=self.store, start=start, weights=weights))

    @cached_property
    def store(self) -> Path:
        """The manifest of the slice store."""
        return made_up_store(self._folder / "store")

    @cached_property
    def predictions(self) -> Path:
        """The record of a fine-tuning that has predicted some volumes, with its last weights otherwise than with the selected."""
        store: SliceStore = open_store(self.store)
        truth = {str(v): store.native_label(v) for v in store.volumes["volume"][:7]}
        here = self._folder / "predictions" / KEY
        here.mkdir(parents=True)
        write_predictions(here / PREDICTIONS, made_up_predictions(truth))
        write_predictions(here / LAST, made_up_predictions(truth, first=1))
        seal(here / "run.json", {"split": {"test": list(truth)}})
        return here / "run.json"

    def start(self, network: NetworkConfig, weights: Path | None) -> Path:
        """The record of a pretraining of such a network."""
        number = len(list(self._folder.glob("start*")))
        return made_up_start(self._folder / f"start{number}", network, weights=weights)

    @cached_property
    def features(self) -> Path:
        """The record of features of the store's slices, a few coarse maps of noise around the slice's own."""
        images = open_store(self.store).images
        side = SIDE // COARSE
        means = images.reshape(len(images), 1, side, COARSE, side, COARSE).mean(axis=(3, 5))
        noise = np.random.default_rng(2).normal(0, 0.1, (len(images), MAPS, side, side))
        here = self._folder / "features" / KEY
        here.mkdir(parents=True)
        np.save(here / FEATURES, (means + noise).astype(np.float16))
        seal(here / "run.json", {})
        return here / "run.json"

    def timm_weights(self, model: str) -> Path:
        """A file with weights of a whole timm model, as timm draws them from a seed."""
        path = self._folder / f"{model}.safetensors"
        if not path.is_file():
            ensure_torchvision()
            import timm

            path.parent.mkdir(parents=True, exist_ok=True)
            torch.manual_seed(0)
            save_file(timm.create_model(model).state_dict(), path)
        return path


def made_up_store(folder: Path) -> Path:
    """The manifest of a slice store in its documented layout: discs with a core that grow and shrink along the volumes.

    The first subject has two volumes.
    """
    rng = np.random.default_rng(0)
    subjects = [0, *range(SUBJECTS)]
    depths = [DEPTHS[i % len(DEPTHS)] for i in range(len(subjects))]
    labels = [_discs(rng, depth, (SIDE, SIDE)) for depth in depths]
    native = [_discs(rng, depth, NATIVE) for depth in depths]
    images = [(0.4 * label + 0.2 * rng.random(label.shape)).astype(np.float32) for label in labels]
    here = folder / KEY
    here.mkdir(parents=True)
    np.save(here / "images.npy", np.concatenate(images))
    np.save(here / "labels.npy", np.concatenate(labels))
    np.save(here / "native_labels.npy", np.concatenate([label.ravel() for label in native]))
    slices, volumes, first, offset = ["subject,volume,slice,position"], [_VOLUMES], 0, 0
    for i, (subject, depth) in enumerate(zip(subjects, depths, strict=True)):
        slices += [f"s{subject},v{i},{k},{(k + 0.5) / depth!r}" for k in range(depth)]
        grid = (first, depth, *NATIVE, *SPACING, *RESAMPLED, offset, True)
        volumes.append(f"v{i},s{subject}," + ",".join(map(str, grid)))
        first, offset = first + depth, offset + depth * NATIVE[0] * NATIVE[1]
    write_atomic(here / "slices.csv", ("\n".join(slices) + "\n").encode())
    write_atomic(here / "volumes.csv", ("\n".join(volumes) + "\n").encode())
    preparation = {
        "frame": {"spacing": [1.0, 1.0], "size": [SIDE, SIDE]},
        "structures": {str(k): v for k, v in STRUCTURES.items()},
    }
    seal(here / "manifest.json", {"preparation": preparation})
    return here / "manifest.json"


_VOLUMES = (
    "volume,subject,first_slice,depth,height,width,spacing_depth,spacing_height,spacing_width,"
    "resampled_height,resampled_width,native_offset,labelled"
)


def _discs(rng: np.random.Generator, depth: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """(depth, *size) labels: a disc of 1 with a core of 2, and none in the last slice."""
    y, x = np.mgrid[: size[0], : size[1]]
    centre = np.array(size) / 2 + rng.uniform(-3, 3, 2)
    radius = 5 + 4 * np.sin(np.pi * (np.arange(depth) + 0.5) / depth)
    distance = np.hypot(y - centre[0], x - centre[1]) / radius[:, None, None]
    label = np.where(distance < 0.5, 2, np.where(distance < 1, 1, 0)).astype(np.uint8)
    label[-1] = 0
    return label


def made_up_start(folder: Path, network: NetworkConfig, *, weights: Path | None = None) -> Path:
    """The record of a pretraining whose tensors, encoder's and first decoder block's, are made of their names and shapes."""
    net = build_network(network, size=(SIDE, SIDE), classes=len(STRUCTURES) + 1, seed=0, weights=weights)
    tensors = {
        name: _tensor(name, t) for name, t in net.state_dict().items() if name.startswith(("encoder.", "decoder.blocks.0."))
    }
    here = folder / KEY
    here.mkdir(parents=True)
    save_file(tensors, here / FILE)
    seal(here / "run.json", {})
    return here / "run.json"


def _tensor(name: str, like: torch.Tensor) -> torch.Tensor:
    """Values of a size that a network can work with: small around zero, or around one where they scale or are variances."""
    if not like.is_floating_point():
        return torch.ones_like(like)
    values = np.random.default_rng(list(name.encode())).uniform(-0.3, 0.3, tuple(like.shape))
    scales = like.dim() == 1 and name.endswith((".weight", "running_var"))
    return torch.from_numpy(np.asarray(values + scales, np.float32))


def made_up_predictions(truth: dict[str, NDArray[np.uint8]], *, first: int = 0) -> dict[str, NDArray[np.uint8]]:
    """Predictions of every kind that a metric meets: exact, shifted, one structure lost, all lost, noise, everything.

    Args:
        first: the kind of the first volume's; the others follow in turn.
    """
    rng = np.random.default_rng(1)
    kinds: list[Any] = [
        lambda t: t,
        lambda t: np.roll(t, (1, 2), axis=(1, 2)),
        lambda t: np.where(t == 2, 0, t),
        lambda t: np.zeros_like(t),
        lambda t: rng.integers(0, 3, t.shape),
        lambda t: np.ones_like(t),
    ]
    return {v: kinds[i % len(kinds)](t).astype(np.uint8) for i, (v, t) in enumerate(truth.items(), first)}
