"""The report's tables of Dice: by method and budget, by structure, by repeat."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from glocalseg.evaluation.statistics.intervals import Mean
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.analysis.dataset import over_structures, repeat_table
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.metrics import metrics_table
from glocalseg.report.tables.table import Block, Entry, Table, bracket, columns, frame, number, with_interval
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display

Analyses = Mapping[str, DatasetAnalysis]
MARK = {"better": " ▲", "worse": " ▼"}
TONE = {"better": "better", "worse": "worse", "runs missing": "missing"}
PAID = (
    "Labelled volumes are counted as they were paid for: “n + m for selection” is n to train on and m others whose labels chose "
    "the weights."
)


def score_tables(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> list[Table]:
    """All tables of scores, in the order in which the page shows them."""
    return [
        _main(analyses, collected, titles),
        _structures(analyses, titles),
        _repeats(analyses, titles),
        metrics_table(analyses, collected.scores, titles),
    ]


def judged(analyses: Analyses) -> bool:
    """Whether verdicts are given: the same for all data sets of a benchmark."""
    return not any(a.silent for a in analyses.values())


def _main(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> Table:
    data, shown, others = [], {}, over_structures(collected.scores)
    for name, a in analyses.items():
        methods = [m for m in a.methods if m not in a.references]
        rows = [(Entry(display(m)), *(_main_entry(a, m, n) for n in a.budgets)) for m in methods]
        if a.upper:
            rows.append(_upper_row(a, a.upper, collected))
        shown[name] = Block(titles[name], ("Method", *(a.price(n) for n in a.budgets)), tuple(rows))
        data += [{**_summary_row(a, c), **others.get((name, *key), {})} for key, c in a.cells.items()]
    marks = (
        "Bold: the highest mean of a column, among cells with all their runs. ▲ better, ▼ worse than Random init on the same "
        "subjects and repeats, corrected for all methods and budgets; no mark: no difference was found, which is no evidence of "
        "equality. ‡: the compared runs differ in precision or kind of device."
    )
    caption = (
        "Mean Dice over test subjects and repeats, with its interval. A repeat has labelled volumes, a pretraining and a "
        f"fine-tuning of its own, the same for every method. {PAID} "
        + (marks if judged(analyses) else "Nothing is marked: the run says nothing of which method is ahead.")
    )
    return Table("main", "Dice by method and number of labelled volumes", caption, frame(data, ["dataset"]), shown)


def _main_entry(a: DatasetAnalysis, method: str, budget: str) -> Entry:
    cell, compared = a.cell(method, budget), a.against_random(method, budget)
    if cell is None:
        return Entry("no run", tone="missing")
    mean = cell.mean.interval
    notes = [
        bracket(mean.low, mean.high, 2),
        a.own_price(budget, method),
        "" if cell.complete else f"{cell.runs} of {cell.planned} runs",
    ]
    verdict = compared.verdict or "" if compared else ""
    differs = " ‡" if compared and compared.mixed else ""
    return Entry(
        number(mean.estimate) + MARK.get(verdict, "") + differs,
        strong=not a.silent and a.best(budget) is cell,
        note=" · ".join(note for note in notes if note),
        tone=TONE.get(verdict, "") if cell.complete else "missing",
    )


def _upper_row(a: DatasetAnalysis, cell: Cell, collected: Collected) -> tuple[Entry, ...]:
    mean = cell.mean.interval
    rows = collected.ledger[(collected.ledger["dataset"] == a.dataset) & (collected.ledger["budget"] == ALL)]
    count = len(rows["train"].iloc[0])
    short = "" if cell.complete else f" · {cell.runs} of {cell.planned} runs"
    note = f"{bracket(mean.low, mean.high, 2)} · {a.price(ALL, UPPER_BOUND)}; all: {count} training volumes{short}"
    return (Entry(display(UPPER_BOUND)), Entry(number(mean.estimate), note=note, span=len(a.budgets)))


def _summary_row(a: DatasetAnalysis, cell: Cell) -> dict[str, object]:
    compared = a.against_random(cell.method, cell.budget)
    return {
        "dataset": cell.dataset, "method": cell.method, "budget": cell.budget, "label_price": a.price(cell.budget, cell.method),
        **_numbers(cell.mean), "runs_planned": cell.planned, "against_random": compared.verdict or "" if compared else "",
    }  # fmt: skip


def _numbers(mean: Mean) -> dict[str, object]:
    return {**columns("dice_mean", mean.interval), "subjects": mean.subjects, "runs": mean.repeats}


def _structures(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    for name, a in analyses.items():
        rows = []
        for budget in [*a.budgets, ALL]:
            cells = [c for m in [*a.methods, UPPER_BOUND] if (c := a.cells.get((m, budget)))]
            ranked = [c for c in cells if c.complete and c.method not in a.references]
            best = {s: np.nan if a.silent else _highest(ranked, s) for s in a.structures}
            for cell in cells:
                entries = (_structure_entry(cell, s, best[s]) for s in a.structures)
                rows.append((Entry(display(cell.method)), Entry(a.price(budget, cell.method)), *entries))
                data += [
                    {"dataset": name, "method": cell.method, "budget": budget, "structure": s, **_numbers(mean)}
                    for s, mean in cell.structure_means.items()
                ]
        shown[name] = Block(titles[name], ("Method", "Labelled", *a.structures), tuple(rows))
    caption = "Mean Dice per structure with its interval over subjects and repeats" + (
        "; bold: the highest mean at a number of labelled volumes." if judged(analyses) else "."
    )
    return Table("structures", "Dice per structure", caption, frame(data, ["dataset"]), shown)


def _highest(cells: list[Cell], structure: str) -> float:
    means = [c.structure_means[structure].interval.estimate for c in cells if structure in c.structure_means]
    return max(means, default=np.nan)


def _structure_entry(cell: Cell, structure: str, best: float) -> Entry:
    if structure not in cell.structure_means:
        return Entry("–")
    mean = cell.structure_means[structure].interval
    strong = mean.estimate == best and cell.method != UPPER_BOUND
    return with_interval(mean, strong=strong)


def _repeats(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    for name, a in analyses.items():
        means = repeat_table(a)
        data.append(means)
        value = means.set_index(["method", "budget", "repeat"])["dice"]
        rows = []
        for budget in [*a.budgets, *([ALL] if a.upper else [])]:
            for m in [UPPER_BOUND] if budget == ALL else a.methods:
                of = [float(value.get((m, budget, r), np.nan)) for r in a.repeats]
                entries = (Entry(number(v, 2), bar=None if np.isnan(v) else v) for v in of)
                rows.append((Entry(display(m)), Entry(a.price(budget, m)), *entries))
        shown[name] = Block(titles[name], ("Method", "Labelled", *a.repeats), tuple(rows))
    caption = (
        "Mean Dice over test subjects for every repeat: its choice of labelled volumes, its pretraining and its fine-tuning "
        f"are the same for every method. Random weights are drawn by the seed of the fine-tuning. {display(BASELINE)} and the "
        "methods with it are paired column by column."
    )
    table = pd.concat(data) if data else pd.DataFrame()
    return Table("repeats", "Dice for every repeat", caption, table, shown)
