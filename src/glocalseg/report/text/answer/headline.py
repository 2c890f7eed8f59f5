"""The first sentences of the page: what the declared comparisons say, in at most two sentences for a data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import MISSING, Compared, DatasetAnalysis
from glocalseg.report.analysis.worth import smallest
from glocalseg.report.tables.table import bracket, number, probability, signed
from glocalseg.report.text.fact import listed
from glocalseg.report.text.names import BASELINE, display

_WORDS = {"better": "scores higher than", "worse": "scores lower than", "equivalent": "scores as much as"}
_AGAINST = {"better": "than", "worse": "than", "equivalent": "to"}
_NAMED = 3  # methods that a sentence lists at a number of labelled volumes


def headline(a: DatasetAnalysis) -> list[str]:
    """One or two rich sentences: the primary comparison, then what became of all methods against random weights.

    A benchmark that cannot compare says that it cannot, and how far its methods lie apart.
    """
    if a.silent:
        return [f"{a.silent}.", *_apart(a)]
    return [*_primary(a), *_family(a)]


def _primary(a: DatasetAnalysis) -> list[str]:
    """The verdict with its gain; undecided: what could have been found."""
    if not a.family("primary"):
        return ["No primary comparison: none is declared of methods that the benchmark has."]
    (c,) = a.family("primary")
    here, where = display(c.method), f"with {volumes(a, c.budget)}"
    if c.verdict == MISSING:
        return [f"{here} against {display(c.other)} {where}, the primary comparison, is left open: runs are missing."]
    gain = c.comparison.gain
    numbers = f"gain {said(gain.mean.interval)} Dice, p {p_value(c.comparison.p)}, {gain.mean.repeats} repeats"
    if c.verdict in _WORDS:
        margin = f", within ±{a.statistics.margin:g}" if c.verdict == "equivalent" else ""
        return [f"{here} {_WORDS[c.verdict]} {display(c.other)} {where} ({c.verdict}{margin}): {numbers}."]
    least = smallest(a, (c.method, c.other), c.budget)
    found = f"; this run could have found {number(least.estimate)}" if np.isfinite(least.estimate) else ""
    return [f"{here} against {display(c.other)} {where} is undecided: {numbers}{found}."]


def _family(a: DatasetAnalysis) -> list[str]:
    """What became of every candidate against random weights, by the number of labelled volumes."""
    family = a.family("random")
    if not family:
        return ["Nothing was compared with random weights: the benchmark has no other method, or not them."]
    corrected = f"corrected for all {len(family)} comparisons"
    if len(said := {c.verdict for c in family}) == 1:
        (verdict,) = said
        if verdict == MISSING:
            return [f"Against {display(BASELINE)} everything is left open: runs are missing."]
        gains = f"gain {_reach(family)}, " if verdict in _WORDS else ""
        who = display(family[0].method) if len({c.method for c in family}) == 1 else "every method"
        whole = f"{who} is {verdict} {_AGAINST.get(str(verdict), 'against')} {display(BASELINE)}"
        if len(budgets := {c.budget for c in family}) == 1:
            return [f"With {volumes(a, budgets.pop())}, {whole} ({gains}{corrected})."]
        return [f"{whole[0].upper()}{whole[1:]}, whatever the number of labelled volumes ({gains}{corrected})."]
    at = [f"with {volumes(a, n)}, {_at([c for c in family if c.budget == n])}" for n in a.budgets]
    return [f"Against {display(BASELINE)}, {corrected}: {'; '.join(at)}."]


def volumes(a: DatasetAnalysis, budget: str) -> str:
    """A number of labelled volumes as it was paid for: ``1 labelled volume (+ 7 for selection)``."""
    more = a.price(budget).removeprefix(budget).strip().removeprefix("(").removesuffix(")")
    return f"{budget} labelled volume{'' if budget == '1' else 's'}{f' ({more})' if more else ''}"


def _at(own: Sequence[Compared]) -> str:
    """The verdicts at one number of labelled volumes, methods named where they are few."""
    parts = []
    for verdict in ("better", "worse", "equivalent", "undecided", MISSING):
        some = [c for c in own if c.verdict == verdict]
        if some:
            named = verdict in _WORDS and len(some) <= _NAMED and len(some) < len(own)
            count = "all" if len(some) == len(own) and len(own) > 1 else f"{len(some)} of {len(own)}"
            parts.append(
                (listed([display(c.method) for c in some]) if named else count)
                + f" {verdict}{f' ({_reach(some)})' if verdict in _WORDS else ''}"
            )
    return ", ".join(parts)


def _reach(some: Sequence[Compared]) -> str:
    """The smallest and the largest gain of some comparisons: ``+0.012 to +0.043``."""
    gains = sorted(c.comparison.gain.mean.interval.estimate for c in some)
    return " to ".join(dict.fromkeys((signed(gains[0]), signed(gains[-1]))))


def _apart(a: DatasetAnalysis) -> list[str]:
    """Where no verdict is given: how far the means of methods lie from random weights, none of it called."""
    gains = [c.comparison.gain.mean.interval.estimate for c in a.family("random")]
    there = [g for g in gains if np.isfinite(g)]
    if not there:
        return []
    return [
        f"Its means lie {signed(min(there))} to {signed(max(there))} Dice from {display(BASELINE)}; differences are shown with "
        "their intervals, and none is called."
    ]


def said(gain: Interval) -> str:
    """A gain with its interval: ``+0.021 [0.004, 0.038]``."""
    return f"{signed(gain.estimate)} {bracket(gain.low, gain.high)}"


def p_value(p: float) -> str:
    """``= 0.031`` or ``< 0.001``."""
    text = probability(p)
    return text if text.startswith("<") else f"= {text}"
