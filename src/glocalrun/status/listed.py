"""The jobs of a call in a file beside its configuration: whoever asks how far it is plans no thousands of jobs for that."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from glocalrun.calls import log_of
from glocalseg.config.benchmark import Benchmark
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import fetched_record, verified_record
from glocalseg.plan.phases import PHASES
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.files import write_atomic
from glocalseg.weights.card import CALLED

SUFFIX = ".jobs"
LIBRARY = Path(__file__).resolve().parents[2] / "glocalseg"
ASIDE = {"mirror", "hardware"}  # of a benchmark: they change no path
_RULES = {"fetch": "fetch", "verify": "verify", "data": "prepare"}  # by phase: they lie below data, their logs by rule
FETCH_WEIGHTS = "fetch_weights"
TITLES = {"fetch": "Fetching", FETCH_WEIGHTS: "Fetching of weights", "verify": "Verification"} | {
    name: phase.title for name, phase in PHASES.items()
}


class Listed(NamedTuple):
    """What is to be known of a job without its specification.

    ``phase`` is also ``fetch``, ``fetch_weights`` or ``verify``, which are no jobs of a plan; ``budget`` and ``repeat`` are
    names, empty for none; ``parents`` are places in the list of jobs.
    """

    phase: str
    record: str
    label: str
    dataset: str = ""
    name: str = ""
    budget: str = ""
    repeat: str = ""
    seed: int | None = None
    parents: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """What a person calls it: ``fine-tuning hippocampus gd n1 r2``."""
        return f"{TITLES[self.phase].lower()} {self.label}"

    @property
    def log(self) -> Path:
        """Where its program says what it does."""
        parts = Path(self.record).parts
        if self.phase == "report":
            return Path("logs", "report", parts[1], f"{Path(self.record).stem.removeprefix('report-')}.log")
        if self.phase == FETCH_WEIGHTS:
            return Path("logs", FETCH_WEIGHTS, f"{parts[2]}.log")
        if self.phase in _RULES:
            return Path("logs", _RULES[self.phase], parts[2], f"{'-'.join(parts[3:-1])}.log")
        return log_of(self.record)


@dataclass(frozen=True)
class Listing:
    """The jobs of a benchmark, in an order in which they can run, and how the call that listed them makes them.

    ``made_of`` is the digest of what the plan was made of; ``executor`` is Snakemake's, empty where no call listed them;
    ``slots`` is how many jobs may run at a time, 0 where that is not known.
    """

    made_of: str
    jobs: tuple[Listed, ...]
    executor: str = ""
    slots: int = 0


def listed(plan: Plan) -> tuple[Listed, ...]:
    """The jobs of a plan, and before them what brings and verifies its data, and brings its bought-in weights."""
    found = [Listed(FETCH_WEIGHTS, str(own.record), name) for name, own in plan.bought.items()]
    weights = {Path(job.record): n for n, job in enumerate(found)}
    verified: dict[str, int] = {}
    for name, card in plan.cards.items():
        found.append(Listed("fetch", str(fetched_record(card)), name, name))
        verified[name] = len(found)
        found.append(Listed("verify", str(verified_record(card)), name, name, parents=(verified[name] - 1,)))
    place = {record: n for n, record in enumerate(plan.jobs, len(found))}
    for record, job in plan.jobs.items():
        parents = tuple(place[parent] for parent in job.parents)
        if job.phase == "data":
            parents = (verified[job.dataset],)
        if job.bought is not None:
            parents += (weights[job.bought],)
        repeat = job.repeat.name if job.repeat else ""
        budget = "" if job.budget is None else str(job.budget)
        found.append(Listed(job.phase, str(record), job.label, job.dataset, job.name, budget, repeat, job.seed, parents))
    return tuple(found)


def write_list(path: Path, listing: Listing) -> None:
    """Write a list, never half of it."""
    write_atomic(path, json.dumps(vars(listing), ensure_ascii=False).encode())  # on one line: indented, it takes seconds


def read_list(path: Path) -> Listing | None:
    """A list as it was written; None if there is none, or it is none."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        made = tuple(Listed._make([*job[:-1], tuple(job[-1])]) for job in raw["jobs"])
        return Listing(str(raw["made_of"]), made, str(raw["executor"]), int(raw["slots"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return None


def made_of(benchmark: Benchmark, cards: Path) -> str:
    """Digest of all that a plan is made of: what the benchmark says, its data sets' cards and lock files, and the library.

    Of bought-in weights, which are large, size and date stand for the content.
    """
    value = benchmark.model_dump(mode="json", by_alias=True, exclude=ASIDE)
    known = [path for name in benchmark.datasets for path in sorted(cards.glob(f"{name}.*"))]
    bought = [name for name in map(str, _weights(value)) if CALLED.fullmatch(name)]
    known += [path for name in bought for path in sorted(cards.with_name("weights").glob(f"{name}.*"))]
    contents = [[path.name, sha256_file(path)] for path in known]
    weights = [[str(path), *_size_and_date(path)] for path in _weights(value)]
    return digest({"benchmark": value, "cards": contents, "library": _library(), "weights": weights})


@cache
def _library() -> str:
    """Digest of the library's files, as they were when this process first asked: it plans with what it imported."""
    files = [path for path in sorted(LIBRARY.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return digest([[path.relative_to(LIBRARY).as_posix(), sha256_file(path)] for path in files])


def _weights(value: Any) -> Iterator[Path]:
    """Files of weights that a configuration names, at any depth: ``weights: ...``, ``network.weights: ...``."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if isinstance(inner, str) and name.rpartition(".")[2] == "weights":
                yield Path(inner)
            else:
                yield from _weights(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _weights(inner)


def _size_and_date(path: Path) -> Sequence[int]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns
