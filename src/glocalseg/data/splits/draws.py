"""Which volumes have labels in which draw: different sets of them, as long as there are enough (docs/method.md 2.3).

A draw is an order of the pool, one volume a subject; a budget takes its beginning, so budgets are nested. Draw k depends on the
draws before it, and on no later one: more draws keep the first ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PURPOSE = 1  # of the generators made here, beside the seed
ATTEMPTS = 300
MANY = 10**6  # sets, beyond any number of draws

Pool = tuple[tuple[str, ...], ...]  # the volumes of each subject


def draw_order(pool: Mapping[str, Sequence[str]], seed: int, draw: int) -> tuple[str, ...]:
    """The volumes of a draw in their order, one of each subject.

    With n subjects, the first n draws begin with n different subjects and end with n different ones, and so differ at budgets 1
    and n - 1. At the budgets between them, and in later draws, an order is drawn again while it begins with a set that an earlier
    draw has; if none of many will do, the one that keeps the smallest budgets apart is taken.

    Args:
        pool: volumes by subject, neither of them empty.
        draw: from 1.
    """
    return _draws(tuple(tuple(pool[subject]) for subject in pool), seed).order(draw)


def repeated_draws(orders: Sequence[Sequence[str]], budget: int) -> list[int]:
    """The draws, from 1, that label a set of volumes which an earlier one labels."""
    seen: set[frozenset[str]] = set()
    again = []
    for number, order in enumerate(orders, 1):
        chosen = frozenset(order[:budget])
        again += [number] if chosen in seen else []
        seen.add(chosen)
    return again


class _Draws:
    """The draws of a pool, made one after the other as they are asked for."""

    def __init__(self, pool: Pool, seed: int) -> None:
        import numpy as np

        self._pool, self._seed = pool, seed
        self._cycle = np.random.default_rng([seed, PURPOSE, 0]).permutation(len(pool))
        self._enough = _number_of_sets([len(volumes) for volumes in pool])
        self._orders: list[tuple[str, ...]] = []
        self._sets: list[NDArray[np.uint64]] = []  # of each order: a number for each of its beginnings, in whatever order

    def order(self, draw: int) -> tuple[str, ...]:
        """A draw, from 1."""
        while len(self._orders) < draw:
            self._add()
        return self._orders[draw - 1]

    def _add(self) -> None:
        import numpy as np

        draw, n = len(self._orders) + 1, len(self._pool)
        best: tuple[int, tuple[str, ...], NDArray[np.uint64]] | None = None
        for order in _candidates(self._pool, self._cycle, self._seed, draw):
            own = np.bitwise_xor.accumulate(np.array([_number_of(volume) for volume in order], np.uint64))
            met = np.zeros(n, bool)
            for earlier in self._sets:
                met |= own == earlier
            met &= self._enough >= draw  # where all sets are taken, one has to come again
            smallest = int(met.argmax()) if met.any() else n
            if best is None or smallest > best[0]:
                best = (smallest, order, own)
            if smallest == n:
                break
        assert best is not None
        self._orders.append(best[1])
        self._sets.append(best[2])


_draws = lru_cache(maxsize=16)(_Draws)


def _candidates(pool: Pool, cycle: NDArray[np.int64], seed: int, draw: int) -> Iterator[tuple[str, ...]]:
    """Orders for a draw, each from a generator of its own."""
    import numpy as np

    n = len(pool)
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([seed, PURPOSE, draw, attempt])
        order = rng.permutation(n)
        if draw <= n and n > 1:
            first, last = cycle[draw - 1], cycle[draw - 2]
            order = np.array([first, *(s for s in order if s not in (first, last)), last])
        which = rng.random(n)
        yield tuple(pool[s][int(which[s] * len(pool[s]))] for s in order)


@lru_cache(maxsize=100_000)
def _number_of(volume: str) -> int:
    return int.from_bytes(hashlib.sha256(volume.encode()).digest()[:8], "big")


def _number_of_sets(volumes: list[int]) -> NDArray[np.int64]:
    """How many sets of one volume each of b subjects there are, for b = 1 ... n; at most MANY."""
    import numpy as np

    sets = np.zeros(len(volumes) + 1, np.int64)
    sets[0] = 1
    for count in volumes:
        sets[1:] = np.minimum(sets[1:] + count * sets[:-1], MANY)
    return sets[1:]
