"""Fine-tuning of a head on frozen features: as any fine-tuning, with features where others have images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from glocalseg.config.model import ConfigError
from glocalseg.methods.finetuning.base import Slices
from glocalseg.networks.build import initialise
from glocalseg.networks.light_head import FEATURES, FeatureHead
from glocalseg.records.sealed import CorruptedError
from glocalseg.stages.finetune import regime_of, tune
from glocalseg.stages.opening import Inputs, open_inputs
from glocalseg.stages.specs import HeadSpec, Place
from glocalseg.training.randomness import seed_of
from glocalseg.training.task import Task


def tune_head(spec: HeadSpec, place: Place) -> None:
    """Train, select and predict one run, and seal its folder, as ``stages.finetune.finetune`` does.

    Raises:
        CorruptedError, ConfigError: as ``finetune``; also if the features are not those of the store's slices.
        DivergedError, Interrupted: as ``train``.
    """
    inputs = with_features(open_inputs(spec, spec.split, place, steps=spec.config.steps))
    tune(spec, inputs, lambda: make_head(spec, inputs))


def with_features(inputs: Inputs) -> Inputs:
    """Inputs whose store has features (N, C, h, w) float16, memory-mapped, where others have images (N, H, W)."""
    assert inputs.start is not None
    path = inputs.start.with_name(FEATURES)
    found = np.load(path, mmap_mode="r")
    if found.ndim != 4 or len(found) != len(inputs.store.images):
        raise CorruptedError(
            f"{path}: expected features of {len(inputs.store.images)} slices, (N, C, h, w), found shape {found.shape}"
        )
    return replace(inputs, store=replace(inputs.store, images=found), start=None)


def make_head(spec: HeadSpec, inputs: Inputs) -> Task:
    """The task of the specification's regime: a head with random weights of the run's seed, on the labelled slices' features."""
    store, device = inputs.store, inputs.device
    net = FeatureHead(store.images.shape[1], classes=store.classes, size=store.size)
    initialise(net, seed_of(spec.seed, "weights"))
    rows = store.rows(inputs.split.train)
    if not len(rows):
        raise ConfigError(f"{inputs.place.label}: expected labelled slices, found none")
    labels = F.one_hot(torch.from_numpy(np.asarray(store.labels[rows])).long(), store.classes).permute(0, 3, 1, 2)
    features = torch.from_numpy(np.array(store.images[rows]))[:, None].to(
        device.device
    )  # as they are stored: half of the memory
    slices = Slices(features, device.images(labels), features[:0])
    return regime_of(spec).task(net.to(device.device), slices, device, spec.seed, spec.config)  # type: ignore[arg-type]
