"""The last job of a benchmark: from sealed runs to tables, figures, a page, and a record of what was written."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from glocalseg.plan.jobs import Plan
from glocalseg.records.digest import sha256_file
from glocalseg.records.environment import environment
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import write_record
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.figures.curves import run_plots
from glocalseg.report.figures.figure import Plot
from glocalseg.report.figures.overlays import KINDS, overlay_plots
from glocalseg.report.figures.scores import score_plots
from glocalseg.report.look.page import data_pages
from glocalseg.report.page.page import page
from glocalseg.report.tables.compared.declared import comparison_tables
from glocalseg.report.tables.compared.fairness import fairness_table
from glocalseg.report.tables.long.claims import FOLDER as CLAIMS
from glocalseg.report.tables.long.claims import claims_tables
from glocalseg.report.tables.long.package import NAME as DATAPACKAGE
from glocalseg.report.tables.long.package import datapackage
from glocalseg.report.tables.long.rows import SCORES, compressed, long_scores
from glocalseg.report.tables.recorded.failures import failure_tables
from glocalseg.report.tables.recorded.runs import record_tables
from glocalseg.report.tables.recorded.signs import signs_table
from glocalseg.report.tables.scored.bought import with_bought
from glocalseg.report.tables.scored.scores import score_tables
from glocalseg.report.tables.table import Table
from glocalseg.report.tables.worth import worth_tables
from glocalseg.report.text.fact import Fact

FOLDERS = ("tables", "figures", "report")


def build(plan: Plan, root: Path, origins: Sequence[Fact] = (), *, workers: int = 1) -> Path:
    """Write ``results/<benchmark>/{tables,figures,report}`` and the long tables, then the plan's report record; print where.

    Runs without a record are named in the report as missing, with the reason if they left one, and the record is then
    ``report-partial.json``. What an earlier report left is removed first.

    Args:
        plan: the benchmark's plan.
        root: folder that the plan's paths are relative to.
        origins: where runs came from that were brought together; nothing where all were made here.
        workers: processes that draw, at least one; the bytes do not depend on it.

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
    plots = _plots(plan, collected, analyses, root, workers)
    pages = data_pages(plan, root)
    long = _long(plan, collected, analyses)
    text = page(plan, collected, analyses, tables, plots, list(pages), origins, list(long))
    files = {
        **long,
        **{f"tables/{name}": content for table in tables for name, content in _table_files(table).items()},
        **{f"figures/{plot.name}{end}": content for plot in plots for end, content in plot.files.items()},
        **{path: content for own in pages.values() for path, content in own.items()},
        "report/index.html": text.encode(),
    }
    folder = (root / plan.report.record).parent
    _clear(folder)  # only now: what could not be made leaves the earlier report as it was
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / path, content)
    record = root / (plan.partial_report if collected.missing else plan.report.record)
    _seal(plan, record, sorted(files), collected.finished, _without(plan, collected))
    index = folder / "report" / "index.html"
    print(f"report: {index}")
    return index


def _tables(plan: Plan, collected: Collected, analyses: dict[str, DatasetAnalysis]) -> list[Table]:
    titles = {name: card.title for name, card in plan.cards.items()}
    main, *scored = score_tables(analyses, collected, titles)
    return [
        with_bought(main, plan),
        *scored,
        *comparison_tables(analyses, plan.benchmark, titles),
        *failure_tables(analyses, plan, collected, titles),
        *worth_tables(analyses, plan, collected, titles),
        fairness_table(analyses, plan, titles),
        signs_table(analyses, collected, titles),
        *record_tables(plan, collected, titles),
    ]


def _plots(plan: Plan, collected: Collected, analyses: dict[str, DatasetAnalysis], root: Path, workers: int) -> list[Plot]:
    """All figures; drawing them takes nearly all the time of a report."""
    work: list[Callable[[], list[Plot]]] = []
    for analysis in analyses.values():
        work += [
            partial(run_plots, analysis, plan, collected),  # the longest first
            partial(score_plots, analysis, plan.benchmark),
            *(partial(overlay_plots, analysis, plan, collected, root, [kind]) for kind in KINDS),
        ]
    if workers == 1:
        return [plot for part in work for plot in part()]
    with ProcessPoolExecutor(min(workers, len(work)), mp_context=multiprocessing.get_context("spawn")) as pool:
        return [plot for part in [pool.submit(part) for part in work] for plot in part.result()]


def _clear(folder: Path) -> None:
    """Remove the earlier report, its record first, so that a half-written one never looks finished."""
    for old in [*folder.glob("report-*.json"), *folder.glob("scores.csv*"), *folder.glob(DATAPACKAGE)]:
        old.unlink()
    for name in (*FOLDERS, CLAIMS):
        shutil.rmtree(folder / name, ignore_errors=True)


def _long(plan: Plan, collected: Collected, analyses: dict[str, DatasetAnalysis]) -> dict[str, bytes]:
    """All score rows in one file, what its columns mean, and the tables that claims-reloaded reads, by path."""
    rows, claims = long_scores(plan, collected), claims_tables(analyses, collected)
    return {
        SCORES: compressed(rows),
        DATAPACKAGE: datapackage(plan, rows, claims),
        **{path: table.to_csv(index=False, lineterminator="\n").encode() for path, table in claims.items()},
    }


def _table_files(table: Table) -> dict[str, bytes]:
    texts = {"csv": table.csv(), "md": table.markdown(), "tex": table.latex()}
    return {f"{table.name}.{suffix}": text.encode() for suffix, text in texts.items()}


def _without(plan: Plan, collected: Collected) -> list[str]:
    """The records that a report is made without: those that the page calls missing, and the scores of fine-tunings among them."""
    missing = {job.record for job in collected.missing}
    return [str(j.record) for j in plan.jobs.values() if j.record in missing or (j.phase == "score" and j.start in missing)]


def _seal(plan: Plan, record: Path, files: Sequence[str], runs: int, missing: list[str]) -> None:
    write_record(
        record,
        {
            "spec": plan.report.spec.dump(),
            "label": plan.report.label,
            "runs": runs,
            "missing": missing,
            "environment": {k: v for k, v in environment().items() if k != "commit"},  # the key holds the code already
            "files": {name: sha256_file(record.parent / name) for name in files},
        },
    )
