"""The report's table of rows that do not have in common what all are to have in common; no table where all do."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.fairness import Departure, departures
from glocalseg.report.tables.table import Entry, Table, blocks, frame
from glocalseg.report.text.names import display

_KEYS = ["dataset", "method", "part", "setting", "value", "usual"]


def fairness_table(analyses: Mapping[str, DatasetAnalysis], plan: Plan, titles: dict[str, str]) -> Table:
    """One row per method and setting that is not as most rows have it."""
    found = {name: departures(plan, name) for name in analyses}
    shown = {name: [_row(d) for d in of] for name, of in found.items()}
    data = [dict(zip(_KEYS, (name, *vars(d).values()), strict=True)) for name, of in found.items() for d in of]
    header = ("Method", "In what", "Setting", "Here", "Most rows")
    caption = (
        "The specifications of all rows, compared in network, pool, labelled gradient steps, labelled batch, augmentation and "
        "optimisation of labelled slices, and in what chooses the weights; test volumes and metrics are those of all, which was "
        "checked. A row is listed where its value is not that of most rows that have the setting. What a strategy or regime does "
        "by itself, such as an augmentation of its own, is no setting: its sentence says so."
    )
    return Table("fairness", "What rows do not have in common", caption, frame(data, _KEYS), blocks(titles, header, shown))


def _row(d: Departure) -> tuple[Entry, ...]:
    return (Entry(display(d.method)), Entry(d.part), Entry(d.setting), Entry(d.own), Entry(d.usual))
