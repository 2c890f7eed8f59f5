"""The runs of a published report, without weights and predictions, put where a benchmark goes on from them."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from glocalrun.calls import STATE, lock_of_job
from glocalrun.locks import take
from glocalrun.plans import CARDS, plan_of
from glocalseg.config.model import ConfigError
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.lacking import lacking
from glocalseg.plan.make import UNVERIFIED, identity
from glocalseg.plan.phases import PHASES
from glocalseg.records.sealed import CorruptedError, restore
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.archive import NAME
from glocalseg.report.joined.bring import look, place_run
from glocalseg.report.joined.merge import unplanned
from glocalseg.report.joined.source import Source, read_source, runs_of

ROOT = Path(".")


@dataclass(frozen=True)
class Restored:
    """What became of the runs of a published report: counts, and why some that are of the plan have other keys, a line each.

    ``there`` were here before, ``busy`` are being made, ``others`` are not of the plan.
    """

    placed: int
    there: int
    busy: int
    others: int
    causes: tuple[str, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help=f"results/published/<benchmark>, with {NAME}")
    parser.add_argument("--config", type=Path, required=True, help="configuration that is gone on with")
    args = parser.parse_args()
    try:
        plan = plan_of(args.config)
        _require_known(plan, args.config)
        with TemporaryDirectory() as scratch:
            found = put(published(args.folder, "restore", Path(scratch)), plan, ROOT)
    except (ConfigError, CorruptedError, ReportError, OSError) as error:
        sys.exit(str(error))
    for line in said(found, args.folder, plan):
        print(line)
    if not found.placed + found.there + found.busy:
        sys.exit(1)
    print(to_make(plan, ROOT))
    print(f"snakemake --profile local --configfile {args.config}")


def published(folder: Path | None, tool: str, scratch: Path) -> Source:
    """A published report with its runs. Raises ReportError, CorruptedError, ConfigError."""
    if folder is None:
        raise ReportError(f"make {tool}: expected RUNS=results/published/<benchmark>, found none")
    if not (folder / NAME).is_file():
        raise ReportError(f"{folder}: expected a published report with its runs, {NAME}, found none")
    return read_source(folder, scratch)


def _require_known(plan: Plan, config: Path) -> None:
    """Raise ConfigError where data was never verified: its contents are in every key."""
    if unknown := [name for name, card in plan.cards.items() if identity(card, CARDS) == UNVERIFIED]:
        raise ConfigError(
            f"{', '.join(unknown)}: expected a lock file in config/datasets, found none, so no key is known: copy it from where "
            f"the runs were made, or verify the data: snakemake --profile local --configfile {config} --until verify"
        )


def put(source: Source, plan: Plan, root: Path) -> Restored:
    """Put every run of a source that a plan has, and that is not there, below ``root``.

    Raises:
        ReportError: if a run is not of the specification that its path says.
    """
    known = [plan.jobs[record] for record in runs_of(plan) if record in source.runs]
    brought, problems = look(known, [source], source)
    if problems:
        raise ReportError("\n".join(problems))
    counts: Counter[str] = Counter()
    for record, (_, payload) in brought.items():
        with _held(record) as free:
            if free and not restore(root / record):
                place_run(source.root / record, payload, root / record)
                counts["placed"] += 1
            else:
                counts["there" if free else "busy"] += 1
    others, causes = unplanned(source, plan)
    return Restored(counts["placed"], counts["there"], counts["busy"], len(others), tuple(causes))


@contextmanager
def _held(record: Path) -> Iterator[bool]:
    """Hold what a program holds while it makes a record; False if one does."""
    path = lock_of_job(STATE, record)
    try:
        lock = take(path)
    except OSError:  # a file system without locks
        yield True
        return
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        lock.release()


def said(found: Restored, folder: Path, plan: Plan) -> Iterator[str]:
    """What became of the runs, a line each."""
    yield f"{found.placed} runs of {folder} are here now, without weights and predictions; {found.there} were here already"
    if found.busy:
        yield f"{found.busy} are being made here, and were left alone"
    if found.others:
        yield f"{found.others} are of no run of {plan.benchmark.name}, as this configuration and code have it"
    yield from found.causes


def to_make(plan: Plan, root: Path) -> str:
    """What is still to be made, by phase, and what is made again for its weights."""
    missing = [job for job in plan.jobs.values() if not (root / job.record).is_file()]
    gone = {job.record for job in missing}
    anew = [plan.jobs[record] for record in lacking(plan, gone.__contains__, root)]
    parts = [_counted(missing)] if missing else ["nothing"]
    parts += [f"again, because what is missing starts from their arrays: {_counted(anew)}"] if anew else []
    return f"To make: {'; '.join(parts)}"


def _counted(jobs: Sequence[Job]) -> str:
    counts = Counter(job.phase for job in jobs)
    return ", ".join(f"{counts[name]} x {phase.title.lower()}" for name, phase in PHASES.items() if counts[name])
