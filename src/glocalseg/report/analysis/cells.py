"""A method at a budget, two methods at a budget, and all of them for one data set: plain values that tables and figures read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from glocalseg.config.benchmark import StatisticsConfig
from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.intervals import Mean
from glocalseg.evaluation.statistics.verdicts import Comparison, Verdict
from glocalseg.report.collected.ledger import Price
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND

Family = Literal["primary", "claims", "random", "controls"]
MISSING: Literal["runs missing"] = "runs missing"


@dataclass(frozen=True)
class Cell:
    """One method at one budget of one data set.

    ``scores`` is the (subjects, repeats) array of Dice, NaN where a run is missing, ``structures`` the same of each structure;
    ``last`` that of the weights of the last step, where others were selected. ``mean`` and ``structure_means`` are their means.
    """

    dataset: str
    method: str
    budget: str
    scores: Array
    structures: Mapping[str, Array]
    last: Array | None
    mean: Mean
    structure_means: Mapping[str, Mean]

    @property
    def runs(self) -> int:
        """How many repeats have scores."""
        return self.mean.repeats

    @property
    def planned(self) -> int:
        """How many repeats there should be."""
        return self.scores.shape[1]

    @property
    def complete(self) -> bool:
        """Whether every planned run is in it; a mean over fewer repeats must not be set beside one over all."""
        return self.runs == self.planned


@dataclass(frozen=True)
class Compared:
    """A method against another at one budget, corrected within its family.

    ``verdict`` is ``runs missing`` where either cell is incomplete: the repeats that are left may be the easy ones. It is None
    where the benchmark says nothing at all (``DatasetAnalysis.silent``). ``mixed`` says how the compared runs differ in precision
    or kind of device, and is empty if they do not.
    """

    family: Family
    method: str
    other: str
    budget: str
    comparison: Comparison
    verdict: Verdict | Literal["runs missing"] | None
    mixed: str

    @property
    def held(self) -> bool:
        """Whether a difference was found."""
        return self.verdict in ("better", "worse")


@dataclass(frozen=True)
class DatasetAnalysis:
    """All cells and comparisons of one data set.

    ``people`` are the test subjects, in the order of the rows of every score array. ``budgets`` are those with labels to choose
    (not ``all``); ``planned`` are the (method, budget) that there should be runs of; ``references`` names, for every control, the
    method that it is held against; ``same_again`` are the controls that repeat their reference with other seeds. ``silent`` says
    why no verdict is given, and is empty where verdicts are.
    """

    dataset: str
    statistics: StatisticsConfig
    people: tuple[str, ...]
    repeats: tuple[str, ...]
    methods: tuple[str, ...]
    references: Mapping[str, str]
    same_again: frozenset[str]
    budgets: tuple[str, ...]
    structures: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]
    planned: frozenset[tuple[str, str]]
    prices: Mapping[tuple[str, str], Price]
    primary: tuple[str, str] | None
    comparisons: tuple[Compared, ...]
    silent: str

    @property
    def candidates(self) -> tuple[str, ...]:
        """The methods that are compared with random weights: neither those nor a control."""
        return tuple(m for m in self.methods if m != BASELINE and m not in self.references)

    @property
    def subjects(self) -> int:
        """How many test subjects there are."""
        return len(self.people)

    def cell(self, method: str, budget: str) -> Cell | None:
        """The cell of a method at a budget, if any of its runs finished; the upper bound's is the same at every budget."""
        return self.cells.get((method, ALL if method == UPPER_BOUND else budget))

    def meant(self, method: str, budget: str) -> bool:
        """Whether there should be runs of a method at a budget: not all of a grid, where several benchmarks were joined."""
        return (method, ALL if method == UPPER_BOUND else budget) in self.planned

    def scores(self, method: str, budget: str) -> Array:
        """The (subjects, repeats) Dice of a method at a budget, NaN throughout where no run finished."""
        cell = self.cell(method, budget)
        return cell.scores if cell else np.full((self.subjects, len(self.repeats)), np.nan)

    @property
    def upper(self) -> Cell | None:
        """The cell trained on all volumes."""
        return self.cells.get((UPPER_BOUND, ALL))

    def family(self, name: Family) -> tuple[Compared, ...]:
        """The comparisons of a family, in the order of budgets."""
        return tuple(c for c in self.comparisons if c.family == name)

    def against_random(self, method: str, budget: str) -> Compared | None:
        """The comparison of a method with random weights at a budget."""
        own = (*self.family("random"), *self.family("controls"))
        return next((c for c in own if (c.method, c.other, c.budget) == (method, BASELINE, budget)), None)

    def best(self, budget: str) -> Cell | None:
        """The complete cell with the highest mean at a budget, controls left out."""
        cells = [c for m in (*self.candidates, BASELINE) if (c := self.cell(m, budget)) and c.complete]
        return max(cells, key=lambda c: c.mean.interval.estimate, default=None)

    def price(self, budget: str, method: str | None = None) -> str:
        """What the labels of a method cost at a budget; without a method: of random weights, or of the first method there is."""
        names = [method] if method else [BASELINE, *self.methods]
        budget = ALL if method == UPPER_BOUND else budget
        return next((p.text for m in names if (p := self.prices.get((m, budget)))), budget)

    def own_price(self, budget: str, method: str) -> str:
        """What a method's labels cost where that is not what the column's head says; empty where it is."""
        price = self.price(budget, method)
        return price if (method, budget) in self.prices and price != self.price(budget) else ""
