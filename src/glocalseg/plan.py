"""The graph of one benchmark: every job with its path, its parents and what its key is made of (DESIGN.md 7).

Nothing here imports torch or looks at data, so that ``snakemake -n`` lists a whole grid in a second, without any data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from glocalseg.config import Benchmark, Card, ConfigError, GeneratedSource, SplitRule
from glocalseg.data.splits import Budget, draws_of
from glocalseg.provenance import KEY_DIGITS, PACKAGE, code_digest, content_key, digest, sha256_file

Phase = Literal["data", "pretrain_global", "pretrain_local", "diagnose", "finetune", "report"]
UNVERIFIED = "not verified yet"


@dataclass(frozen=True)
class Job:
    """One folder to make. ``record`` is its declared output; ``parts`` is all that its key depends on."""

    phase: Phase
    record: Path
    parts: Mapping[str, Any] = field(repr=False)
    dataset: str = ""
    name: str = ""  # strategy ("gd", "gd+lr") or method ("random", "gd+lr")
    budget: Budget | None = None
    draw: int | None = None
    seed: int | None = None
    data: Path | None = None  # manifest of the slice store
    start: Path | None = None  # run.json of the pretraining whose weights it starts from
    parents: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        """What a person calls the job: dataset, method, budget, draw and seed."""
        parts = [self.dataset, self.name, *(f"{k}{v}" for k, v in (("n", self.budget), ("c", self.draw)) if v is not None)]
        return " ".join([*(p for p in parts if p), *([f"seed{self.seed}"] if self.seed is not None else [])])


@dataclass(frozen=True)
class Plan:
    """All jobs of a benchmark by record, in an order in which they can run; the report comes last."""

    benchmark: Benchmark
    cards: Mapping[str, Card]
    jobs: Mapping[Path, Job]
    report: Job

    def of(self, phase: Phase) -> list[Job]:
        """The jobs of one phase."""
        return [job for job in self.jobs.values() if job.phase == phase]

    def job(self, record: Path) -> Job:
        """The job that makes a record. Raises ConfigError if no job of this configuration does."""
        try:
            return self.jobs[record]
        except KeyError:
            raise ConfigError(
                f"{record}: expected a path that benchmark {self.benchmark.name!r} gives with the present code and "
                "configuration, found one that it does not: start again with the path that `snakemake -n` lists"
            ) from None


def make_plan(benchmark: Benchmark, cards: Mapping[str, Card], *, lock_folder: Path) -> Plan:
    """Every job of a benchmark.

    Args:
        benchmark: methods, budgets, draws, seeds and all parameters.
        cards: the card of each of its data sets.
        lock_folder: where ``<dataset>.lock.json`` lies beside the cards, for data whose archive has no checksum.

    Raises:
        ConfigError: unknown strategy, regime or budget; a budget larger than the training list; a missing weights file.
    """
    check(benchmark, cards)
    jobs: dict[Path, Job] = {}
    for name in benchmark.datasets:
        for job in _dataset_jobs(benchmark, cards[name], lock_folder):
            jobs[job.record] = job
    runs = sorted(str(r) for r in jobs)
    parts = {
        "benchmark": benchmark.model_dump(by_alias=True, exclude={"mirror", "hardware"}),
        "cards": {name: card.model_dump() for name, card in cards.items()},
        "runs": runs,
        "code": code_digest(f"{PACKAGE}.report.build"),
        "templates": {p.name: sha256_file(p) for p in sorted((Path(__file__).parent / "report" / "templates").glob("*.*"))},
    }
    record = Path("results") / benchmark.name / f"report-{content_key(parts)}.json"
    report = Job("report", record, parts, name=benchmark.name, parents=tuple(jobs))
    jobs[record] = report
    return Plan(benchmark, cards, jobs, report)


def check(benchmark: Benchmark, cards: Mapping[str, Card]) -> None:
    """Raise ConfigError if a method, a budget or a file of the benchmark does not exist: one line a problem."""
    problems = []
    strategies, regimes = available("pretraining.strategies"), available("finetuning.regimes")
    for method in benchmark.methods:
        for level, name in (("global", method.global_), ("local", method.local)):
            fitting = [s for s in strategies if strategy_level(s) in (level, None)]
            if name and name not in fitting:
                problems.append(f"methods: {level}: expected one of {', '.join(fitting)}, found {name!r}")
        if method.regime not in regimes:
            problems.append(f"methods: regime: expected one of {', '.join(regimes)}, found {method.regime!r}")
    for name in benchmark.strategies:
        if name not in strategies:
            problems.append(f"strategies: expected one of {', '.join(strategies)}, found {name!r}")
    for name, card in cards.items():
        rule = isinstance(card.splits, SplitRule)
        pool = card.subjects - card.splits.test - card.splits.validation if isinstance(card.splits, SplitRule) else 0
        for budget in benchmark.budgets:
            if rule and budget > pool:
                problems.append(f"budgets: expected at most {pool}, the training list of {name!r}, found {budget}")
            elif not isinstance(card.splits, SplitRule) and budget not in card.splits.budgets:
                listed = sorted(card.splits.budgets)
                problems.append(f"budgets: expected one of {listed}, which the card of {name!r} lists, found {budget}")
    if benchmark.network.weights and not Path(benchmark.network.weights).is_file():
        problems.append(f"network: weights: expected a safetensors file, found nothing at {benchmark.network.weights}")
    if problems:
        raise ConfigError("\n".join(problems))


def available(package: str) -> list[str]:
    """Names of the strategies or regimes there are: one file each in the package."""
    folder = Path(__file__).parent.joinpath(*package.split("."))
    return sorted(p.stem for p in folder.glob("*.py") if not p.stem.startswith("_"))


@cache
def strategy_level(name: str) -> str | None:
    """``global`` or ``local``, as the strategy's file says (``level = "local"``), read without running it."""
    path = Path(__file__).parent / "pretraining" / "strategies" / f"{name}.py"
    found = re.search(r"""^ +level(?:: [^=\n]+)? = ["'](global|local)["']$""", path.read_text(), re.MULTILINE)
    return found.group(1) if found else None


