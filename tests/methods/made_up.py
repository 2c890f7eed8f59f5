"""Slices that a machine can learn from in a second, and the task of any strategy or regime on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from glocalseg.config.model import parse, without
from glocalseg.config.settings import FinetuneConfig, LocalConfig, NetworkConfig, PretrainConfig
from glocalseg.methods import finetuning, pretraining
from glocalseg.methods.catalogue import Entry, regimes, strategies
from glocalseg.methods.finetuning.base import Regime
from glocalseg.methods.pretraining.base import Pretext
from glocalseg.methods.pretraining.batches.pool import Pool
from glocalseg.networks.build import build_network
from glocalseg.networks.unet import SegmentationNet
from glocalseg.training.device import Device
from glocalseg.training.loop import Schedule, train
from glocalseg.training.task import Task

VOLUMES, DEPTH, SIDE, CLASSES = 5, 8, 32, 3
CPU = Device(torch.device("cpu"), "float32", 1)
NETWORK = NetworkConfig(channels=[8, 12, 16, 16], batchnorm_momentum=0.1)


@cache
def volumes() -> tuple[Tensor, Tensor]:
    """Images (40, 1, 32, 32) and one-hot labels (40, 3, 32, 32): discs with a core on their right, on a ramp, in noise."""
    g = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    labels = []
    for centre in 12 + 8 * torch.rand(VOLUMES, 2, generator=g):
        for i in range(DEPTH):
            radius = 5 + 4 * torch.sin(torch.tensor(torch.pi * (i + 0.5) / DEPTH))
            disc = torch.hypot(y - centre[0], x - centre[1]) < radius
            core = torch.hypot(y - centre[0], x - centre[1] - radius / 3) < radius / 3
            labels.append(disc.long() + core.long())
    label = torch.stack(labels)
    images = 0.3 * label + 0.3 * x / SIDE + 0.1 * torch.rand(label.shape, generator=g)
    return images[:, None], F.one_hot(label, CLASSES).permute(0, 3, 1, 2).float()


def pool(*, partitions: int = 4) -> Pool:
    """All slices of all volumes; 0 partitions: every slice in none."""
    at = torch.arange(DEPTH).repeat(VOLUMES)
    return Pool(
        row=torch.arange(VOLUMES * DEPTH),
        volume=torch.arange(VOLUMES).repeat_interleave(DEPTH),
        partition=at * partitions // DEPTH if partitions else torch.full_like(at, -1),
        position=(at + 0.5) / DEPTH,
        partitions=partitions,
        volumes=VOLUMES,
    )


def network(seed: int = 0, *, size: tuple[int, int] = (SIDE, SIDE)) -> SegmentationNet:
    """A small U-Net of four levels on the CPU."""
    net = build_network(NETWORK, size=size, classes=CLASSES, seed=seed)
    CPU.place(net)
    return net


def pretrain_config(entry: Entry, **changes: Any) -> PretrainConfig:
    """Settings of a strategy's phase, without those that it does not read."""
    config = LocalConfig if entry.part == "decoder" else PretrainConfig
    return without(config(**{"steps": 6, "images": 24, **changes}), entry.unread)


def pretraining_task(
    name: str, *, net: SegmentationNet | None = None, seed: int = 0, options: dict[str, Any] | None = None, **changes: Any
) -> tuple[SegmentationNet, Task]:
    """A network and the task of a strategy that trains it; ``changes`` are settings."""
    entry, net = strategies()[name], net or network()
    strategy = parse(entry.option_class(), options or {}, name)
    assert isinstance(strategy, Pretext)
    shown = pretraining.base.Slices(volumes()[0], pool(partitions=0 if "partitions" in entry.unread else 4))
    return net, strategy.task(net, shown, CPU, seed, pretrain_config(entry, **changes))


def finetuning_task(
    name: str,
    *,
    net: SegmentationNet | None = None,
    labelled: int = 2,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    **changes: Any,
) -> tuple[SegmentationNet, Task]:
    """A network and the task of a regime that trains it with the labels of some volumes; ``changes`` are settings."""
    entry, net = regimes()[name], net or network()
    regime = parse(entry.option_class(), options or {}, name)
    assert isinstance(regime, Regime)
    config = FinetuneConfig(**{"steps": 6, "batch": 6, **changes})
    return net, regime.task(net, labelled_slices(labelled, unlabelled=entry.unlabelled), CPU, seed, config)


def labelled_slices(labelled: int = 2, *, unlabelled: bool = False) -> finetuning.base.Slices:
    """The first volumes with their labels, and the others, if wanted, without."""
    images, labels = volumes()
    n = labelled * DEPTH
    return finetuning.base.Slices(images[:n], labels[:n], images[n:] if unlabelled else images[:0])


@dataclass(frozen=True)
class Here:
    """A run by folder."""

    folder: Path
    label: str = "a run"
    key: str = "key"


def trained(
    task: Task, folder: Path, steps: int, *, rate: float = 1e-3, fail_at: int | None = None, checkpoint_every: int = 2
) -> Task:
    """A task after so many steps of the training loop, with checkpoints; RuntimeError at step ``fail_at``."""

    def losses(step: int) -> dict[str, Tensor]:
        if step == fail_at:
            raise RuntimeError("the power went")
        return task.losses(step)

    broken = replace(task, losses=losses)
    train(Here(folder), broken, steps=steps, schedule=Schedule(rate, steps), checkpoint_every=checkpoint_every)
    return task


def loss_of(task: Task, steps: Callable[[], range]) -> float:
    """Mean loss of some steps, nothing trained."""
    with torch.no_grad():
        return float(torch.stack([sum(task.losses(s).values(), torch.zeros(())) for s in steps()]).mean())


def falls(task: Task, folder: Path, steps: int, *, rate: float = 1e-3) -> float:
    """By which factor a training of so many steps changes the loss, both measured on steps that it does not see."""

    def unseen() -> range:
        return range(10_000, 10_010)

    before = loss_of(task, unseen)
    return loss_of(trained(task, folder, steps, rate=rate, checkpoint_every=steps), unseen) / before
