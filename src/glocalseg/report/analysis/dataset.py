"""From score rows to cells and declared comparisons, each family of them corrected by itself.

The families: the primary comparison alone, at the smallest budget; the claims; every candidate against random weights; and the
controls, each against what it is a control of. What is declared and has no runs is compared all the same, and found missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.evaluation.metrics import METRICS, PRIMARY
from glocalseg.evaluation.statistics.arrays import MIN_REPEATS, Array, dense, generator, repeat_means, subject_scores
from glocalseg.evaluation.statistics.intervals import mean_of
from glocalseg.evaluation.statistics.verdicts import compare
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import MISSING, Cell, Compared, DatasetAnalysis, Family
from glocalseg.report.analysis.mixed import Devices, devices_of, mixed
from glocalseg.report.collected.collect import Collected
from glocalseg.report.collected.ledger import prices
from glocalseg.report.text.about.methods import is_control
from glocalseg.report.text.fact import listed
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, budget_order

MIN_SUBJECTS = 2  # of one nobody knows how much subjects vary
Pair = tuple[str, str, str]  # method, other, budget
Groups = Mapping[tuple[str, str], pd.DataFrame]


def analyse(plan: Plan, collected: Collected) -> dict[str, DatasetAnalysis]:
    """The analysis of each data set of which any run finished, in the order of the benchmark."""
    dice, last = _dice(collected.scores), _dice(collected.last)
    found = {str(name): rows for name, rows in dice.groupby("dataset")}
    why = silent(plan.benchmark, {name: rows["subject"].nunique() for name, rows in found.items()})
    return {
        name: _analyse(plan, collected, name, found[name], last[last["dataset"] == name], why)
        for name in plan.benchmark.datasets
        if name in found
    }


def renamed(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs with those of all volumes called what they are: the upper bound."""
    return rows.assign(method=rows["method"].where(rows["budget"] != ALL, UPPER_BOUND))


def _dice(scores: pd.DataFrame) -> pd.DataFrame:
    return renamed(scores[scores["metric"] == PRIMARY])


def _analyse(
    plan: Plan, collected: Collected, dataset: str, dice: pd.DataFrame, last: pd.DataFrame, why: str
) -> DatasetAnalysis:
    b = plan.benchmark
    structures = tuple(plan.cards[dataset].structures[i] for i in sorted(plan.cards[dataset].structures))
    repeats = tuple(repeat.name for repeat in b.all_repeats)
    own = [job for job in plan.of("finetune") if job.dataset == dataset]
    planned = frozenset((UPPER_BOUND if job.budget == ALL else job.name, str(job.budget)) for job in own)
    budgets = tuple(sorted({budget for _, budget in planned} - {ALL}, key=budget_order))
    people = tuple(sorted(dice["subject"].unique()))
    found = _cells(b, people, budgets, dataset, dice, last, structures)
    methods = tuple(m.id for m in b.methods)
    bare = DatasetAnalysis(
        dataset, b.statistics, people, repeats, methods, references(b), frozenset(m.id for m in b.methods if m.other_seeds),
        budgets, structures, found, planned, prices(collected.ledger, dataset), b.primary, (), why,
    )  # fmt: skip
    devices = devices_of(collected.timings, dataset)
    compared = [c for family, pairs in _families(b, bare) for c in _compare(bare, family, pairs, devices)]
    return DatasetAnalysis(**{**vars(bare), "comparisons": tuple(compared)})


def silent(b: Benchmark, subjects: Mapping[str, int]) -> str:
    """Why a benchmark gives no verdicts, of none of its data sets; empty if it does.

    Args:
        subjects: how many test subjects have scores, by data set.
    """
    repeats = b.all_repeats
    if len(repeats) < MIN_REPEATS:
        count = f"{len(repeats)} repeat{'s' if len(repeats) > 1 else ''}"
        return f"This run is too small to compare methods: it has {count}, and {MIN_REPEATS} are the fewest that can tell"
    if alone := [name for name, count in subjects.items() if count < MIN_SUBJECTS]:
        few = f"{listed(alone)} has one test subject, and {MIN_SUBJECTS} are the fewest that can tell"
        return f"This run is too small to compare methods: {few}"
    parts = [[r.draw for r in repeats], [r.pretraining for r in repeats], [r.finetuning for r in repeats]]
    if any(len(set(part)) < len(part) for part in parts):
        return (
            "This run is not made to compare methods: its repeats share choices of labelled volumes or seeds, and those that do "
            "are not independent, so that intervals are narrower than they should be"
        )
    return ""


def references(b: Benchmark) -> dict[str, str]:
    """What every control is held against: random weights; the same method, where it is that once more with other seeds."""
    found = {}
    for m in b.methods:
        if m.id != BASELINE and is_control(m):
            twin = next(
                (o.id for o in b.methods if o is not m and not o.other_seeds and _made_of(o) == _made_of(m)), BASELINE
            )
            found[m.id] = twin if m.other_seeds else BASELINE
    return found


def _made_of(method: Method) -> tuple[object, ...]:
    return (method.global_, method.local, method.regime, method.set_)


