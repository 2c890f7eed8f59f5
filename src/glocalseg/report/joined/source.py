"""A folder whose runs are to be joined with others: the benchmark that they are of, its cards, and which runs it planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glocalseg.config.benchmark import Benchmark, load_benchmark, parse_benchmark
from glocalseg.config.model import parse
from glocalseg.data.acquire.lock.file import locked
from glocalseg.data.cards.card import Card, load_cards
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.digest import digest
from glocalseg.records.sealed import CorruptedError, read_record
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.archive import NAME, unpack
from glocalseg.stages.specs import DataSpec

CARDS = Path("config/datasets")  # of a checkout
RECORDS = "report-*.json"
EXPECTED = (
    "results/<benchmark> with its report-*.json, a checkout with one of these, a published report with its runs, or "
    "config/<name>.yaml of a checkout whose report was not made"
)


@dataclass(frozen=True)
class Source:
    """Runs below ``root`` of one benchmark.

    ``name`` is how a person called the folder; ``runs`` are the records that it planned, relative to ``root``, finished or not;
    ``identities`` says what stands for the contents of its data sets, as far as that is known there.
    """

    name: str
    root: Path
    benchmark: Benchmark
    cards: Mapping[str, Card]
    runs: tuple[Path, ...]
    identities: Mapping[str, str]

    def lock(self, dataset: str) -> Path:
        """Where the lock file of a data set lies, if it does."""
        return self.root / CARDS / f"{dataset}.lock.json"


def read_source(folder: Path, scratch: Path | None = None) -> Source:
    """What a folder, or a configuration's file, holds.

    Args:
        folder: one of EXPECTED.
        scratch: where the runs of a published report are unpacked, and have to stay as long as the source is read.

    Raises:
        ReportError: if it is none of EXPECTED.
        ConfigError: if the benchmark or a card cannot be read by this code.
        CorruptedError: if a record was changed.
    """
    if folder.suffix in (".yaml", ".yml", ".json") and folder.is_file():
        return _configured(folder)
    record = _record(folder)
    payload = read_record(record)
    spec = payload.get("spec")
    if not isinstance(spec, dict) or not {"benchmark", "cards", "runs"} <= set(spec):
        raise ReportError(
            f"{record}: expected the record of a report, with its benchmark, cards and runs, found another one"
        )
    benchmark = parse_benchmark(spec["benchmark"], where=str(record))
    cards = {name: parse(Card, raw, f"{record}: {name}") for name, raw in spec["cards"].items()}
    runs = tuple(Path(path) for path in spec["runs"])
    archive = record.with_name(NAME)
    if archive.is_file() and scratch is not None:
        root = scratch / digest(str(record))[:10]
        unpack(folder, runs, root, sealed=payload["files"].get(NAME))
    else:
        root = record.parents[2]
    if not any((root / run).is_file() for run in runs):
        raise ReportError(f"{folder}: expected {EXPECTED}, found a report without its runs")
    return _source(str(folder), root, benchmark, cards, runs)


def _configured(path: Path) -> Source:
    """The runs that a checkout's configuration gives, whether a report was made of them or not."""
    root = next((up for up in path.resolve().parents if (up / CARDS).is_dir()), None)
    if root is None:
        raise ReportError(f"{path}: expected a configuration in a checkout, beside {CARDS}, found none around it")
    benchmark = load_benchmark(path)
    cards = load_cards(benchmark.datasets, root / CARDS)
    plan = make_plan(benchmark, cards, lock_folder=root / CARDS)
    return _source(str(path), root, benchmark, cards, runs_of(plan))


def runs_of(plan: Plan) -> tuple[Path, ...]:
    """The records of everything in a plan but its report."""
    return tuple(record for record, job in plan.jobs.items() if job.phase != "report")


def _record(folder: Path) -> Path:
    """The record of the one report of a folder. Raises ReportError."""
    if not folder.is_dir():
        raise ReportError(f"{folder}: expected {EXPECTED}, found {'a file' if folder.exists() else 'nothing there'}")
    around = folder.parent if folder.name == "report" else folder
    found = sorted(around.glob(RECORDS)) or sorted(folder.glob(f"results/*/{RECORDS}"))
    if len(found) > 1:
        there = ", ".join(str(path.parent) for path in found)
        raise ReportError(f"{folder}: expected one report, found {len(found)}: name one of {there}")
    if not found:
        raise ReportError(f"{folder}: expected {EXPECTED}, found no record of a report")
    return found[0].absolute()


def _source(name: str, root: Path, benchmark: Benchmark, cards: Mapping[str, Card], runs: tuple[Path, ...]) -> Source:
    known = {n: found for n, card in cards.items() if (found := _identity(root, card, runs))}
    return Source(name, root, benchmark, cards, runs, known)


def _identity(root: Path, card: Card, runs: tuple[Path, ...]) -> str | None:
    """What stands for a data set's contents at a site, as its slice store, lock file or card says; None if unknown."""
    stores = [root / run for run in runs if run.parts[:3] == ("data", "slices", card.name)]
    for record in (path for path in stores if path.is_file()):
        spec: Any = read_record(record).get("spec")
        if not isinstance(spec, dict) or not set(DataSpec.model_fields) <= set(spec):
            raise CorruptedError(f"{record}: expected the record of a slice store, found another one")
        return str(spec["identity"])
    lock = locked(root / CARDS / f"{card.name}.lock.json", card.reading)
    return lock.identity if lock else card.source.identity
