"""What a strategy is: a rule that draws views, and two masks that say which attract and which repel (DESIGN.md 4)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from glocalseg.config import ConfigError

EMPTY = -1  # a row that shows an image of zeros (D1, release)


@dataclass(frozen=True)
class Pool:
    """The slices that pretraining may draw. All (n,); ``row`` indexes the image tensor; ``partition`` is -1 for none.

    ``volume`` counts from 0 to ``volumes`` - 1; a number here, because asking the tensor would wait for the device.
    """

    row: Tensor
    volume: Tensor
    partition: Tensor
    position: Tensor
    partitions: int
    volumes: int

    def take(self, index: Tensor, view: Tensor) -> Views:
        """The views that show the pool's slices ``index`` (N,) as ``view`` (N,)."""
        return Views(self.row[index], view, self.volume[index], self.partition[index], self.position[index])


@dataclass(frozen=True)
class Views:
    """The N views of a batch, all (N,): ``slice`` is the row shown (-1: zeros), ``view`` 0 for the untouched original."""

    slice: Tensor
    view: Tensor
    volume: Tensor
    partition: Tensor
    position: Tensor

    def __len__(self) -> int:
        return len(self.slice)


def same(values: Tensor) -> Tensor:
    """(N, N) bool, True where two of the (N,) values are equal; the diagonal is True."""
    return values[:, None] == values[None, :]


class Strategy:
    """One contrastive strategy. A subclass is a frozen dataclass: its fields are its options, by name in a benchmark.

    Global strategies compare whole slices, local ones regions of decoder maps. Nothing here may ask a tensor for its values
    (``.item()``, ``nonzero``, a bool index, ``if tensor``): the step would wait for the device.
    """

    level: ClassVar[Literal["global", "local"]]

    def draw(self, pool: Pool, images: int, generator: torch.Generator) -> Views:
        """Views of one batch of about ``images`` images. Raises ConfigError if the pool is too small."""
        raise NotImplementedError

    def positives(self, views: Views) -> Tensor:
        """(N, N) bool: j is pulled towards i. The diagonal is False."""
        raise NotImplementedError

    def negatives(self, views: Views) -> Tensor:
        """Global: (N, N) bool, k is pushed from i. Local: (25, 25) bool on the CPU, region v of a map is pushed from region u.

        Local strategies are asked once, before the training: their negatives do not depend on the batch.
        """
        raise NotImplementedError


def load_strategy(name: str, options: Mapping[str, Any], *, level: Literal["global", "local"]) -> Strategy:
    """The strategy in ``pretraining/strategies/<name>.py`` with its options.

    Raises:
        ConfigError: if an option is unknown or has another type, or the strategy is of the other level.
    """
    module = importlib.import_module(f"glocalseg.pretraining.strategies.{name}")
    kind: type[Strategy] = module.STRATEGY
    if kind.level != level:
        raise ConfigError(f"methods: {level}: expected a {level} strategy, found {name!r}, which is {kind.level}")
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"strategies.{name}: expected one of {', '.join(known) or 'no options'}, found {key!r}")
        expected = known[key].metadata.get("choices")
        if expected is not None and value not in expected:
            raise ConfigError(f"strategies.{name}.{key}: expected one of {', '.join(map(str, expected))}, found {value!r}")
        if expected is None and not isinstance(value, int | float):
            raise ConfigError(f"strategies.{name}.{key}: expected a number, found {value!r}")
    return kind(**options)
