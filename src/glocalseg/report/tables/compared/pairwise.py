"""The report's table of every method against every other, which nobody declared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.pairwise import Duel, pairwise
from glocalseg.report.tables.table import (
    Block,
    Digits,
    Entry,
    Table,
    blocks,
    columns,
    digits_of,
    frame,
    labelled,
    sort_key,
    with_interval,
)
from glocalseg.report.text.names import display

_KEYS = ["dataset", "method", "baseline", "budget"]
_TONE = {"better": "better", "worse": "worse", "runs missing": "missing"}


def pairwise_table(analyses: Mapping[str, DatasetAnalysis], titles: dict[str, str]) -> Table:
    """Gains below the diagonal, shares of wins above it, at each number of labelled volumes."""
    found = {name: pairwise(a) for name, a in analyses.items()}
    digits = digits_of((d.comparison.gain.mean.interval for of in found.values() for d in of), differences=True)
    parts: dict[str, Block] = {}
    for name, a in analyses.items():
        methods = [m for m in a.methods if any(a.cell(m, n) for n in a.budgets)]
        header = ("Method", "Labelled volumes", *(display(m) for m in methods))
        rows = [row for n in a.budgets for row in _rows(a, found[name], methods, n, digits)]
        if len(methods) > 1:
            parts |= blocks(titles, header, {name: rows})
    silent = any(a.silent for a in analyses.values())
    confidence = next((a.statistics.confidence for a in analyses.values()), 0.95)
    caption = (
        "Exploratory: nobody declared these comparisons, and no sentence rests on them. Below the diagonal: mean gain in Dice of "
        "the row's method over the column's on the same subjects and repeats, in brackets its "
        f"{confidence:.0%} interval, which is not corrected. Above it: share of "
        "(subject, repeat) in which the row's method has the higher Dice, ties counted half."
    )
    judged = (
        " Bold: p below one minus the confidence, corrected over the whole table of a data set, all numbers of labelled volumes "
        "together (max-T), and an interval that leaves zero out."
    )
    data = [_data(a, d) for name, a in analyses.items() for d in found[name]]
    return Table(
        "pairwise", "Every method against every other", caption + ("" if silent else judged), frame(data, _KEYS), parts
    )


def _rows(a: DatasetAnalysis, duels: list[Duel], methods: list[str], budget: str, digits: Digits) -> list[tuple[Entry, ...]]:
    of = {(d.method, d.other): d for d in duels if d.budget == budget}
    return [
        (Entry(display(m)), labelled(a.price(budget, m), budget), *(_entry(of, m, o, digits) for o in methods))
        for m in methods
        if a.cell(m, budget)
    ]


def _entry(of: Mapping[tuple[str, str], Duel], row: str, column: str, digits: Digits) -> Entry:
    if duel := of.get((row, column)):
        verdict = duel.verdict or ""
        held = verdict in ("better", "worse")
        return with_interval(
            duel.comparison.gain.mean.interval, sign=True, digits=digits, strong=held, tone=_TONE.get(verdict, "")
        )
    if duel := of.get((column, row)):
        wins = 1 - duel.comparison.gain.wins
        return Entry(f"{wins:.0%}" if np.isfinite(wins) else "–", key=sort_key(wins))
    return Entry("" if row == column else "no run", tone="" if row == column else "missing")


def _data(a: DatasetAnalysis, d: Duel) -> dict[str, object]:
    gain, nothing = d.comparison.gain, bool(a.silent)
    return {
        "dataset": a.dataset, "method": d.method, "baseline": d.other, "budget": d.budget, **columns("gain", gain.mean.interval),
        "p": np.nan if nothing else d.comparison.p, "p_corrected": np.nan if nothing else d.comparison.corrected,
        "subject_wins": gain.wins, "repeat_wins": gain.repeat_wins, "repeats": gain.mean.repeats, "verdict": d.verdict or "",
    }  # fmt: skip
