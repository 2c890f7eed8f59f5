"""The report's table of every other metric than the primary one: what ``evaluation.metrics.METRICS`` lists, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from glocalseg.evaluation.metrics import METRICS, PRIMARY, Metric
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import metric_summary
from glocalseg.report.tables.table import Block, Entry, Table, number
from glocalseg.report.text.names import ALL, UPPER_BOUND, display

_SUMMARY = {"mean": "mean", "median": "median", "sum": "number"}


def metrics_table(analyses: Mapping[str, DatasetAnalysis], scores: pd.DataFrame, titles: dict[str, str]) -> Table:
    """Every metric but the primary one by method, budget and structure."""
    data, shown = metric_summary(scores), {}
    others = {key: metric for key, metric in METRICS.items() if key != PRIMARY}
    for name, a in analyses.items():
        of = data[data["dataset"] == name].set_index(["method", "budget", "structure", "metric"])
        rows = []
        for budget in [*a.budgets, ALL]:
            for method in [*a.methods, UPPER_BOUND]:
                if (method, budget) in a.cells:
                    named = (Entry(display(method)), Entry(a.price(budget, method)))
                    rows += [(*named, Entry(s), *_entries(of, others, (method, budget, s))) for s in a.structures]
        header = ("Method", "Labelled", "Structure", *(metric.title for metric in others.values()))
        shown[name] = Block(titles[name], header, tuple(rows))
    labels = [metric.label for metric in others.values()]
    title = f"Other metrics: {', '.join(labels)}"
    return Table("metrics", title, _caption(others), data, shown)


def _caption(metrics: Mapping[str, Metric]) -> str:
    said = [
        f"{metric.label}: {metric.sentence} ({_SUMMARY[metric.summary]}{f', {metric.unit}' if metric.unit else ''}; "
        f"{'higher' if metric.better == 'high' else 'lower'} is better)."
        for metric in metrics.values()
    ]
    return (
        f"Over all volumes and repeats. {' '.join(said)} Where a structure is in the truth and not predicted, every metric "
        "has its worst value, a distance the diagonal of the volume; where the truth lacks it there is no value for any method, "
        "whatever is predicted."
    )


def _entries(of: pd.DataFrame, metrics: Mapping[str, Metric], row: tuple[str, str, str]) -> Iterator[Entry]:
    """The cells of a row: method, budget and structure."""
    for key, metric in metrics.items():
        yield _entry(metric, of.loc[(*row, key)]) if (*row, key) in of.index else Entry("–")


def _entry(metric: Metric, row: pd.Series) -> Entry:
    if metric.summary == "sum":
        of, counted = int(row["values"]), int(row["sum"])
        return Entry(str(counted), note=f"of {of}", tone="missing" if counted else "") if of else Entry("–")
    return Entry(number(row[metric.summary], 2 if metric.unit else 3))
