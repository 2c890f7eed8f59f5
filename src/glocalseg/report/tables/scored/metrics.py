"""The report's table of every other metric than the primary one: what ``evaluation.metrics.METRICS`` lists, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from glocalseg.evaluation.metrics import METRICS, PRIMARY, Metric
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import metric_summary
from glocalseg.report.tables.table import Block, Entry, Table, labelled, number, sort_key
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
                    named = (Entry(display(method)), labelled(a.price(budget, method), budget))
                    rows += [(*named, Entry(s), *_entries(of, others, (method, budget, s))) for s in a.structures]
        header = ("Method", "Labelled volumes", "Structure", *(_head(metric) for metric in others.values()))
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
        "has its worst value, a distance the diagonal of the volume: no distance leaves such a volume out, and “n lost” beside "
        "it says how many of its values are that one; where the truth lacks it there is no value for any method, "
        "whatever is predicted."
    )


def _head(metric: Metric) -> str:
    """``HD95, mm``."""
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _entries(of: pd.DataFrame, metrics: Mapping[str, Metric], row: tuple[str, str, str]) -> Iterator[Entry]:
    """The cells of a row: method, budget and structure."""
    lost = int(of.loc[(*row, "lost"), "sum"]) if (*row, "lost") in of.index else 0
    for key, metric in metrics.items():
        yield _entry(metric, of.loc[(*row, key)], lost, row[:2]) if (*row, key) in of.index else Entry("–")


def _entry(metric: Metric, row: pd.Series, lost: int, runs: tuple[str, str]) -> Entry:
    """One entry; a distance says how many of its values are the worst one because the structure was lost."""
    if metric.summary == "sum":
        of, counted = int(row["values"]), int(row["sum"])
        if not of:
            return Entry("–")
        return Entry(str(counted), more=f"of {of}", tone="missing" if counted else "", key=sort_key(counted), runs=runs)
    value = row[metric.summary]
    more = f"{lost} lost" if lost and metric.lost == "diagonal" else ""
    return Entry(number(value, 2 if metric.unit else 3), more=more, key=sort_key(value), runs=runs)
