"""Look at what a pretraining learned, without labels: position probe, same-place test, embeddings for the report."""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glocalseg.methods.pretraining.diagnostics import position_r2, same_place_share
from glocalseg.networks.build import local_blocks
from glocalseg.networks.unet import SegmentationNet
from glocalseg.records.files import write_json
from glocalseg.stages.opening import Inputs, finish, open_inputs
from glocalseg.stages.partitions import partitions_of
from glocalseg.stages.specs import DiagnoseSpec, Place
from glocalseg.training.randomness import seed_of

PROBE_VOLUMES = 40  # of the pretraining pool; the validation subjects are held out
PAIRS = 200
BATCH = 64


def diagnose(spec: DiagnoseSpec, place: Place) -> None:
    """Write ``diagnostics.json`` and ``embeddings.npz`` of one pretraining, or of random weights, and seal the folder.

    The probe is fitted on volumes of the pretraining pool and scored on the validation subjects; no test subject is looked at.

    Raises:
        CorruptedError, ConfigError: as ``open_inputs``.
    """
    inputs = open_inputs(spec, spec.split, place, steps=0)
    began = time.perf_counter()
    net = copy.deepcopy(inputs.network(spec, running_averages=False))
    rng = np.random.default_rng(seed_of(spec.seed, "diagnose"))
    held_out = {inputs.store.known[v].subject for v in inputs.split.validation}
    pool = [v for v in inputs.split.pretrain if inputs.store.known[v].subject not in held_out]
    fitted = tuple(rng.permutation(pool)[:PROBE_VOLUMES])
    volumes = (*fitted, *inputs.split.validation)
    known = [inputs.store.known[v] for v in volumes]
    depths = [v.depth for v in known]
    volume, subject = (np.repeat(np.array(names), depths) for names in (volumes, [v.subject for v in known]))
    flat, mean, maps = _features(net, inputs, volumes, local_blocks(net, spec.blocks))
    partition = partitions_of(inputs.store, volumes, spec.partitions, spec.partition_bounds)
    position = inputs.store.positions(volumes).astype(np.float32)
    held = np.isin(volume, inputs.split.validation)
    first, second = _unrelated(volume, partition, rng)
    result = {
        "position_r2": position_r2(flat[~held], position[~held], flat[held], position[held]),
        "same_place": same_place_share(maps[first], maps[second]) if len(first) else None,
        "same_place_chance": 1 / (maps.shape[2] * maps.shape[3]),
        "probe_slices": int((~held).sum()),
        "held_out_slices": int(held.sum()),
    }
    write_json(place.folder / "diagnostics.json", result)
    np.savez_compressed(
        place.folder / "embeddings.npz",
        features=mean,
        position=position,
        partition=partition,
        volume=volume,
        subject=subject,
    )
    finish(spec, inputs, timing={"test_seconds": time.perf_counter() - began}, more={"diagnostics": result})


def _features(
    net: SegmentationNet, inputs: Inputs, volumes: tuple[str, ...], blocks: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], Tensor]:
    """Of every slice: the flattened bottleneck (n, D), its mean over the map (n, C), and the decoder's map (n, C_l, h, w).

    Batch norm uses batch statistics, as it does when fine-tuning begins, so that random weights are judged alike; slices are
    dealt out to the batches in turn, so that every batch holds all positions.
    """
    images = inputs.images(volumes)
    batches = [torch.arange(i, len(images), -(-len(images) // BATCH)) for i in range(-(-len(images) // BATCH))]
    order = torch.cat(batches).argsort()
    net.train()
    flat, mean, maps = [], [], []
    with torch.no_grad():
        for batch in batches:
            with inputs.device.autocast():
                features = net.encoder(images[batch.to(images.device)])
                decoded = net.decoder(features, blocks)
            bottom = features[-1].float()
            flat.append(bottom.flatten(1).cpu())
            mean.append(bottom.mean(dim=(2, 3)).cpu())
            maps.append(decoded.float().cpu())
    return torch.cat(flat)[order].numpy(), torch.cat(mean)[order].numpy(), torch.cat(maps)[order]


def _unrelated(
    volume: NDArray[np.str_], partition: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Up to PAIRS pairs of slices of different volumes and different partitions."""
    first, second = rng.integers(len(volume), size=(2, 4 * PAIRS))
    apart = (volume[first] != volume[second]) & (partition[first] != partition[second])
    return first[apart][:PAIRS], second[apart][:PAIRS]
