"""Where the diagnostics that methods declare begin and end, and their course, over repeats or seeds of a pretraining."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from glocalseg.methods.catalogue import Entry, regimes, strategies

TENTH = 10  # the beginning and the end are the first and the last tenth of the logged steps: one step alone is noise


@dataclass(frozen=True)
class Over:
    """A number over runs: its mean and its range."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Sign:
    """A declared diagnostic of one method (``name``) at a budget, empty for a pretraining.

    ``entry`` is the strategy or regime that declares it, ``sentence`` what it says is to be read from it; ``course`` is the mean
    over ``runs`` at every logged step.
    """

    phase: str
    name: str
    entry: Entry
    budget: str
    sign: str
    sentence: str
    first: Over
    last: Over
    course: pd.Series
    runs: int


def declared_signs(table: pd.DataFrame, dataset: str) -> list[Sign]:
    """All diagnostics of a data set's runs, pretraining first, each method's in the order in which it declares them.

    Args:
        table: as ``collected.signs``.
    """
    known = {**regimes(), **strategies()}
    own = table[table["dataset"] == dataset]
    found = []
    for (phase, name, entry, budget), rows in own.groupby(["phase", "name", "entry", "budget"], sort=False):
        for sign, sentence in known[str(entry)].diagnostics.items():
            there = rows[rows["sign"] == sign].pivot(index="step", columns="run", values="value")
            if there.notna().any(axis=None):
                first, last = (_over(_mean_of(there, part)) for part in ("head", "tail"))
                count = int(there.notna().any().sum())
                key = str(phase), str(name), known[str(entry)], str(budget)
                found.append(Sign(*key, sign, sentence, first, last, there.mean(axis=1), count))
    return sorted(found, key=lambda s: s.phase == "finetune")


def _mean_of(runs: pd.DataFrame, part: str) -> pd.Series:
    """The mean of every run over the first (``head``) or last (``tail``) tenth of the steps that it logged."""
    return runs.apply(lambda run: getattr(run.dropna(), part)(max(1, run.count() // TENTH)).mean())


def _over(values: pd.Series) -> Over:
    return Over(float(values.mean()), float(values.min()), float(values.max()))
