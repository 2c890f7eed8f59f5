"""The slices that pretraining may draw, and the views of a batch; a strategy is a rule about these."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

EMPTY = -1  # a row that shows an image of zeros (D1, release)


@dataclass(frozen=True)
class Pool:
    """The slices that pretraining may draw. All (n,); ``row`` indexes the image tensor; ``partition`` is -1 for none.

    ``volume`` counts from 0 to ``volumes`` - 1; a number here, because asking the tensor would wait for the device.
    ``partitions`` is 0, and every slice in none, for a strategy that does not read them.
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
