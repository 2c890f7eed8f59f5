"""Which runs and test volumes are shown in pictures: by rule, never by hand.

What methods have in common decides, so that a picture favours none: ranks of cases and of subjects are by means over all
candidates and random weights, and the repeat is the middle one of those in which most of these have a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glocalseg.evaluation.metrics import PRIMARY
from glocalseg.evaluation.statistics.failures import FailedRun
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.analysis.failed import Failures, failures
from glocalseg.report.collected.collect import Collected
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND

BESIDE = 5  # methods beside random weights
FAILED = 6  # failed runs
WORST = 8  # cases of the worst subjects, over all budgets
_PLACES = ("best", "median", "worst")


@dataclass(frozen=True)
class Run:
    """A scored fine-tuning: where its predictions lie, and its Dice by volume, the mean over structures."""

    method: str
    budget: str
    repeat: str
    folder: Path
    dice: Mapping[str, float]

    @property
    def mean(self) -> float:
        """Over volumes."""
        return float(np.mean(list(self.dice.values())))


@dataclass(frozen=True)
class Case:
    """A test volume and the runs whose predictions of it are shown beside each other.

    ``rank`` is why it is shown: ``best``, ``median``, ``worst`` or ``only`` of the volumes, one of the worst ``subject``s, or its
    first run ``failed``, and ``failed`` says how; ``dice`` is what it is ranked by.
    """

    subject: str
    volume: str
    budget: str
    repeat: str
    runs: tuple[Run, ...]
    rank: str
    dice: float
    failed: FailedRun | None = None


class Runs:
    """All scored fine-tunings of a data set by (method, budget, repeat), and the subjects of their volumes."""

    def __init__(self, a: DatasetAnalysis, plan: Plan, collected: Collected) -> None:
        s = renamed(collected.scores)
        s = s[(s["metric"] == PRIMARY) & (s["dataset"] == a.dataset)]
        means = s.groupby(["method", "budget", "repeat", "volume"])["value"].mean().dropna()
        dice: dict[tuple[str, str, str], dict[str, float]] = {}
        for (method, budget, repeat, volume), value in means.items():
            dice.setdefault((method, budget, repeat), {})[volume] = float(value)
        folders = {
            (UPPER_BOUND if job.budget == ALL else job.name, str(job.budget), job.repeat.name): job.record.parent
            for job in plan.of("finetune")
            if job.repeat and job.dataset == a.dataset
        }
        self.a = a
        self.subject: dict[str, str] = dict(zip(s["volume"], s["subject"], strict=True))
        self.found = {key: Run(*key, folders[key], of) for key, of in dice.items() if key in folders}

    def at(self, budget: str, methods: Sequence[str]) -> dict[str, Run]:
        """The runs of methods in the middle repeat: of the repeats in which most of them have one, by their mean Dice."""
        of = {r: {m: run for m in methods if (run := self.found.get((m, budget, r)))} for r in self.a.repeats}
        most = max(map(len, of.values()), default=0)
        if not most:
            return {}
        means = {r: np.mean([run.mean for run in runs.values()]) for r, runs in of.items() if len(runs) == most}
        return of[sorted(means, key=lambda r: means[r])[(len(means) - 1) // 2]]


def compared(a: DatasetAnalysis) -> list[tuple[str, tuple[str, ...]]]:
    """The budgets that have runs, and all methods that are ranked there: random weights first, then the candidates.

    Where there are neither, controls; where no budget has a run, the upper bound.
    """
    for methods in ((BASELINE, *a.candidates), tuple(a.references)):
        own = [(n, tuple(m for m in methods if a.cell(m, n))) for n in a.budgets]
        if any(there for _, there in own):
            return [(n, there) for n, there in own if there]
    return [(ALL, (UPPER_BOUND,))] if a.upper else []


def columns(a: DatasetAnalysis, budget: str, methods: Sequence[str]) -> tuple[str, ...]:
    """The methods that are shown, in the benchmark's order: random weights, and the best of the others by their mean."""
    means = {m: cell.mean.interval.estimate for m in methods if m != BASELINE and (cell := a.cell(m, budget))}
    best = set(sorted(means, key=lambda m: -means[m])[:BESIDE])
    return tuple(m for m in methods if m == BASELINE or m in best)


