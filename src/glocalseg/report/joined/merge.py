"""Several benchmarks or sites as one: a folder with all their runs, and a plan of exactly these.

The joined benchmark is the whole grid of all data sets, methods, budgets and repeats; the plan is the part of it that somebody
planned. What nobody did is no run that is missing, and a dash in the tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from glocalseg.config.benchmark import Benchmark
from glocalseg.data.acquire.lock.file import locked
from glocalseg.data.cards.card import Card
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import WEIGHTS, make_plan
from glocalseg.plan.phases import PHASES
from glocalseg.records.files import write_atomic, write_json
from glocalseg.records.sealed import CorruptedError, read_record
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.bring import Brought, look, place
from glocalseg.report.joined.fitting import differences, flat, join_benchmarks
from glocalseg.report.joined.source import CARDS, Source, runs_of
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import ALL

EARLIER = "an earlier call"  # of report-merge: where runs came from that no folder has any more
SOURCES = "sources.json"  # in the joined folder: where each run came from
FIRST = ("name", "title", "datasets", "methods", "budgets", "repeats", "upper_bound")  # as people write a configuration
FOLLOWS = {"key", "data", "start"}  # of a specification: what is other because what it starts from is other


@dataclass(frozen=True)
class Joined:
    """The plan of what was joined, its configuration's file, and what is said of where runs came from.

    ``further`` counts the fine-tunings of the whole grid that no folder planned; ``configuration`` would make them.
    """

    plan: Plan
    configuration: Path
    origins: tuple[Fact, ...]
    further: int


def merge(sources: Sequence[Source], out: Path, *, lock_folder: Path) -> Joined:
    """Bring the runs of all sources below ``out``, beside a configuration of all; ``build`` makes the report of it.

    Args:
        sources: folders with runs.
        out: the joined folder, new or of an earlier call: ``data/slices``, ``results`` and ``config``, as in a checkout.
        lock_folder: lock files of data sets for which no source has one.

    Raises:
        ReportError: for what does not go together, a line each; nothing was brought then.
        ConfigError: if the joined benchmark cannot be planned.
    """
    _require_apart(sources, out)
    benchmark = join_benchmarks(sources)
    cards: dict[str, Card] = {}
    for source in sources:
        cards = {**source.cards, **cards}
    locks = _locks(cards, sources, lock_folder)
    with TemporaryDirectory() as folder:
        _write_locks(locks, Path(folder))
        whole = make_plan(benchmark, cards, lock_folder=Path(folder), weights=lock_folder.parent / WEIGHTS)
    _require_planned(sources, whole)
    _require_primary(sources, whole)
    plan = _part(whole, {run for source in sources for run in source.runs})
    wanted = [plan.jobs[record] for record in runs_of(plan)]
    kept = Source(EARLIER, out, benchmark, cards, (), {})
    brought, problems = look(wanted, sources, kept)
    if problems:
        raise ReportError("\n".join(problems))
    origins = _origins([*sources, kept] if any(of is kept for of, _ in brought.values()) else sources, brought)
    write_json(out / SOURCES, {
        "sources": {fact.label: fact.value for fact in origins},
        "runs": {str(record): source.name for record, (source, _) in brought.items()},
    })  # fmt: skip
    place(wanted, brought, sources, out)
    (out / CARDS).mkdir(parents=True, exist_ok=True)
    _write_locks(locks, out / CARDS)
    configuration = out / "config" / f"{benchmark.name}.yaml"
    write_atomic(configuration, _written(benchmark, sources).encode())
    return Joined(plan, configuration, origins, len(whole.of("finetune")) - len(plan.of("finetune")))


def _require_apart(sources: Sequence[Source], out: Path) -> None:
    """Raise ReportError if the joined folder is one of those that are joined, or holds something else."""
    if twice := [name for name, n in Counter(s.name for s in sources).items() if n > 1]:
        raise ReportError(f"{twice[0]}: expected every folder once, found it twice")
    for source in sources:
        if out.resolve() == source.root.resolve():
            raise ReportError(f"OUT: expected another folder than those that are joined, found {out}")
    if out.exists() and not (out / SOURCES).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise ReportError(
            f"OUT: expected a new folder, or one that report-merge made, found {out}, which holds something else"
        )


def _locks(cards: Mapping[str, Card], sources: Sequence[Source], lock_folder: Path) -> dict[str, bytes]:
    """A lock file for every data set that has one somewhere, read as its card reads the data."""
    found = {}
    for name, card in cards.items():
        places = [*(source.lock(name) for source in sources), lock_folder / f"{name}.lock.json"]
        for path in places:
            if name not in found and locked(path, card.reading):
                found[name] = path.read_bytes()
    return found


def _write_locks(locks: Mapping[str, bytes], folder: Path) -> None:
    for name, content in locks.items():
        write_atomic(folder / f"{name}.lock.json", content)


def _part(whole: Plan, planned: set[Path]) -> Plan:
    """The plan of the runs that somebody planned; the whole one, with its own key, where that is all."""
    jobs = {record: job for record, job in whole.jobs.items() if record in planned}
    if len(jobs) == len(whole.jobs) - 1:
        return whole
    spec = whole.report.spec.model_copy(update={"runs": tuple(sorted(map(str, jobs)))})
    record = PHASES["report"].record(benchmark=whole.benchmark.name, key=spec.key)
    report = replace(whole.report, record=record, spec=spec, parents=tuple(jobs))
    return replace(whole, jobs={**jobs, record: report}, report=report)


def _require_primary(sources: Sequence[Source], plan: Plan) -> None:
    """Raise ReportError where joining would move a primary comparison that was written down to a smaller number of volumes."""
    smallest = _smallest(plan, plan.jobs)
    problems = []
    for source in (s for s in sources if s.benchmark.statistics.primary):
        for dataset, own in _smallest(plan, source.runs).items():
            if own != smallest[dataset]:
                problems.append(
                    f"{source.name}: statistics.primary: expected {smallest[dataset]} labelled volumes of {dataset} as the "
                    f"smallest number, which another folder has, found {own}: the comparison was declared there"
                )
    if problems:
        raise ReportError("\n".join(problems))


def _smallest(plan: Plan, runs: Iterable[Path]) -> dict[str, int]:
    """The smallest number of labelled volumes that fine-tunings among some records have, by data set."""
    found: dict[str, int] = {}
    for job in (plan.jobs[run] for run in runs if run in plan.jobs):
        if job.phase == "finetune" and job.budget is not None and job.budget != ALL:
            found[job.dataset] = min(int(job.budget), found.get(job.dataset, int(job.budget)))
    return found


# ---------------------------------------------------------------- runs of other code


def _require_planned(sources: Sequence[Source], plan: Plan) -> None:
    """Raise ReportError, a line a cause, if a source planned runs that the joined plan does not have."""
    problems = [line for source in sources for line in _unplanned(source, plan)]
    if problems:
        raise ReportError("\n".join(problems))


def _unplanned(source: Source, plan: Plan) -> Iterator[str]:
    unknown, causes = unplanned(source, plan)
    yield from causes
    if unknown and not causes:
        yield (
            f"{source.name}: {unknown[0].parent}: expected keys that this code gives, found {len(unknown)} others, for which "
            "code or data must be the reason: join them with the checkout that made them"
        )


def unplanned(source: Source, plan: Plan) -> tuple[list[Path], list[str]]:
    """The runs of a source that a plan does not have, and in what those differ that it has by another key, a line a cause."""
    unknown = [run for run in source.runs if run not in plan.jobs]
    causes: Counter[tuple[str, str, str]] = Counter()
    example: dict[tuple[str, str, str], Path] = {}
    for run in unknown:
        for cause in _causes(source.root / run, run, plan):
            causes[cause] += 1
            example.setdefault(cause, run)
    lines = []
    for cause, count in causes.items():
        path, expected, found = cause
        more = f" (and {count - 1} more)" if count > 1 else ""
        why = ": other code made it, which may give other numbers" if path == "code" else ""
        lines.append(f"{source.name}: {example[cause].parent}{more}: {path}: expected {expected}, found {found}{why}")
    return unknown, lines


def _causes(record: Path, run: Path, plan: Plan) -> Iterator[tuple[str, str, str]]:
    """In what a finished run's specification differs from the one that its place in the plan has; what follows left out."""
    candidates = [job for job in plan.jobs.values() if job.record.parent.parent == run.parent.parent]
    if not record.is_file() or not candidates:
        return
    try:
        own = flat(read_record(record).get("spec") or {})
    except CorruptedError as error:
        raise ReportError(str(error)) from None
    found = [_different(job, own) for job in candidates]
    yield from min(found, key=len)


