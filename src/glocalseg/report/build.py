"""The last job of a benchmark: from sealed runs to tables, figures, a page, and a record of what was written."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pandas as pd

from glocalseg.plan.jobs import Plan
from glocalseg.records.digest import sha256_file
from glocalseg.records.environment import environment
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import write_record
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.figures.figure import Plot, style
from glocalseg.report.figures.overlays import overlay_plot
from glocalseg.report.figures.runs import run_plots
from glocalseg.report.figures.scores import score_plots
from glocalseg.report.page.page import page
from glocalseg.report.tables.comparisons import comparison_tables
from glocalseg.report.tables.failures import failure_tables
from glocalseg.report.tables.runs import record_tables
from glocalseg.report.tables.scores import score_tables
from glocalseg.report.tables.table import Table
from glocalseg.report.tables.worth import worth_tables

FOLDERS = ("tables", "figures", "report")
PARTIAL = "report-partial.json"  # the record of a report that lacks runs: never taken for the finished one
PLAIN_LIMIT = 5_000_000  # bytes of scores.csv above which it is written compressed


def build(plan: Plan, root: Path) -> Path:
    """Write ``results/<benchmark>/{tables,figures,report}`` and ``scores.csv``, then the plan's report record; print where.

    Runs without a record are named in the report as missing, with the reason if they left one, and the record is then
    ``report-partial.json``. What an earlier report left is removed first.

    Args:
        plan: the benchmark's plan.
        root: folder that the plan's paths are relative to.

    Returns:
        The page, ``results/<benchmark>/report/index.html``.

    Raises:
        CorruptedError: if a file of a run or slice store was changed after it was made.
        ReportError: if not one fine-tuning has finished, or runs cannot be compared.
    """
    collected = collect(plan, root)
    if collected.scores.empty:
        raise ReportError(f"benchmark {plan.benchmark.name!r}: expected at least one finished fine-tuning, found none")
    analyses = analyse(plan, collected)
    tables = _tables(plan, collected, analyses)
    plots = _plots(plan, collected, analyses, root)
    folder = (root / plan.report.record).parent
    record = folder / (PARTIAL if collected.missing else plan.report.record.name)
    _clear(folder)
    scores = _write_scores(collected, folder)
    for table in tables:
        _write_table(table, folder / "tables")
    for plot in plots:
        plot.write(folder / "figures")
    text = page(plan, collected, analyses, tables, plots, scores.name)
    index = folder / "report" / "index.html"
    write_atomic(index, text.encode())
    _seal(plan, record, scores, collected.finished, [str(j.record) for j in collected.missing])
    print(f"report: {index}")
    return index


def _tables(plan: Plan, collected: Collected, analyses: dict[str, DatasetAnalysis]) -> list[Table]:
    titles = {name: card.title for name, card in plan.cards.items()}
    return [
        *score_tables(analyses, collected, titles),
        *comparison_tables(analyses, titles),
        *failure_tables(analyses, plan, collected, titles),
        *worth_tables(analyses, plan, collected, titles),
        *record_tables(plan, collected, titles),
    ]


def _plots(plan: Plan, collected: Collected, analyses: dict[str, DatasetAnalysis], root: Path) -> list[Plot]:
    with style():
        plots = []
        for analysis in analyses.values():
            overlay = overlay_plot(analysis, plan, collected, root)
            plots += [*score_plots(analysis), *([overlay] if overlay else []), *run_plots(analysis, collected)]
    return plots


def _clear(folder: Path) -> None:
    """Remove the earlier report, its record first, so that a half-written one never looks finished."""
    for old in [*folder.glob("report-*.json"), *folder.glob("scores.csv*")]:
        old.unlink()
    for name in FOLDERS:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)


def _write_scores(collected: Collected, folder: Path) -> Path:
    """All score rows in one file, those of last weights after the others, compressed where it is large.

    No date is in it, so that equal rows are equal bytes.
    """
    rows = pd.concat([collected.scores, collected.last]) if len(collected.last) else collected.scores
    content = rows.to_csv(index=False, lineterminator="\n").encode()
    path = folder / "scores.csv"
    if len(content) > PLAIN_LIMIT:
        path, content = folder / "scores.csv.gz", gzip.compress(content, 6, mtime=0)
    write_atomic(path, content)
    return path


def _write_table(table: Table, folder: Path) -> None:
    for suffix, text in (("csv", table.csv()), ("md", table.markdown()), ("tex", table.latex())):
        (folder / f"{table.name}.{suffix}").write_text(text, encoding="utf-8", newline="\n")


def _seal(plan: Plan, record: Path, scores: Path, runs: int, missing: list[str]) -> None:
    folder = record.parent
    files = sorted(p for name in FOLDERS for p in (folder / name).rglob("*") if p.is_file())
    write_record(
        record,
        {
            "spec": plan.report.spec.dump(),
            "label": plan.report.label,
            "runs": runs,
            "missing": missing,
            "environment": {k: v for k, v in environment().items() if k != "commit"},  # the key holds the code already
            "files": {p.relative_to(folder).as_posix(): sha256_file(p) for p in [scores, *files]},
        },
    )
