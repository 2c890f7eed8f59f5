"""What the three training phases share: opening their inputs, and the record that they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from glocalseg.config import Card, ConfigError, PretrainConfig
from glocalseg.data.splits import Split, make_split
from glocalseg.data.store import SliceStore, open_store
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, load_pretrained, pretrained_tensors, save_weights
from glocalseg.plan import Job, Plan
from glocalseg.pretraining.base import Pool
from glocalseg.provenance import environment, open_sealed, seal
from glocalseg.training import loop
from glocalseg.training.device import Device, choose_device
from glocalseg.training.randomness import seed_of


@dataclass(frozen=True)
class Task:
    """What one phase trains: the training loop runs it, and the throughput program times it against its network alone.

    ``forward`` is the network step inside ``loss``, from images (N, 1, H, W) to what the loss compares.
    """

    trained: nn.Module
    loss: Callable[[int], Tensor]
    forward: Callable[[Tensor], Tensor]
    images_per_step: int


@dataclass(frozen=True)
class Inputs:
    """A job's inputs, opened and checked. ``split`` of a pretraining is that of all labelled volumes: only its pool is used."""

    job: Job
    folder: Path
    card: Card
    store: SliceStore
    split: Split
    device: Device
    start: Path | None  # weights of the pretraining that the job starts from
    started: float
    seed: int

    @property
    def run(self) -> loop.Job:
        """Name, key and folder for the training loop."""
        return loop.Job(self.job.label, self.folder.name, self.folder)

    def network(self, plan: Plan, *, running_averages: bool) -> SegmentationNet:
        """The segmentation network on the device: random weights of the job's seed, then those that it starts from."""
        size = self.card.frame.size
        config = plan.benchmark.network
        net = build_network(config, size=size, classes=self.card.classes, seed=seed_of(self.seed, "weights"))
        if self.start is not None:
            load_pretrained(net, self.start, running_averages=running_averages)
        self.device.place(net)
        return net

    def images(self, volumes: tuple[str, ...]) -> Tensor:
        """Slices of volumes, (n, 1, H, W) float32 on the device."""
        rows = self.store.rows(volumes)
        return self.device.images(torch.from_numpy(np.asarray(self.store.images[rows]))[:, None])

    def pool(self, volumes: tuple[str, ...]) -> Pool:
        """The slices of volumes as a pool whose rows index ``images(volumes)``, on the device."""
        table = self.store.slices.iloc[self.store.rows(volumes)]
        number = {v: i for i, v in enumerate(volumes)}
        to = self.device.device
        return Pool(
            row=torch.arange(len(table), device=to),
            volume=torch.tensor([number[v] for v in table["volume"]], device=to),
            partition=torch.tensor(table["partition"].to_numpy(np.int64), device=to),
            position=torch.tensor(table["position"].to_numpy(np.float32), device=to),
            partitions=self.card.partitions,
            volumes=len(volumes),
        )


def open_inputs(job: Job, plan: Plan, root: Path) -> Inputs:
    """Open a job's data, split, device and start, every file checked against its record.

    Raises:
        CorruptedError: if the data or the start is missing or changed.
        ConfigError: if the card's split does not fit the data, or steps are to be compiled and cannot be.
    """
    started = time.perf_counter()
    if job.data is None or job.seed is None:
        raise ConfigError(f"{job.record}: expected a training job, found phase {job.phase!r}")
    card = plan.cards[job.dataset]
    store = open_store(root / job.data)
    start = None
    if job.start is not None:
        open_sealed(root / job.start)
        start = root / job.start.parent / FILE
    split = make_split(card.splits, store.volumes, job.budget or "all", job.draw or 1)
    network, trained = plan.benchmark.network, getattr(plan.benchmark, job.phase, None)  # a diagnosis trains nothing
    steps = trained.steps if trained else 0
    device = choose_device(network.precision, plan.benchmark.threads, compiled=network.compiled, steps=steps)
    folder = root / job.record.parent
    folder.mkdir(parents=True, exist_ok=True)
    return Inputs(job, folder, card, store, split, device, start, started, job.seed)


def pretrain(inputs: Inputs, config: PretrainConfig, net: SegmentationNet, task: Task, *, blocks: int) -> None:
    """Train a pretraining's task, hand on the encoder and the first ``blocks`` decoder blocks of ``net``, and seal the folder.

    Raises:
        DivergedError, Interrupted: as ``train``.
    """
    seconds, rate = loop.train(
        inputs.run,
        task.trained,
        task.loss,
        steps=config.steps,
        schedule=loop.Schedule(config.learning_rate, config.steps),
        images_per_step=task.images_per_step,
        checkpoint_every=config.checkpoint_every,
    )
    save_weights(pretrained_tensors(net, blocks), inputs.folder / FILE)
    finish(inputs, timing={"train_seconds": seconds, "images_per_second": rate}, more={"pool": list(inputs.split.pretrain)})


def finish(inputs: Inputs, *, timing: Mapping[str, float], more: Mapping[str, Any]) -> None:
    """Seal a run's folder with its ``run.json``."""
    job = inputs.job
    identity = {k: getattr(job, k) for k in ("phase", "dataset", "name", "budget", "draw", "seed", "label")}
    payload = {
        "job": identity,
        "parts": dict(job.parts),
        **more,
        "device": inputs.device.describe(),
        "timing": {
            "wall_seconds": round(time.perf_counter() - inputs.started, 3),
            **{k: round(v, 3) for k, v in timing.items()},
            "peak_memory_mb": round(inputs.device.peak_memory_mb(), 1),
        },
        "environment": environment(),
    }
    seal(inputs.folder / job.record.name, payload)