def _cells(
    b: Benchmark,
    subjects: Sequence[str],
    budgets: Sequence[str],
    dataset: str,
    dice: pd.DataFrame,
    last: pd.DataFrame,
    structures: Sequence[str],
) -> dict[tuple[str, str], Cell]:
    """Every cell, in the order of budgets, and of methods in each."""
    confidence = b.statistics.confidence
    places = {repeat.name: i for i, repeat in enumerate(b.all_repeats)}

    def arrays(rows: pd.DataFrame) -> dict[tuple[str, str], Array]:
        """Averaged once for all cells; grouping cell by cell takes most of the time otherwise."""
        means = subject_scores(rows).assign(repeat=lambda table: table["repeat"].map(places))
        return {
            (str(method), str(budget)): dense(own, subjects, range(len(places)))
            for (method, budget), own in means.groupby(["method", "budget"], sort=False)
        }

    single = {s: arrays(rows) for s in structures if len(rows := dice[dice["structure"] == s])}
    ends = arrays(last) if len(last) else {}
    found = arrays(dice)
    order = [(m, n) for n in [*budgets, ALL] for m in [*(m.id for m in b.methods), UPPER_BOUND] if (m, n) in found]
    return {
        key: Cell(
            dataset, *key, found[key],
            {s: of[key] for s, of in single.items() if key in of}, ends.get(key), mean_of(found[key], confidence=confidence),
            {s: mean_of(of[key], confidence=confidence) for s, of in single.items() if key in of},
        )
        for key in order
    }  # fmt: skip


def _families(b: Benchmark, a: DatasetAnalysis) -> Iterator[tuple[Family, list[Pair]]]:
    """The declared pairs of cells that there should be, by family."""

    def meant(pairs: Iterable[Pair]) -> list[Pair]:
        return [(m, other, n) for m, other, n in pairs if a.meant(m, n) and a.meant(other, n)]

    if b.primary and a.budgets:
        yield "primary", meant([(*b.primary, a.budgets[0])])
    yield "claims", meant((*pair, n) for n in a.budgets for pair in b.claims)
    if BASELINE in a.methods:
        yield "random", meant((m, BASELINE, n) for n in a.budgets for m in a.candidates)
        held = [*a.references.items(), *([(UPPER_BOUND, BASELINE)] if b.upper_bound else [])]
        yield "controls", meant((m, other, n) for n in a.budgets for m, other in held)


def _compare(a: DatasetAnalysis, family: Family, pairs: list[Pair], devices: Devices) -> Iterator[Compared]:
    found = compare(
        {(m, other, n): (a.scores(m, n), a.scores(other, n)) for m, other, n in pairs},
        margin=a.statistics.margin,
        confidence=a.statistics.confidence,
        rng=generator(a.statistics.seed, f"sign flips {a.dataset} {family}"),
    )
    for (method, other, budget), comparison in found.items():
        cells = [a.cell(method, budget), a.cell(other, budget)]
        complete = all(c is not None and c.complete for c in cells)
        verdict = None if a.silent else comparison.verdict if complete else MISSING
        differ = mixed(devices, (method, budget), (other, budget), a.repeats)
        yield Compared(family, method, other, budget, comparison, verdict, differ)


def repeat_table(a: DatasetAnalysis) -> pd.DataFrame:
    """Mean Dice over subjects per method, budget and repeat, and its paired gain over random weights: nothing hidden."""
    rows = []
    for (method, budget), cell in a.cells.items():
        gains = repeat_means(cell.scores - a.scores(BASELINE, budget))
        for repeat, dice, gain in zip(a.repeats, repeat_means(cell.scores), gains, strict=True):
            if np.isfinite(dice):
                rows.append({
                    "dataset": a.dataset, "method": method, "budget": budget, "repeat": repeat, "dice": dice, "gain": gain,
                })  # fmt: skip
    return pd.DataFrame(rows, columns=["dataset", "method", "budget", "repeat", "dice", "gain"])


def metric_summary(scores: pd.DataFrame) -> pd.DataFrame:
    """Every metric but the primary one by method, budget and structure, over all volumes and repeats.

    Values that do not exist (the truth lacks the structure) are left out. Columns: ``mean``, ``median``, ``sum``, ``values``.
    """
    rows = renamed(scores[scores["metric"] != PRIMARY])
    grouped = rows.groupby(["dataset", "method", "budget", "structure", "metric"], sort=False)["value"]
    return grouped.agg(["mean", "median", "sum", "count"]).rename(columns={"count": "values"}).reset_index()


def over_structures(scores: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, float]]:
    """What each metric but the primary one comes to over all structures, by dataset, method and budget: ``hd95_median``."""
    rows = renamed(scores[scores["metric"] != PRIMARY])
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for (dataset, method, budget, metric), values in rows.groupby(["dataset", "method", "budget", "metric"], sort=False)[
        "value"
    ]:
        if (entry := METRICS.get(str(metric))) is not None:
            summary = float(values.agg(entry.summary))
            found.setdefault((str(dataset), str(method), str(budget)), {})[f"{metric}_{entry.summary}"] = summary
    return found
