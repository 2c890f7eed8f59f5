"""The report's tables of declared comparisons, a family each, and of the smallest gain that they could have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from glocalseg.config.benchmark import Benchmark
from glocalseg.report.analysis.cells import Compared, DatasetAnalysis, Family
from glocalseg.report.analysis.worth import Findable, findable
from glocalseg.report.tables.compared.pairwise import pairwise_table
from glocalseg.report.tables.compared.variants import variants_table
from glocalseg.report.tables.table import (
    Digits,
    Entry,
    Table,
    blocks,
    columns,
    digits_of,
    frame,
    labelled,
    number,
    probability,
    sort_key,
    with_interval,
)
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display

Analyses = Mapping[str, DatasetAnalysis]
_TONE = {"better": "better", "worse": "worse", "runs missing": "missing"}
COLUMNS = ["dataset", "family", "method", "baseline", "budget"]
COMMON = (
    "Paired on the same subjects and repeats. Gain: mean difference in Dice; in brackets its {confidence:.0%} interval over "
    "subjects and repeats, which is not corrected. Typical: the Hodges-Lehmann estimate over the repeats, which one wild repeat "
    "moves little."
)
_WINS = (
    "Subject wins: share of (subject, repeat) with the higher Dice. Repeat wins: repeats whose mean over subjects is higher."
)
_JUDGED = (
    "p: exact, by turning the signs of the repeats; adjusted for all comparisons of this table. Equivalent: the interval "
    "lies within ±{margin:g}; undecided is no evidence of equality. No verdict is given where runs are missing: the repeats that "
    "are left may be the easy ones. ‡: the compared runs differ in precision or kind of device, which may shift scores by itself."
)
_TITLES: dict[Family, tuple[str, str, str]] = {  # name of the table, its title, what the family is
    "primary": (
        "primary", "The primary comparison",
        "Declared before the run as what it is made to tell, at the smallest number of labelled volumes; not corrected, as it "
        "is one.",
    ),
    "claims": ("claims", "What is claimed", "Comparisons of methods with one another, declared before the run."),
    "random": ("comparisons", "Every method against random weights", "Each candidate, at every number of labelled volumes."),
    "controls": (
        "controls", "Controls, each beside what it is held against",
        "Rows that are no candidates, each beside what it is a control of. The same with other seeds: what chance alone gives, "
        "so that no difference should be found. Upper bound: random weights trained on all volumes, in as many repeats.",
    ),
}  # fmt: skip


def comparison_tables(analyses: Analyses, b: Benchmark, titles: dict[str, str]) -> list[Table]:
    """One table a family, every method against every other, variants of methods, and what could have been found."""
    return [
        *(_family(analyses, titles, family) for family in _TITLES),
        pairwise_table(analyses, titles),
        variants_table(analyses, b, titles),
        _power(analyses, titles),
    ]


def _family(analyses: Analyses, titles: dict[str, str], family: Family) -> Table:
    name, title, what = _TITLES[family]
    quiet = any(a.silent for a in analyses.values())
    margin = next((a.statistics.margin for a in analyses.values()), 0.0)
    confidence = next((a.statistics.confidence for a in analyses.values()), 0.95)
    every = [c.comparison.gain for a in analyses.values() for c in a.family(family)]
    own_cells = [cell for a in analyses.values() for c in a.family(family) if (cell := a.cell(c.method, c.budget))]
    digits = digits_of((g.mean.interval for g in every), differences=True), digits_of(c.mean.interval for c in own_cells)
    shown = {key: [_row(a, c, *digits) for c in a.family(family)] for key, a in analyses.items()}
    data = [_data(a, c) for a in analyses.values() for c in a.family(family)]
    own = ["Dice"] if family == "controls" else []
    wins = [] if family == "controls" else ["Subject wins", "Repeat wins"]
    header = ["Method", "Labelled volumes", "Against", *own, "Gain", "Typical gain"]
    tests = ["p"] if family == "primary" else ["p", "Adjusted p"]
    header += wins if quiet else [*tests, *wins, "Verdict"]
    sentences = [
        what,
        COMMON.format(confidence=confidence),
        *([_WINS] if wins else []),
        *([] if quiet else [_JUDGED.format(margin=margin)]),
    ]
    caption = " ".join(sentences)
    return Table(name, title, caption, frame(data, COLUMNS), blocks(titles, header, shown))


def _row(a: DatasetAnalysis, c: Compared, gains: Digits, scores: Digits) -> tuple[Entry, ...]:
    gain, cell = c.comparison.gain, a.cell(c.method, c.budget)
    mark = " ‡" if c.mixed else ""
    own, paid = a.price(c.budget, c.method), a.price(c.budget, c.other)
    start = [
        Entry(display(c.method), more="the same with other seeds" if c.method in a.same_again else ""),
        labelled(paid, c.budget, more="" if own == paid else f"{display(c.method)}: {own}"),
        Entry(display(c.other)),
    ]
    wins = [
        Entry(f"{100 * gain.wins:.0f}%" if np.isfinite(gain.wins) else "–", key=sort_key(gain.wins)),
        Entry(f"{gain.repeat_wins} of {gain.mean.repeats}", key=str(gain.repeat_wins)),
    ]
    if c.family == "controls":  # candidates are in the first table
        wins = []
        start.append(with_interval(cell.mean.interval, digits=scores) if cell else Entry("no run", tone="missing"))
    start += [
        with_interval(gain.mean.interval, sign=True, strong=c.held, digits=gains, runs=_runs(c)),
        with_interval(gain.typical, sign=True, digits=gains),
    ]
    if a.silent:
        return (*start, *wins)
    p, corrected = c.comparison.p, c.comparison.corrected
    tests = [Entry(probability(p), key=sort_key(p)), Entry(probability(corrected), key=sort_key(corrected))]
    if c.family == "primary":  # one comparison: nothing to adjust for
        tests = tests[:1]
    verdict = c.verdict or "–"
    return (*start, *tests, *wins, Entry(verdict + mark, more=c.mixed, tone=_TONE.get(verdict, "")))


def _runs(c: Compared) -> tuple[str, str]:
    return c.method, ALL if c.method == UPPER_BOUND else c.budget


def _data(a: DatasetAnalysis, c: Compared) -> dict[str, object]:
    gain = c.comparison.gain
    nothing = bool(a.silent)
    return {
        "dataset": a.dataset, "family": c.family, "method": c.method, "baseline": c.other, "budget": c.budget,
        **columns("gain", gain.mean.interval), **columns("typical_gain", gain.typical),
        "p": np.nan if nothing else c.comparison.p, "p_corrected": np.nan if nothing else c.comparison.corrected,
        "subject_wins": gain.wins, "repeat_wins": gain.repeat_wins, "repeats": gain.mean.repeats, "verdict": c.verdict or "",
        "runs_differ": c.mixed,
    }  # fmt: skip


def _power(analyses: Analyses, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {}
    data: list[dict[str, object]] = []
    for name, a in analyses.items():
        found = [] if a.silent else findable(a)
        shown[name] = [_power_row(a, f) for f in found]
        data += [row for f in found for row in _power_data(a, f)]
    primary = next((a.primary for a in analyses.values() if a.primary), None)
    alone = f"{display(primary[0])} against {display(primary[1])}" if primary else "Primary"
    caption = (
        "The smallest true gain in Dice that these repeats and subjects find in 80% of benchmarks like this, from the variation "
        "that was measured. Alone: as one declared comparison, with its interval (a few repeats know their variation badly). In "
        "the family: with the correction for all methods and budgets, the smallest and the largest of all methods. It says what "
        "could have been found, and nothing about what was."
    )
    header = ("Labelled volumes", f"{alone}, alone", "In the family, from", "to")
    table = frame(data, COLUMNS)
    return Table("power", "The smallest gain that could have been found", caption, table, blocks(titles, header, shown))


def _power_row(a: DatasetAnalysis, f: Findable) -> tuple[Entry, ...]:
    there = {m: i.estimate for m, i in f.candidates.items() if np.isfinite(i.estimate)}
    ordered = sorted(there, key=there.__getitem__)
    ends = [Entry(number(there[m]), more=display(m), key=sort_key(there[m])) for m in (*ordered[:1], *ordered[-1:])] or [
        Entry("–")
    ] * 2
    return (labelled(a.price(f.budget), f.budget), with_interval(f.alone) if f.alone else Entry("–"), *ends)


def _power_data(a: DatasetAnalysis, f: Findable) -> Sequence[dict[str, object]]:
    start = {"dataset": a.dataset, "budget": f.budget}
    rows: list[dict[str, object]] = []
    if f.alone and a.primary:
        named = {"method": a.primary[0], "baseline": a.primary[1], "comparisons": 1}
        rows.append({**start, **named, **columns("smallest_gain", f.alone)})
    for method, gain in f.candidates.items():
        rows.append(
            {**start, "method": method, "baseline": BASELINE, "comparisons": f.family, **columns("smallest_gain", gain)}
        )
    return rows