def dataset_identity(card: Card, lock_folder: Path) -> str:
    """What stands for the bytes of a data set in keys: its archive's checksum, or the digest of its lock file."""
    source = card.source
    if source.kind == "archive":
        return str(source.sha256 or source.md5)
    if isinstance(source, GeneratedSource):
        return digest([source.model_dump(), code_digest(f"{PACKAGE}.data.{source.generator}")])
    lock = lock_folder / f"{card.name}.lock.json"
    return sha256_file(lock) if lock.is_file() else UNVERIFIED


def verified_record(card: Card, lock_folder: Path) -> Path:
    """``data/raw/<dataset>/<identity>/verified.json``: that a data set is there and was checked, case by case."""
    identity = dataset_identity(card, lock_folder)
    folder = "unverified" if identity == UNVERIFIED else identity[:KEY_DIGITS]
    return Path("data/raw") / card.name / folder / "verified.json"


# ---------------------------------------------------------------- the jobs of one data set


def _dataset_jobs(b: Benchmark, card: Card, lock_folder: Path) -> Iterator[Job]:
    data = _data_job(b, card, lock_folder)
    yield data
    pretrained: dict[tuple[str, int], Job] = {}
    for seed in b.seeds:
        for method in b.methods:
            for job in _pretrain_jobs(b, card, data, method.global_, method.local, seed):
                if (job.name, seed) not in pretrained:
                    pretrained[job.name, seed] = job
                    yield job
    for seed in b.seeds:
        yield _diagnose_job(b, card, data, None, seed)
        for (_, s), job in pretrained.items():
            if s == seed:
                yield _diagnose_job(b, card, data, job, seed)
    for method in b.methods:
        for budget in b.budgets:
            yield from _finetune_jobs(b, card, data, method.id, method.pretraining, method.regime, budget, pretrained)
    if b.upper_bound:
        yield from _finetune_jobs(b, card, data, "random", None, "supervised", "all", pretrained)


def _data_job(b: Benchmark, card: Card, lock_folder: Path) -> Job:
    told = {"title", "licence", "citation", "source", "splits", "modality"}
    parts = {
        "phase": "data",
        "identity": dataset_identity(card, lock_folder),
        "card": card.model_dump(exclude=told),
        "partition_bounds": b.partition_bounds,
        "code": code_digest(f"{PACKAGE}.data.prepare", f"{PACKAGE}.data.readers.{card.reader}"),
    }
    record = Path("data/slices") / card.name / content_key(parts) / "manifest.json"
    return Job("data", record, parts, dataset=card.name)


