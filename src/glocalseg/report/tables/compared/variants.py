"""The report's table of methods that change settings, each beside the one that it is a variant of."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from glocalseg.config.benchmark import Benchmark
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.pairwise import Variant, variants
from glocalseg.report.tables.table import Digits, Entry, Table, blocks, columns, digits_of, frame, labelled, with_interval
from glocalseg.report.text.names import display

_KEYS = ["dataset", "method", "baseline", "budget"]


def variants_table(analyses: Mapping[str, DatasetAnalysis], b: Benchmark, titles: dict[str, str]) -> Table:
    """What each variant changes, its Dice, and its gain over the method without the change; empty where there is none."""
    found = {name: variants(a, b) for name, a in analyses.items()}
    every = [(a, v) for name, a in analyses.items() for v in found[name]]
    scores = digits_of(cell.mean.interval for a, v in every if (cell := a.cell(v.method, v.budget)))
    gains = digits_of((v.gain.mean.interval for _, v in every if v.gain), differences=True)
    shown = {name: [_row(a, v, scores, gains) for v in found[name]] for name, a in analyses.items()}
    header = ("Variant", "Labelled volumes", "Changes", "Of", "Dice", "Gain", "Repeat wins")
    confidence = next((a.statistics.confidence for a in analyses.values()), 0.95)
    caption = (
        "Methods whose line in the configuration changes settings, each beside the method of the same pretraining and regime "
        "without the change. Gain: mean paired difference in Dice on the same subjects and repeats. In brackets: "
        f"{confidence:.0%} intervals over subjects and repeats. Nothing is tested here; what was declared is tested elsewhere."
    )
    data = [_data(a, v) for a, v in every]
    return Table("variants", "Variants of methods", caption, frame(data, _KEYS), blocks(titles, header, shown))


def changes(v: Variant) -> str:
    """What a variant sets: ``finetune.steps 1200, seed 3``."""
    return ", ".join(f"{path} {value}" for path, value in v.changes.items())


def _row(a: DatasetAnalysis, v: Variant, scores: Digits, gains: Digits) -> tuple[Entry, ...]:
    cell = a.cells[v.method, v.budget]
    short = "" if cell.complete else f"{cell.runs} of {cell.planned} runs"
    return (
        Entry(display(v.method)),
        labelled(a.price(v.budget, v.method), v.budget),
        Entry(changes(v)),
        Entry(display(v.twin) if v.twin else "no such method"),
        with_interval(cell.mean.interval, digits=scores, more=short, runs=(v.method, v.budget)),
        with_interval(v.gain.mean.interval, sign=True, digits=gains) if v.gain else Entry("–"),
        Entry(f"{v.gain.repeat_wins} of {v.gain.mean.repeats}", key=str(v.gain.repeat_wins)) if v.gain else Entry("–"),
    )


def _data(a: DatasetAnalysis, v: Variant) -> dict[str, object]:
    gain = v.gain.mean.interval if v.gain else Interval(np.nan, np.nan, np.nan)
    cell = a.cells[v.method, v.budget]
    return {
        "dataset": a.dataset, "method": v.method, "baseline": v.twin or "", "budget": v.budget, "settings": changes(v),
        **columns("dice_mean", cell.mean.interval), **columns("gain", gain), "runs": cell.runs,
        "repeats": v.gain.mean.repeats if v.gain else 0,
    }  # fmt: skip
