"""Comparisons that nobody declared: every method against every other, and variants of a method beside it.

They are for looking, and no sentence rests on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.evaluation.statistics.arrays import generator
from glocalseg.evaluation.statistics.intervals import Gain, gain_of
from glocalseg.evaluation.statistics.verdicts import Comparison, Verdict, compare
from glocalseg.report.analysis.cells import MISSING, DatasetAnalysis


@dataclass(frozen=True)
class Duel:
    """Two methods at a budget, ``method`` minus ``other``; the verdict as in ``Compared``."""

    method: str
    other: str
    budget: str
    comparison: Comparison
    verdict: Verdict | Literal["runs missing"] | None


@dataclass(frozen=True)
class Variant:
    """A method that changes settings (``changes``, by dotted path) of another, its ``twin``, at a budget.

    ``twin`` and ``gain`` over it are None where the benchmark has no method that is the same but for them.
    """

    method: str
    changes: Mapping[str, Any]
    twin: str | None
    budget: str
    gain: Gain | None


def pairwise(a: DatasetAnalysis) -> list[Duel]:
    """Every two methods of which any run finished, at every budget, all corrected as one family (max-T).

    The method is the one that the benchmark lists later, the other the earlier one.
    """
    pairs = {
        (method, other, n): (a.scores(method, n), a.scores(other, n))
        for n in a.budgets
        for other, method in combinations([m for m in a.methods if a.cell(m, n)], 2)
    }
    found = compare(
        pairs,
        margin=a.statistics.margin,
        confidence=a.statistics.confidence,
        rng=generator(a.statistics.seed, f"sign flips {a.dataset} pairwise"),
    )
    return [Duel(*key, comparison, _verdict(a, *key, comparison)) for key, comparison in found.items()]


def _verdict(
    a: DatasetAnalysis, method: str, other: str, budget: str, comparison: Comparison
) -> Verdict | Literal["runs missing"] | None:
    complete = all((cell := a.cell(m, budget)) is not None and cell.complete for m in (method, other))
    return None if a.silent else comparison.verdict if complete else MISSING


def variants(a: DatasetAnalysis, b: Benchmark) -> list[Variant]:
    """Every method whose line of the configuration changes settings, at every budget at which it ran."""
    return [_variant(a, b, m, n) for m in b.methods if m.set_ for n in a.budgets if a.cell(m.id, n)]


def _variant(a: DatasetAnalysis, b: Benchmark, m: Method, budget: str) -> Variant:
    twin = next((o.id for o in b.methods if not o.set_ and not o.other_seeds and o.chain == m.chain), None)
    gain = None
    if twin is not None and a.cell(twin, budget):
        gain = gain_of(a.scores(m.id, budget), a.scores(twin, budget), confidence=a.statistics.confidence)
    return Variant(m.id, m.set_, twin, budget, gain)
