"""From score rows to arrays of (subjects, repeats), and random numbers that depend on a purpose alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # a training job imports no pandas
    import pandas as pd

Array = NDArray[np.float64]
RUN = ["dataset", "method", "budget", "repeat"]
MIN_REPEATS = 6  # of five repeats even the most extreme outcome has an exact p value of 2 / 2**5 = 0.0625
ROUNDING = 1e-12  # a standard error or a variance below this is that of equal values


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on (seed, purpose) and on nothing else."""
    word = int.from_bytes(hashlib.sha256(purpose.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, word])


def subject_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """One value per run and subject: structures of a volume averaged, then volumes of the subject; NaN values skipped.

    Args:
        rows: score rows of one metric, with the columns of RUN, ``subject``, ``volume``, ``structure`` and ``value``.
    """
    volumes = rows.groupby([*RUN, "subject", "volume"], sort=False)["value"].mean()
    return volumes.groupby(level=[*RUN, "subject"], sort=False).mean().reset_index()


def dense(scores: pd.DataFrame, subjects: Sequence[str], repeats: Sequence[int]) -> Array:
    """Scores of one method and budget as an array (subjects, repeats) float64; NaN where there is no row.

    Args:
        scores: one row per run and subject (see ``subject_scores``), of one method and budget.
        subjects, repeats: the levels, in the order of the array's axes.

    Raises:
        KeyError: if a row's subject or repeat is not among the levels.
    """
    array = np.full((len(subjects), len(repeats)), np.nan)
    row, column = ({level: i for i, level in enumerate(levels)} for levels in (subjects, repeats))
    places = [row[s] for s in scores["subject"]], [column[r] for r in scores["repeat"]]
    array[places] = scores["value"].to_numpy()
    return array


def trim(scores: Array) -> Array:
    """The (subjects, repeats) array without subjects and repeats that have no value at all."""
    there = np.isfinite(scores)
    return scores[there.any(axis=1)][:, there.any(axis=0)]


def repeat_means(scores: Array) -> Array:
    """(repeats,) mean over the subjects that have a value; NaN for a repeat without any."""
    return level_means(scores, 1)


def level_means(scores: Array, axis: int) -> Array:
    """Mean per level of axis 0 (subjects) or 1 (repeats) of a (subjects, repeats) array; NaN for a level without values."""
    there = np.isfinite(scores)
    count = there.sum(axis=1 - axis)
    total = np.where(there, scores, 0.0).sum(axis=1 - axis)
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def paired(scores: Array, baseline: Array) -> Array:
    """``scores - baseline``, (subjects, repeats): NaN where either lacks a value.

    Raises:
        ValueError: if the shapes differ, for then nothing is paired.
    """
    if scores.shape != baseline.shape:
        raise ValueError(f"paired arrays: expected equal shapes, found {scores.shape} and {baseline.shape}")
    return scores - baseline