def _pretrain_jobs(b: Benchmark, card: Card, data: Job, first: str | None, second: str | None, seed: int) -> Iterator[Job]:
    if first is None:
        return
    common = {"data": _key(data.record), "seed": seed, "threads": b.threads, "network": _network(b), "split": _pool(card)}
    parts = {
        **common,
        "phase": "pretrain_global",
        "strategy": first,
        "options": b.strategies.get(first, {}),
        "config": b.pretrain_global.model_dump(),
        "code": _code(b, "stages.pretrain_global", f"pretraining.strategies.{first}"),
    }
    record = _pretrain_record(card, first, seed, parts)
    start = Job("pretrain_global", record, parts, card.name, first, seed=seed, data=data.record, parents=(data.record,))
    yield start
    if second is None:
        return
    parts = {
        **common,
        "phase": "pretrain_local",
        "strategy": second,
        "options": b.strategies.get(second, {}),
        "config": b.pretrain_local.model_dump(),
        "start": _key(record),
        "code": _code(b, "stages.pretrain_local", f"pretraining.strategies.{second}"),
    }
    name = f"{first}+{second}"
    yield Job(
        "pretrain_local", _pretrain_record(card, name, seed, parts), parts, card.name, name, seed=seed,
        data=data.record, start=record, parents=(data.record, record),
    )  # fmt: skip


def _diagnose_job(b: Benchmark, card: Card, data: Job, start: Job | None, seed: int) -> Job:
    name = start.name if start else "random"
    parts = {
        "phase": "diagnose",
        "data": _key(data.record),
        "seed": seed,
        "threads": b.threads,
        "network": _network(b),
        "split": _pool(card),
        "local": b.pretrain_local.model_dump(include={"blocks"}),
        "start": _key(start.record) if start else None,
        "code": _code(b, "stages.diagnose"),
    }
    record = Path("results/diagnose") / card.name / name / f"seed{seed}" / content_key(parts) / "run.json"
    parents = (data.record, start.record) if start else (data.record,)
    return Job(
        "diagnose", record, parts, card.name, name, seed=seed, data=data.record,
        start=start.record if start else None, parents=parents,
    )  # fmt: skip


def _finetune_jobs(
    b: Benchmark,
    card: Card,
    data: Job,
    method: str,
    pretraining: str | None,
    regime: str,
    budget: Budget,
    pretrained: Mapping[tuple[str, int], Job],
) -> Iterator[Job]:
    for draw in draws_of(card.splits, budget, b.draws):
        for seed in b.seeds:
            start = pretrained[pretraining, seed].record if pretraining else None
            parts = {
                "phase": "finetune",
                "data": _key(data.record),
                "split": _labelled(card, budget, draw),
                "seed": seed,
                "threads": b.threads,
                "network": _network(b),
                "start": _key(start) if start else None,
                "regime": regime,
                "config": b.finetune.model_dump(),
                "code": _code(b, "stages.finetune", f"finetuning.regimes.{regime}"),
            }
            folder = Path("results/finetune") / card.name / method / f"n{budget}" / f"c{draw}" / f"seed{seed}"
            yield Job(
                "finetune", folder / content_key(parts) / "run.json", parts, card.name, method, budget, draw, seed,
                data=data.record, start=start, parents=(data.record, start) if start else (data.record,),
            )  # fmt: skip


def _pretrain_record(card: Card, name: str, seed: int, parts: Mapping[str, Any]) -> Path:
    return Path("results/pretrain") / card.name / name / f"seed{seed}" / content_key(parts) / "run.json"


def _key(record: Path) -> str:
    return record.parent.name


def _code(b: Benchmark, *entries: str) -> str:
    """Digest of what the entry modules import, and of the encoder's module where it is not the U-Net."""
    encoder = () if b.network.encoder == "unet" else ("networks.timm_encoder",)
    return code_digest(*(f"{PACKAGE}.{entry}" for entry in (*entries, *encoder)))


def _network(b: Benchmark) -> dict[str, Any]:
    dump = b.network.model_dump()
    if b.network.weights:
        dump["weights"] = sha256_file(Path(b.network.weights))
    return dump


def _pool(card: Card) -> Any:
    return card.splits.model_dump() if isinstance(card.splits, SplitRule) else card.splits.pretrain


def _labelled(card: Card, budget: Budget, draw: int) -> dict[str, Any]:
    if isinstance(card.splits, SplitRule):
        return {"rule": card.splits.model_dump(), "budget": budget, "draw": draw}
    labelled = card.splits.all if budget == "all" else card.splits.budgets[budget][draw - 1]
    return {**labelled.model_dump(), "test": card.splits.test}
