"""The report's tables of runs that failed, of scores without them, and of cells that are not done learning."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.evaluation.statistics.failures import FAR_SHARE, LOST, LOST_SHARE, FailedRun
from glocalseg.evaluation.statistics.rising import LEAST
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.analysis.failed import Failures, failures
from glocalseg.report.analysis.worth import rises
from glocalseg.report.collected.collect import Collected
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
RULE = (
    f"A run failed if it lost a structure (its mean Dice over the test subjects is below {LOST:g}, or below {LOST_SHARE:.0%} of "
    f"its reference), or is far below its cell (its mean Dice is below {FAR_SHARE:.0%} of its reference); the reference is the "
    "upper quartile of all runs of the method and budget."
)
_KEYS = ["dataset", "method", "budget"]


def failure_tables(analyses: Analyses, plan: Plan, collected: Collected, titles: dict[str, str]) -> list[Table]:
    """Shares, the list, conditional scores, and validation that still rises."""
    found = {name: failures(a) for name, a in analyses.items()}
    return [
        _shares(analyses, found, titles),
        _list(analyses, found, plan, titles),
        _conditional(analyses, found, titles),
        _rising(analyses, collected, titles),
    ]


Found = Mapping[str, Mapping[tuple[str, str], Failures]]


def _shares(analyses: Analyses, found: Found, titles: dict[str, str]) -> Table:
    shown = {name: [_share(analyses[name], f) for f in of.values() if _concerned(of, f)] for name, of in found.items()}
    data = [_share_data(f) for of in found.values() for f in of.values()]
    header = ("Method", "Labelled volumes", "Failed", "Share", "Failed here alone", "Random init alone", "p")
    caption = (
        f"{RULE} Failed runs are in all averages. Methods and numbers of volumes that are not listed lost no run, nor did Random "
        "init beside them. Share: with Wilson's interval. p: McNemar's exact test of the repeats that "
        "failed with one of the method and Random init alone; not corrected, and none below six repeats."
    )
    return Table("failures", "Failed runs", caption, frame(data, _KEYS), blocks(titles, header, shown))


def _concerned(of: Mapping[tuple[str, str], Failures], f: Failures) -> bool:
    """Whether a run of the cell failed, or one of random weights beside it."""
    beside = of.get((BASELINE, f.cell.budget))
    return bool(f.runs) or bool(beside and beside.runs)


def _share(a: DatasetAnalysis, f: Failures) -> tuple[Entry, ...]:
    share, against = f.share, f.against
    return (
        Entry(display(f.cell.method)),
        labelled(a.price(f.cell.budget, f.cell.method), f.cell.budget),
        Entry(
            f"{len(f.runs)} of {f.cell.runs}",
            tone="missing" if f.runs else "",
            key=str(len(f.runs)),
            runs=(f.cell.method, f.cell.budget),
        ),
        Entry(f"{share.estimate:.0%}", interval=(f"{share.low:.0%}", f"{share.high:.0%}"), key=sort_key(share.estimate)),
        Entry(str(against.method_only) if against else "–"),
        Entry(str(against.baseline_only) if against else "–"),
        Entry(probability(against.p) if against and not a.silent else "–"),
    )


def _share_data(f: Failures) -> dict[str, object]:
    against = f.against
    return {
        "dataset": f.cell.dataset, "method": f.cell.method, "budget": f.cell.budget, "runs": f.cell.runs,
        "failed_runs": len(f.runs), **columns("failed_share", f.share), "method_only": against.method_only if against else None,
        "random_only": against.baseline_only if against else None, "p": against.p if against else None,
    }  # fmt: skip


def _list(analyses: Analyses, found: Found, plan: Plan, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {name: [] for name in found}
    data: list[dict[str, object]] = []
    for name, of in found.items():
        a = analyses[name]
        for f in of.values():
            for run in f.runs:
                structure = a.structures[run.structure] if run.structure is not None else ""
                label, record = _named(plan, f.cell, a.repeats[run.repeat])
                shown[name].append(_listed(a, f.cell, run, structure, label, record))
                data.append({
                    "dataset": name, "method": f.cell.method, "budget": f.cell.budget, "repeat": a.repeats[run.repeat],
                    "failure": run.reason, "structure": structure, "dice": run.dice, "reference_dice": run.reference,
                    "record": record,
                })  # fmt: skip
    header = ("Method", "Labelled volumes", "Repeat", "Why", "Dice", "Reference", "Run")
    names = [*_KEYS, "repeat", "failure", "structure", "dice", "reference_dice", "record"]
    return Table(
        "failed", "Which runs failed", f"{RULE} Dice: of the lost structure, or of the run.", frame(data, names),
        blocks(titles, header, shown),
    )  # fmt: skip


def _listed(a: DatasetAnalysis, cell: Cell, run: FailedRun, structure: str, label: str, record: str) -> tuple[Entry, ...]:
    return (
        Entry(display(cell.method)),
        labelled(a.price(cell.budget, cell.method), cell.budget),
        Entry(a.repeats[run.repeat]),
        Entry(run.reason + (f": {structure}" if structure else "")),
        Entry(number(run.dice), key=sort_key(run.dice), runs=(cell.method, cell.budget)),
        Entry(number(run.reference), key=sort_key(run.reference)),
        Entry(label, more=record),
    )


def _named(plan: Plan, cell: Cell, repeat: str) -> tuple[str, str]:
    """The label of a run and the path of its record."""
    for job in plan.of("finetune"):
        name = UPPER_BOUND if job.budget == ALL else job.name
        own = (job.dataset, name, str(job.budget), job.repeat.name if job.repeat else "")
        if own == (cell.dataset, cell.method, cell.budget, repeat):
            return job.label, str(job.record)
    return "", ""


def _conditional(analyses: Analyses, found: Found, titles: dict[str, str]) -> Table:
    """Of cells that failures concern: of others it would repeat the first table."""
    some = {name: [f for f in of.values() if _concerned(of, f)] for name, of in found.items()}
    every = [f for cells in some.values() for f in cells]
    digits = (
        digits_of(f.mean.interval for f in every),
        digits_of((f.gain.mean.interval for f in every if f.gain), differences=True),
    )
    shown = {name: [_trained(analyses[name], f, *digits) for f in cells] for name, cells in some.items()}
    data = [_trained_data(f) for cells in some.values() for f in cells]
    header = ("Method", "Labelled volumes", "Trained", "Dice", "Gain over Random init", "Repeats in it")
    caption = (
        "Conditional on training: mean Dice without failed runs, and the gain over Random init in the repeats in which both "
        "trained, with intervals. They leave out different repeats for different methods, and say nothing about what a user "
        "should expect; no verdict rests on them."
    )
    return Table(
        "conditional", "Scores without failed runs (conditional)", caption, frame(data, _KEYS), blocks(titles, header, shown)
    )


def _trained(a: DatasetAnalysis, f: Failures, scores: Digits, gains: Digits) -> tuple[Entry, ...]:
    return (
        Entry(display(f.cell.method)),
        labelled(a.price(f.cell.budget, f.cell.method), f.cell.budget),
        Entry(f"{f.cell.runs - len(f.runs)} of {f.cell.runs}"),
        with_interval(f.mean.interval, digits=scores, runs=(f.cell.method, f.cell.budget)),
        with_interval(f.gain.mean.interval, sign=True, digits=gains) if f.gain else Entry("–"),
        Entry(str(f.gain.mean.repeats) if f.gain else "–"),
    )


def _trained_data(f: Failures) -> dict[str, object]:
    gain = columns("gain", f.gain.mean.interval) if f.gain else {}
    return {
        "dataset": f.cell.dataset, "method": f.cell.method, "budget": f.cell.budget, "runs": f.mean.repeats,
        **columns("dice_mean", f.mean.interval), **gain,
    }  # fmt: skip


def _rising(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> Table:
    shown: dict[str, list[tuple[Entry, ...]]] = {}
    data: list[dict[str, object]] = []
    for name, a in analyses.items():
        found = rises(a, collected.validation)
        shown[name] = [
            (
                Entry(display(method)),
                labelled(a.price(budget, method), budget),
                with_interval(rise.mean, sign=True, runs=(method, budget)),
                Entry(f"step {rise.since}", key=str(rise.since)),
                Entry(str(rise.repeats)),
            )
            for (method, budget), rise in found.items()
            if rise.rising
        ]
        data += [
            {
                "dataset": name, "method": method, "budget": budget, **columns("validation_rise", rise.mean),
                "since_step": rise.since, "repeats": rise.repeats, "still_rises": rise.rising,
            }
            for (method, budget), rise in found.items()
        ]  # fmt: skip
    header = ("Method", "Labelled volumes", "Rise of validation Dice", "Since", "Repeats")
    caption = (
        f"Cells whose mean validation Dice rose by more than {LEAST:g} from three quarters of the steps to the end, with the "
        "interval of the mean over repeats above zero: a longer training may give more. A learning rate that decays to zero "
        "(cosine) levels curves off by itself, so a cell that is not listed need not be done either."
    )
    return Table(
        "rising", "Validation that still rises at the end", caption, frame(data, _KEYS), blocks(titles, header, shown)
    )