def _different(job: Job, own: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [d for d in differences(flat(job.spec.dump()), own) if d[0] not in FOLLOWS]


# ---------------------------------------------------------------- what is said of it


def _origins(sources: Sequence[Source], brought: Brought) -> tuple[Fact, ...]:
    """By source: how many runs were taken from it, and what they were made on."""
    facts = []
    for source in sources:
        own = [payload for of, payload in brought.values() if of is source and "device" in payload]
        made = Counter(_made(payload) for payload in own)
        said = "; ".join(f"{text} ({n})" if len(made) > 1 else text for text, n in made.most_common())
        count = f"{len(own)} training{'' if len(own) == 1 else 's'} and diagnoses of {source.benchmark.name}"
        facts.append(Fact(f"From {source.name}", ": ".join(part for part in (count, said) if part)))
    return tuple(facts)


def _made(payload: Mapping[str, Any]) -> str:
    made, device = payload.get("environment", {}), payload["device"]
    commit = made.get("commit")
    parts = [str(device.get("name")), str(made.get("system")), f"commit {commit}" if commit else "commit not recorded"]
    return ", ".join(parts)


def _written(benchmark: Benchmark, sources: Sequence[Source]) -> str:
    raw = benchmark.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    raw = {name: raw[name] for name in (*(n for n in FIRST if n in raw), *(n for n in raw if n not in FIRST))}
    head = f"# Joined by `make report-merge` of {listed([source.name for source in sources])}.\n"
    return head + yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=120)