def ranked(runs: Runs) -> tuple[Case, ...]:
    """The best, the median and the worst test volume at the smallest budget; fewer where there are fewer volumes."""
    for budget, methods in compared(runs.a)[:1]:
        own = runs.at(budget, methods)
        means = _means(list(own.values()))
        order = sorted(means, key=lambda v: -means[v])
        places = dict.fromkeys((0, len(order) // 2, len(order) - 1))
        names = _PLACES if len(places) == len(_PLACES) else ("best", "worst") if len(places) > 1 else ("only",)
        shown = [own[m] for m in columns(runs.a, budget, methods) if m in own]
        return tuple(
            _case(runs, order[i], shown, rank, means[order[i]]) for i, rank in zip(places, names, strict=True) if order
        )
    return ()


def worst(runs: Runs) -> tuple[Case, ...]:
    """At every budget the subjects with the lowest mean over ranked methods and all repeats, two or one of each budget.

    Of several volumes of a subject, the one with the lowest mean in the repeat that is shown.
    """
    budgets = compared(runs.a)[:WORST]
    found = []
    for budget, methods in budgets:
        own = runs.at(budget, methods)
        means, volumes = _subject_means(runs.a, budget, methods), _means(list(own.values()))
        shown = [own[m] for m in columns(runs.a, budget, methods) if m in own]
        for subject in sorted(means, key=lambda s: means[s])[: 2 if 2 * len(budgets) <= WORST else 1]:
            of = [v for v in volumes if runs.subject[v] == subject]
            if of:
                found.append(_case(runs, min(of, key=lambda v: volumes[v]), shown, "subject", means[subject]))
    return tuple(found)


def failed(runs: Runs) -> tuple[tuple[Case, ...], int]:
    """The failed runs that keep least of what their cell reaches, and how many there are in all.

    Each is shown at its median test volume, beside random weights in the same repeat if those trained, or else beside the same
    method in the middle one of the repeats that did.
    """
    a, of = runs.a, failures(runs.a)
    bad = [(cell, run) for cell in of.values() for run in cell.runs]
    bad.sort(key=lambda pair: pair[1].dice / pair[1].reference if pair[1].reference > 0 else 0.0)
    found = []
    for cell, failure in bad[:FAILED]:
        method, budget, repeat = cell.cell.method, cell.cell.budget, a.repeats[failure.repeat]
        run = runs.found.get((method, budget, repeat))
        if run:
            order = sorted(run.dice, key=lambda v: run.dice[v])
            volume = order[(len(order) - 1) // 2]
            beside = _healthy(runs, of, cell, failure.repeat)
            found.append(_case(runs, volume, [run, *beside], "failed", run.dice[volume], failure))
    return tuple(found), len(bad)


def subjects(cases: Sequence[Case]) -> tuple[str, ...]:
    """Whom some cases show."""
    return tuple(dict.fromkeys(case.subject for case in cases))


def _healthy(runs: Runs, of: Mapping[tuple[str, str], Failures], cell: Failures, place: int) -> list[Run]:
    """The run beside a failed one; none where no run of either kind trained."""
    method, budget = cell.cell.method, cell.cell.budget
    random = of.get((BASELINE, budget))
    same = runs.found.get((BASELINE, budget, runs.a.repeats[place]))
    if same and random and random.flags[place] == 0:
        return [same]
    trained = [r for r, flag in zip(runs.a.repeats, cell.flags, strict=True) if flag == 0]
    others = sorted((run for r in trained if (run := runs.found.get((method, budget, r)))), key=lambda run: run.mean)
    return others[(len(others) - 1) // 2 :][:1]


def _case(runs: Runs, volume: str, shown: Sequence[Run], rank: str, dice: float, failure: FailedRun | None = None) -> Case:
    there = tuple(run for run in shown if volume in run.dice)
    return Case(runs.subject[volume], volume, there[0].budget, there[0].repeat, there, rank, dice, failure)


def _means(runs: Sequence[Run]) -> dict[str, float]:
    """The mean over runs of every volume that all of them were scored on."""
    common = [v for v in runs[0].dice if all(v in run.dice for run in runs)] if runs else []
    return {v: float(np.mean([run.dice[v] for run in runs])) for v in common}


def _subject_means(a: DatasetAnalysis, budget: str, methods: Sequence[str]) -> dict[str, float]:
    stack = np.array([a.scores(m, budget) for m in methods]).swapaxes(0, 1).reshape(a.subjects, -1)
    return {s: float(np.nanmean(v)) for s, v in zip(a.people, stack, strict=True) if np.isfinite(v).any()}
