"""Pretraining, whatever the strategy: open, let the strategy make its task, train, hand on (docs/method.md 4 and 5)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from glocalseg.data.slices.partition import NO_PARTITION
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.base import Pretext, Slices
from glocalseg.methods.pretraining.batches.pool import Pool
from glocalseg.networks.build import local_blocks
from glocalseg.networks.unet import SegmentationNet
from glocalseg.networks.weights import FILE, parts_of, pretrained_tensors, save_weights
from glocalseg.stages.opening import Inputs, finish, open_inputs
from glocalseg.stages.partitions import partitions_of
from glocalseg.stages.specs import Place, PretrainSpec
from glocalseg.training.loop import Schedule, train
from glocalseg.training.task import Task


def pretrain(spec: PretrainSpec, place: Place) -> None:
    """Train one pretraining and seal its folder: ``weights.safetensors``, ``log.csv`` and its record.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``; ConfigError also as the strategy's ``task``.
        DivergedError, Interrupted: as ``train``.
    """
    config = spec.config
    inputs = open_inputs(spec, spec.split, place, steps=config.steps)
    net = starting_network(spec, inputs)
    task = make_task(spec, inputs, net)
    seconds, rate = train(
        place,
        task,
        steps=config.steps,
        schedule=Schedule(config.learning_rate, config.steps),
        checkpoint_every=config.checkpoint_every,
    )
    blocks = local_blocks(net, getattr(config, "blocks", None))
    parts = parts_of(strategies()[spec.strategy].part or "encoder", blocks)
    save_weights(pretrained_tensors(net, parts, inputs.start_names()), place.folder / FILE)
    timing = {"train_seconds": seconds, "images_per_second": rate}
    finish(spec, inputs, timing=timing, more={"pool": list(inputs.split.pretrain)})


def starting_network(spec: PretrainSpec, inputs: Inputs) -> SegmentationNet:
    """The network on the device as the pretraining finds it: running averages come with the weights that it starts from."""
    return inputs.network(spec, running_averages=True)


def make_task(spec: PretrainSpec, inputs: Inputs, net: SegmentationNet) -> Task:
    """The task of the specification's strategy on the pool's slices. Raises ConfigError."""
    strategy: Pretext = strategies()[spec.strategy].option_class().model_validate(spec.options)  # type: ignore[assignment]
    config = spec.config
    reads = "partitions" in config.__dict__
    volumes = inputs.split.pretrain
    partitions = partitions_of(inputs.store, volumes, config.partitions, config.partition_bounds) if reads else None
    slices = Slices(inputs.images(volumes), pool_of(inputs, volumes, partitions, config.partitions if reads else 0))
    return strategy.task(net, slices, inputs.device, spec.seed, config)


def pool_of(inputs: Inputs, volumes: tuple[str, ...], labels: NDArray[np.int64] | None, partitions: int) -> Pool:
    """The slices of volumes as a pool whose rows index ``inputs.images(volumes)``; ``labels`` None: in no partition."""
    depths = [inputs.store.known[v].depth for v in volumes]
    slices, to = sum(depths), inputs.device.device
    return Pool(
        row=torch.arange(slices, device=to),
        volume=torch.tensor(np.repeat(np.arange(len(volumes)), depths), device=to),
        partition=torch.tensor(np.full(slices, NO_PARTITION) if labels is None else labels, device=to),
        position=torch.tensor(inputs.store.positions(volumes).astype(np.float32), device=to),
        partitions=partitions,
        volumes=len(volumes),
    )
