"""Comparisons that nobody declared: every method against every other. They are for looking, and no sentence rests on them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from glocalseg.evaluation.statistics.arrays import generator
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
