"""The report's table of methods that change settings, each beside the one that it is a variant of: what each switch is worth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glocalseg.config.benchmark import Benchmark
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.methods.described import description
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.variants import POOL, Variant, variants
from glocalseg.report.tables.table import (
    Digits,
    Entry,
    Table,
    blocks,
    columns,
    digits_of,
    frame,
    labelled,
    probability,
    sort_key,
    with_interval,
)
from glocalseg.report.text.names import display

_KEYS = ["dataset", "method", "baseline", "budget"]
_TONE = {"better": "better", "worse": "worse", "runs missing": "missing"}


def variants_table(analyses: Mapping[str, DatasetAnalysis], b: Benchmark, titles: dict[str, str]) -> Table:
    """What each variant changes, its Dice, and its gain over the method without the change; empty where there is none."""
    found = {name: variants(a, b) for name, a in analyses.items()}
    every = [(a, v) for name, a in analyses.items() for v in found[name]]
    scores = digits_of(cell.mean.interval for a, v in every if (cell := a.cell(v.method, v.budget)))
    gains = digits_of((v.gain.mean.interval for _, v in every if v.gain), differences=True)
    shown = {name: [_row(a, v, scores, gains) for v in found[name]] for name, a in analyses.items()}
    silent = any(a.silent for a in analyses.values())
    header = ("Variant", "Labelled volumes", "Changes", "Of", "Dice", "Gain", *(() if silent else ("Adjusted p", "Verdict")),
              "Repeat wins")  # fmt: skip
    confidence = next((a.statistics.confidence for a in analyses.values()), 0.95)
    caption = (
        "Methods whose line in the configuration changes settings, each beside the method of the same pretraining and regime "
        "without the change: what the change costs or brings. Changes: from the value of that method to the variant's, with what "
        "the setting's own description says. Gain: mean paired difference in Dice on the same subjects and repeats. In brackets: "
        f"{confidence:.0%} intervals over subjects and repeats."
    )
    judged = (
        " p and verdict are those of the declared comparison of the two, corrected within its family; a dash where none was "
        "declared."
    )
    data = [_data(a, v) for a, v in every]
    title = "What each changed setting costs or brings"
    return Table("variants", title, caption + ("" if silent else judged), frame(data, _KEYS), blocks(titles, header, shown))


def changes(v: Variant) -> str:
    """What a variant sets, and instead of what: ``finetune.steps 400 → 1200, threads 1 → 2``."""
    return ", ".join(_change(v, path) for path in v.changes)


def _change(v: Variant, path: str) -> str:
    return f"{path} {_shown(path, v.usual.get(path))} → {_shown(path, v.changes[path])}"


def _shown(path: str, value: Any) -> str:
    if value is None:
        return "100%" if path == POOL else "automatic"
    return str(value)


def _changed(v: Variant) -> Entry:
    """One changed setting by its last name, its path and description in the note, which breaks over lines; several all there."""
    if len(v.changes) == 1:
        (path,) = v.changes
        start = path.removesuffix(path.split(".")[-1])
        said = [path if start else "", description(path)]
        return Entry(_change(v, path).removeprefix(start), more=": ".join(part for part in said if part))
    every = (f"{_change(v, path)}{f' ({text})' if (text := description(path).rstrip('.')) else ''}" for path in v.changes)
    return Entry(f"{len(v.changes)} settings", more="; ".join(every))


def _row(a: DatasetAnalysis, v: Variant, scores: Digits, gains: Digits) -> tuple[Entry, ...]:
    cell = a.cells[v.method, v.budget]
    short = "" if cell.complete else f"{cell.runs} of {cell.planned} runs"
    held = v.compared is not None and v.compared.held
    return (
        Entry(display(v.method)),
        labelled(a.price(v.budget, v.method), v.budget),
        _changed(v),
        Entry(display(v.twin) if v.twin else "no such method"),
        with_interval(cell.mean.interval, digits=scores, more=short, runs=(v.method, v.budget)),
        with_interval(v.gain.mean.interval, sign=True, digits=gains, strong=held) if v.gain else Entry("–"),
        *([] if a.silent else _judged(v)),
        Entry(f"{v.gain.repeat_wins} of {v.gain.mean.repeats}", key=str(v.gain.repeat_wins)) if v.gain else Entry("–"),
    )


def _judged(v: Variant) -> tuple[Entry, Entry]:
    """p and verdict of the declared comparison with the twin."""
    if v.compared is None:
        return Entry("–"), Entry("–")
    p, verdict = v.compared.comparison.corrected, v.compared.verdict or "–"
    mark = " ‡" if v.compared.mixed else ""
    return (
        Entry(probability(p), key=sort_key(p)),
        Entry(verdict + mark, more=v.compared.mixed, tone=_TONE.get(verdict, "")),
    )


def _data(a: DatasetAnalysis, v: Variant) -> dict[str, object]:
    gain = v.gain.mean.interval if v.gain else Interval(np.nan, np.nan, np.nan)
    cell, judged = a.cells[v.method, v.budget], None if a.silent else v.compared
    return {
        "dataset": a.dataset, "method": v.method, "baseline": v.twin or "", "budget": v.budget, "settings": changes(v),
        **columns("dice_mean", cell.mean.interval), **columns("gain", gain), "runs": cell.runs,
        "repeats": v.gain.mean.repeats if v.gain else 0,
        "family": judged.family if judged else "",
        "p_corrected": judged.comparison.corrected if judged else np.nan,
        "verdict": (judged.verdict or "") if judged else "",
    }  # fmt: skip
