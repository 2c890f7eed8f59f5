"""A finished report as it is compared with another: scores, verdicts, and what is known of how it was made."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from glocalseg.config.benchmark import StatisticsConfig
from glocalseg.config.model import ConfigError, parse
from glocalseg.evaluation.statistics.arrays import RUN
from glocalseg.plan.phases import PHASES
from glocalseg.records.digest import sha256_file
from glocalseg.records.sealed import read_record
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.source import RECORDS
from glocalseg.report.tables.long.rows import SCORES

ROW = [*RUN, "subject", "volume", "structure", "metric", "weights"]  # what a score is of
OF_RUN = ["draw", "pretraining_seed", "finetuning_seed"]  # what a repeat is, where a table says so
COMPARED = ["dataset", "family", "method", "baseline", "budget"]
FAMILIES = ("primary", "claims", "comparisons", "controls")  # the tables of declared comparisons
SHOWN = 200  # letters of another error in a message


@dataclass(frozen=True)
class Side:
    """One of two reports.

    ``name`` is how a person called it; ``scores`` has a row per score (ROW, ``value``, and what there is of OF_RUN);
    ``verdicts`` holds a text by COMPARED; ``files`` the sha256 of every file by path. ``spec`` is what the record says was to be
    reported, and ``commits`` counts the commits that runs were made by; both None where that is not known;
    of published reports only ``commits`` is.
    """

    name: str
    scores: pd.DataFrame
    verdicts: Mapping[tuple[str, ...], str]
    files: Mapping[str, str]
    statistics: StatisticsConfig
    spec: Mapping[str, Any] | None
    missing: Sequence[str]
    commits: Mapping[str, int] | None


def read_side(folder: Path) -> Side:
    """A report's folder, ``results/<benchmark>``, the folder ``report`` in it or its page, or a published report.

    Raises:
        ReportError: if it is no report, or a file of it cannot be read or was changed after it was made; one line.
        CorruptedError: if its record was changed.
    """
    around = folder.parent if folder.name == "index.html" else folder
    around = around.parent if around.name == "report" else around
    if not (around / SCORES).is_file():
        raise ReportError(f"{folder}: expected the folder of a report, with {SCORES}, found none there")
    records = sorted(around.glob(RECORDS))
    if len(records) > 1:
        raise ReportError(f"{folder}: expected one record of a report, found {', '.join(p.name for p in records)}")
    record = read_record(records[0]) if records else {}
    spec = record.get("spec")
    files = dict(record["files"]) if records else _hashed(around)
    for path in (SCORES, *(f"tables/{name}.csv" for name in FAMILIES)):
        if path in files and (not (around / path).is_file() or sha256_file(around / path) != files[path]):
            raise ReportError(f"{around / path}: expected the file that the report was sealed with, found another or none")
    scored = PHASES["score"].folder  # whose fine-tuning is named beside it
    missing = [name for name in record.get("missing", ()) if not Path(name).is_relative_to(scored)]
    return Side(
        str(folder), _scores(around / SCORES), _verdicts(around / "tables"), files, _statistics(spec, str(folder)), spec,
        missing, _commits(around, spec) if spec else None,
    )  # fmt: skip


def _hashed(folder: Path) -> dict[str, str]:
    """The sha256 of all files of a report that has no record."""
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def _scores(path: Path) -> pd.DataFrame:
    text = {name: str for name in (*ROW, *OF_RUN)}
    try:
        rows = pd.read_csv(path, dtype=text, keep_default_na=False, na_values={"value": [""]}, compression="gzip")
    except (OSError, EOFError, ValueError, zlib.error, gzip.BadGzipFile) as error:
        said = " ".join(str(error).split())[:SHOWN]
        raise ReportError(
            f"{path}: expected a table of scores as gzipped CSV, found: {said or type(error).__name__}"
        ) from None
    if lacking := [name for name in (*ROW, "value") if name not in rows]:
        raise ReportError(f"{path}: expected columns {', '.join((*ROW, 'value'))}, found none called {', '.join(lacking)}")
    if not pd.api.types.is_numeric_dtype(rows["value"]):
        wrong = rows["value"][pd.to_numeric(rows["value"], errors="coerce").isna() & rows["value"].notna()]
        raise ReportError(f"{path}: value: expected numbers, found {str(wrong.iloc[0])[:SHOWN]!r}")
    if (twice := rows.duplicated(ROW)).any():
        first = ", ".join(rows.loc[twice, ROW].iloc[0])
        raise ReportError(f"{path}: expected every score once, found {int(twice.sum())} twice: {first[:SHOWN]}")
    kept = [*ROW, *(name for name in OF_RUN if name in rows), "value"]
    return rows[kept].astype({"value": float})


def _verdicts(tables: Path) -> dict[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for name in FAMILIES:
        path = tables / f"{name}.csv"
        try:
            rows = pd.read_csv(path, dtype=str, keep_default_na=False) if path.is_file() else pd.DataFrame()
        except (OSError, ValueError) as error:
            raise ReportError(f"{path}: expected a table, found: {' '.join(str(error).split())[:SHOWN]}") from None
        if {*COMPARED, "verdict"} <= set(rows):
            found |= {tuple(row[c] for c in COMPARED): row["verdict"] for row in rows.to_dict("records")}
    return found


def _statistics(spec: Any, name: str) -> StatisticsConfig:
    """As the report's benchmark has them; the usual ones where that is not known."""
    if spec is None:
        return StatisticsConfig()
    try:
        return parse(StatisticsConfig, spec["benchmark"]["statistics"], name)
    except (KeyError, TypeError):
        raise ReportError(f"{name}: expected a record with its benchmark's statistics, found another one") from None
    except ConfigError as error:
        raise ReportError(str(error).split("\n")[0]) from None


def _commits(folder: Path, spec: Mapping[str, Any]) -> dict[str, int] | None:
    """How many runs each commit made, as far as their records lie beside the report; None where none does."""
    root, found = folder.absolute().parents[1], Counter[str]()
    for record in spec.get("runs", ()):
        try:
            made = json.loads((root / record).read_text(encoding="utf-8")).get("environment", {})
        except (OSError, ValueError, AttributeError):
            continue
        if made:
            found[str(made.get("commit") or "not recorded")] += 1
    return dict(found.most_common()) or None
