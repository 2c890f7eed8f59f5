"""What the reader may choose from on the page: every metric of every structure, by method, budget and repeat, as numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from glocalseg.evaluation.metrics import METRICS, PRIMARY
from glocalseg.evaluation.statistics.arrays import Array, dense, repeat_means, subject_scores
from glocalseg.evaluation.statistics.intervals import mean_of
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.collected.collect import Collected
from glocalseg.report.page.runs import anchor
from glocalseg.report.text.colours import colours, dark_partners
from glocalseg.report.text.names import ALL, UPPER_BOUND, display, html

WHOLE = "all structures"


def choices(analyses: Mapping[str, DatasetAnalysis], titles: Mapping[str, str], collected: Collected) -> str:
    """JSON that the page's script reads, safe inside a ``script`` element.

    ``{dataset: {title, repeats, budgets, methods: [{id, name, light, dark}], metrics: {key: {title, better, values}}}}``, where
    ``values[structure][budget][method]`` is ``[mean, low, high, [value of each repeat]]`` with null for what is not there; means
    are over subjects and repeats, intervals those of the tables.
    """
    found = {name: _dataset(a, titles[name], collected.scores) for name, a in analyses.items()}
    return json.dumps(found, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def _dataset(a: DatasetAnalysis, title: str, scores: pd.DataFrame) -> dict[str, Any]:
    own = renamed(scores[scores["dataset"] == a.dataset])
    methods = [*a.methods, *([UPPER_BOUND] if a.upper else [])]
    colour, partner = colours(a.methods), dark_partners()
    averaged = [key for key, metric in METRICS.items() if metric.summary != "sum"]
    metrics = {key: rows for key in averaged if len(rows := own[own["metric"] == key])}
    return {
        "title": title,
        "repeats": a.repeats,
        "budgets": [[n, a.price(n)] for n in a.budgets],
        "methods": [
            {"id": m, "name": str(html(display(m))), "light": colour[m], "dark": partner[colour[m]],
             "runs": {n: anchor(a.dataset, m, n) for n in a.budgets}}
            for m in methods
        ],
        "metrics": {
            key: {
                "title": METRICS[key].title, "better": METRICS[key].better,
                "values": _values(a, metrics[key], methods, _bounds(key)),
            }
            for key in sorted(metrics, key=lambda k: k != PRIMARY)
        },
    }  # fmt: skip


def _bounds(metric: str) -> tuple[float, float]:
    """Where values of a metric end: a share of one, or a distance."""
    return (0.0, np.inf) if METRICS[metric].unit else (0.0, 1.0)


def _values(a: DatasetAnalysis, rows: pd.DataFrame, methods: list[str], bounds: tuple[float, float]) -> dict[str, Any]:
    parts = {WHOLE: rows, **{s: rows[rows["structure"] == s] for s in a.structures}}
    return {name: _of(a, part, methods, bounds) for name, part in parts.items() if len(part)}


def _of(
    a: DatasetAnalysis, rows: pd.DataFrame, methods: list[str], bounds: tuple[float, float]
) -> dict[str, dict[str, Any]]:
    places = {r: i for i, r in enumerate(a.repeats)}
    means = subject_scores(rows).assign(repeat=lambda t: t["repeat"].map(places))
    subjects = sorted(means["subject"].unique())
    cells = {
        (str(m), str(n)): dense(own, subjects, range(len(places)))
        for (m, n), own in means.groupby(["method", "budget"], sort=False)
    }
    shown = {key: _numbers(array, a.statistics.confidence, bounds) for key, array in cells.items()}
    return {
        n: {m: shown[key] for m in methods if (key := (m, ALL if m == UPPER_BOUND else n)) in shown} for n in a.budgets
    }  # fmt: skip


def _numbers(array: Array, confidence: float, bounds: tuple[float, float]) -> list[Any]:
    mean = mean_of(array, confidence=confidence, bounds=bounds).interval
    return [_short(mean.estimate), _short(mean.low), _short(mean.high), [_short(v) for v in repeat_means(array)]]


def _short(value: float) -> float | None:
    """Six digits: the page shows three, and rounding twice by one digit gave 0.768 beside the main table's 0.769."""
    return float(f"{value:.6g}") if np.isfinite(value) else None
