"""The features of all slices of a store, computed once: all heads, in all repeats and with all budgets, start from them."""

from __future__ import annotations

import time

import numpy as np
import torch

from glocalseg.config.model import ConfigError
from glocalseg.data.slices.store import open_store
from glocalseg.data.splits.lists import Split
from glocalseg.networks.features import FrozenFeatures
from glocalseg.networks.light_head import FEATURES
from glocalseg.stages.opening import Inputs, finish, require_weights
from glocalseg.stages.specs import FeaturesSpec, Place
from glocalseg.training.device import choose_device
from glocalseg.training.randomness import seed_of

BATCH = 16  # slices


def extract(spec: FeaturesSpec, place: Place) -> None:
    """Write ``features.npy``, (N, C, h, w) float16 as ``images.npy`` of the store has the slices, and seal the folder.

    Raises:
        CorruptedError: if the store or the bought-in weights are missing, changed, or not those of the specification.
        ConfigError: if the network is no vision transformer, or its features are no numbers that float16 holds.
    """
    started = time.perf_counter()
    place.require(data=spec.data, start=None)
    require_weights(spec, place)
    assert place.data is not None
    store = open_store(place.data)
    device = choose_device(spec.network.precision, spec.threads)
    net = FrozenFeatures(
        spec.network.encoder.removeprefix("timm:"),
        size=store.size,
        blocks=spec.blocks,
        upsampling=spec.upsampling,
        weights=place.weights,
        seed=seed_of(spec.seed, "weights"),
        statistics=spec.network.input_statistics,
    ).to(device.device)
    place.folder.mkdir(parents=True, exist_ok=True)
    shape = (len(store.images), net.channels, *net.tokens)
    part = place.folder / f".{FEATURES}.part"  # larger than the memory, perhaps
    found = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
    with torch.inference_mode():
        for first in range(0, len(store.images), BATCH):
            shown = device.images(torch.from_numpy(np.array(store.images[first : first + BATCH]))[:, None])
            with device.autocast():
                values = net(shown)
            half = values.to(torch.float16).cpu()
            if not torch.isfinite(half).all():
                raise ConfigError(
                    f"network: encoder: expected features that float16 holds, found others of {spec.network.encoder!r}"
                )
            found[first : first + BATCH] = half.numpy()
    found.flush()
    del found
    part.rename(place.folder / FEATURES)
    inputs = Inputs(place, store, Split((), (), (), ()), device, None, started)
    finish(spec, inputs, timing={}, more={"shape": list(shape)})
