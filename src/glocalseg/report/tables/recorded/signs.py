"""The report's table of the diagnostics that methods declare: how each shows whether it fails in its known way."""

from __future__ import annotations

from collections.abc import Mapping

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.signs import Over, Sign, declared_signs
from glocalseg.report.collected.collect import Collected
from glocalseg.report.tables.table import Entry, Table, blocks, columns, frame, labelled, sort_key
from glocalseg.report.text.names import display

_KEYS = ["dataset", "phase", "method", "budget", "diagnostic"]


def signs_table(analyses: Mapping[str, DatasetAnalysis], collected: Collected, titles: dict[str, str]) -> Table:
    """One row per method, budget and diagnostic; nothing where no method of the benchmark declares one."""
    found = {name: declared_signs(collected.signs, name) for name in analyses}
    shown = {name: [_row(a, s) for s in found[name]] for name, a in analyses.items()}
    data = [_data(name, s) for name, of in found.items() for s in of]
    header = ("Method", "Labelled volumes", "Diagnostic", "At the beginning", "At the end", "Runs")
    caption = (
        "What a method logs of its own known way of failing, by the names that its file declares, with what it says "
        "there of how to read them. Beginning and end: the first and the last tenth of the logged steps; mean over runs, with "
        "their range. Only those of one method and name are to be set beside each other."
    )
    return Table("signs", "Diagnostics that methods declare", caption, frame(data, _KEYS), blocks(titles, header, shown))


def _row(a: DatasetAnalysis, s: Sign) -> tuple[Entry, ...]:
    own = "" if s.entry.symbol in display(s.name) else s.entry.symbol  # a name that a person gave
    return (
        Entry(display(s.name), more=own),
        labelled(a.price(s.budget, s.name), s.budget) if s.budget else Entry("pretraining", key="0"),
        Entry(s.sign, more=s.sentence),
        _entry(s.first),
        _entry(s.last),
        Entry(str(s.runs)),
    )


def _entry(over: Over) -> Entry:
    spread = f"{brief(over.low)} to {brief(over.high)}" if over.low < over.high else ""
    return Entry(brief(over.mean), more=spread, key=sort_key(over.mean))


def brief(value: float) -> str:
    """Three digits of a number of whatever size: ``0.0123``, ``1.50``, ``123``; a real minus sign."""
    text = f"{value:#.3g}".rstrip(".") if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.1e}"
    return "0" if value == 0 else text.replace("-", "−")


def _data(dataset: str, s: Sign) -> dict[str, object]:
    return {
        "dataset": dataset, "phase": s.phase, "method": s.name, "declared_by": s.entry.name, "budget": s.budget,
        "diagnostic": s.sign, "runs": s.runs, "sentence": s.sentence,
        **columns("first_mean", _interval(s.first)), **columns("last_mean", _interval(s.last)),
    }  # fmt: skip


def _interval(over: Over) -> Interval:
    """The range in the columns that intervals have."""
    return Interval(over.mean, over.low, over.high)
