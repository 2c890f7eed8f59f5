"""The report's tables of Dice: by method and budget, against random initialisation, by structure, by draw."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from glocalseg.data.cards.card import Card
from glocalseg.evaluation.statistics import Summary
from glocalseg.report.analysis import Cell, Compared, DatasetAnalysis, draw_means, over_structures
from glocalseg.report.collect import Collected
from glocalseg.report.names import ALL, BASELINE, UPPER_BOUND, display, volumes
from glocalseg.report.tables.metrics import metrics_table
from glocalseg.report.tables.table import Block, Entry, Table, blocks, bracket, number, probability, signed

Analyses = Mapping[str, DatasetAnalysis]
Cards = Mapping[str, Card]
_MARK = {"better": " ▲", "worse": " ▼", "not distinguishable": "", "runs missing": ""}
_TONE = {"better": "better", "worse": "worse", "not distinguishable": "", "runs missing": "missing"}
_HELD = ("better", "worse")


def score_tables(analyses: Analyses, collected: Collected, cards: Cards) -> list[Table]:
    """All tables of scores, in the order in which the page shows them."""
    titles = {name: cards[name].title for name in analyses}
    return [
        _main(analyses, collected, titles),
        _comparisons(analyses, titles),
        _structures(analyses, titles),
        _draws(analyses, titles),
        metrics_table(analyses, collected.scores, titles),
    ]


def _main(analyses: Analyses, collected: Collected, titles: dict[str, str]) -> Table:
    data, shown, others = [], {}, over_structures(collected.scores)
    for name, a in analyses.items():
        rows = [(Entry(display(m)), *(_main_entry(a, m, n) for n in a.budgets)) for m in a.methods]
        if a.upper:
            rows.append(_upper_row(a, collected))
        header = ("Method", *(volumes(n) for n in a.budgets))
        shown[name] = Block(titles[name], header, tuple(rows))
        data += [{**_summary_row(c, a.compared(*key)), **others.get((name, *key), {})} for key, c in a.cells.items()]
    caption = (
        "Mean Dice over test subjects, draws of the labelled volumes and seeds, with its bootstrap interval, and the "
        "median. Bold: the highest mean of a column, among cells with all their runs. ▲ better, ▼ worse than Random "
        "init on the same subjects, draws and seeds, corrected for the number of comparisons; no mark: not "
        "distinguishable."
    )
    return Table("main", "Dice by method and number of labelled volumes", caption, pd.DataFrame(data), shown)


def _main_entry(a: DatasetAnalysis, method: str, budget: str) -> Entry:
    cell, compared, best = a.cell(method, budget), a.compared(method, budget), a.best(budget)
    if cell is None:
        return Entry("no run", tone="missing")
    s = cell.summary
    short = f" · {s.runs} of {cell.planned} runs" if s.runs < cell.planned else ""
    mark = _MARK[compared.verdict] if compared else ""
    return Entry(
        number(s.mean.estimate) + mark,
        strong=best is cell,
        note=f"{bracket(s.mean.low, s.mean.high, 2)} · median {number(s.median.estimate, 2)}{short}",
        tone="missing" if short else _TONE[compared.verdict] if compared else "",
    )


def _upper_row(a: DatasetAnalysis, collected: Collected) -> tuple[Entry, ...]:
    assert a.upper is not None
    s = a.upper.summary
    rows = collected.ledger[(collected.ledger["dataset"] == a.dataset) & (collected.ledger["budget"] == ALL)]
    count = len(rows["train"].iloc[0])
    note = f"{bracket(s.mean.low, s.mean.high, 2)} · median {number(s.median.estimate, 2)} · all {count} training volumes"
    return (Entry(display(UPPER_BOUND)), Entry(number(s.mean.estimate), note=note, span=len(a.budgets)))


def _summary_row(cell: Cell, compared: Compared | None) -> dict[str, object]:
    return {
        "dataset": cell.dataset, "method": cell.method, "budget": cell.budget, **_numbers(cell.summary),
        "runs_planned": cell.planned, "against_random": compared.verdict if compared else "",
    }  # fmt: skip


def _numbers(s: Summary) -> dict[str, object]:
    return {
        "dice_mean": s.mean.estimate, "dice_mean_low": s.mean.low, "dice_mean_high": s.mean.high,
        "dice_median": s.median.estimate, "dice_median_low": s.median.low, "dice_median_high": s.median.high,
        "subjects": s.subjects, "draws": s.draws, "seeds": s.seeds, "runs": s.runs,
    }  # fmt: skip


def _comparisons(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    for name, a in analyses.items():
        shown[name] = [_comparison_row(c) for c in a.comparisons]
        data += [_comparison_data(c) for c in a.comparisons]
    header = ("Method", "Labelled", "Gain in Dice", "p", "p, Holm", "Subject wins", "Run wins", "Verdict")
    caption = (
        "Each method against Random init, paired on the same subjects, draws and seeds. Gain: mean difference with its "
        "bootstrap interval, which is not corrected. Holm's p is corrected for all comparisons of the data set. Subject wins: "
        "share of (subject, draw, seed) with the higher Dice. Run wins: (draw, seed) whose mean over subjects is higher. "
        "No verdict is given where runs are missing: the draws that are left may be the easy ones."
    )
    table = pd.DataFrame(data) if data else pd.DataFrame(columns=["dataset", "method", "budget"])
    return Table(
        "comparisons", "Paired comparisons with random initialisation", caption, table, blocks(titles, header, shown)
    )


def _comparison_row(c: Compared) -> tuple[Entry, ...]:
    d = c.comparison.difference
    return (
        Entry(display(c.method)),
        Entry(c.budget),
        Entry(signed(d.estimate), note=bracket(d.low, d.high), strong=c.verdict in _HELD),
        Entry(probability(c.comparison.p)),
        Entry(probability(c.corrected)),
        Entry(f"{100 * c.comparison.wins:.0f}%" if np.isfinite(c.comparison.wins) else "–"),
        Entry(f"{c.comparison.run_wins} of {c.comparison.runs}"),
        Entry(c.verdict, tone=_TONE[c.verdict]),
    )


def _comparison_data(c: Compared) -> dict[str, object]:
    d = c.comparison.difference
    return {
        "dataset": c.dataset, "method": c.method, "baseline": BASELINE, "budget": c.budget, "gain": d.estimate,
        "gain_low": d.low, "gain_high": d.high, "p": c.comparison.p, "p_holm": c.corrected,
        "subject_wins": c.comparison.wins, "run_wins": c.comparison.run_wins, "runs": c.comparison.runs, "verdict": c.verdict,
    }  # fmt: skip


def _structures(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    for name, a in analyses.items():
        header = ("Method", "Labelled", *a.structures)
        rows = []
        for budget in [*a.budgets, ALL]:
            cells = [c for m in [*a.methods, UPPER_BOUND] if (c := a.cell(m, budget))]
            best = {s: _highest([c for c in cells if c.complete], s) for s in a.structures}
            for cell in cells:
                entries = (_structure_entry(cell, s, best[s]) for s in a.structures)
                rows.append((Entry(display(cell.method)), Entry(budget), *entries))
                data += [
                    {"dataset": name, "method": cell.method, "budget": budget, "structure": s, **_numbers(summary)}
                    for s, summary in cell.structures.items()
                ]
        shown[name] = Block(titles[name], header, tuple(rows))
    caption = "Mean Dice per structure with its bootstrap interval; bold: the highest mean at a number of labelled volumes."
    return Table("structures", "Dice per structure", caption, pd.DataFrame(data), shown)


def _highest(cells: list[Cell], structure: str) -> float:
    return max((c.structures[structure].mean.estimate for c in cells if structure in c.structures), default=np.nan)


def _structure_entry(cell: Cell, structure: str, best: float) -> Entry:
    if structure not in cell.structures:
        return Entry("–")
    mean = cell.structures[structure].mean
    strong = mean.estimate == best and cell.method != UPPER_BOUND
    return Entry(number(mean.estimate), strong=strong, note=bracket(mean.low, mean.high, 2))


def _draws(analyses: Analyses, titles: dict[str, str]) -> Table:
    data, shown = [], {}
    for name, a in analyses.items():
        means = draw_means(a)
        data.append(means)
        draws = sorted({d for n in a.budgets for m in a.methods if (c := a.cell(m, n)) for d in c.draws})
        value = means.set_index(["method", "budget", "draw"])["dice"]
        rows = []
        for budget in a.budgets:
            best = {d: max((value.get((m, budget, d), np.nan) for m in a.methods), default=np.nan) for d in draws}
            for m in a.methods:
                of = {d: float(value.get((m, budget, d), np.nan)) for d in draws}
                entries = (Entry(number(v), strong=v == best[d], bar=None if np.isnan(v) else v) for d, v in of.items())
                rows.append((Entry(display(m)), Entry(budget), *entries))
        shown[name] = Block(titles[name], ("Method", "Labelled", *(f"draw {d}" for d in draws)), tuple(rows))
    caption = (
        "Mean Dice over test subjects and seeds for every draw of the labelled volumes, the same draws for every method. "
        "Which volume is labelled often matters more than the method. Bold: the highest of a draw."
    )
    return Table("draws", "Dice for every draw", caption, pd.concat(data) if data else pd.DataFrame(), shown)
