"""A job and the plan of all jobs: plain values, looked up by the path of the record that a job makes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from glocalseg.config.benchmark import Benchmark, Repeat
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.given import Budget
from glocalseg.plan.bought import Bought
from glocalseg.plan.phases import PhaseName
from glocalseg.stages.specs import Place, Spec


@dataclass(frozen=True)
class Job:
    """One folder to make: what (``spec``), from what (``data``, ``start``, ``weights``), and what people call it.

    A fine-tuning and its scores are of a ``repeat``; a pretraining and its diagnosis have a ``seed``, which repeats may share.

    ``bought`` is the record of the bought-in weights: it comes with a fetch, as raw data does, and is no job of a plan.

    ``record`` is its declared output, relative to the repository's root as all paths here. ``name`` is the method's id; of a
    pretraining its chain, or the id of the first method whose settings make it another. ``chain`` is what it is made of, and
    stands in paths, so that calling a method otherwise makes nothing again.
    """

    phase: PhaseName
    record: Path
    spec: Spec
    dataset: str = ""
    name: str = ""
    chain: str = ""
    budget: Budget | None = None
    repeat: Repeat | None = None
    seed: int | None = None
    data: Path | None = None
    start: Path | None = None
    weights: Path | None = None
    bought: Path | None = None
    parents: tuple[Path, ...] = ()

    @property
    def label(self) -> str:
        """What a person calls the job: dataset, method, budget, and repeat or seed."""
        parts = [self.dataset, self.name, *([f"n{self.budget}"] if self.budget is not None else [])]
        last = [self.repeat.name] if self.repeat else [f"seed{self.seed}"] if self.seed is not None else []
        return " ".join([*(p for p in parts if p), *last])

    def place(self, root: Path = Path(".")) -> Place:
        """Where the job's inputs lie and its result goes, below ``root``."""
        below = {name: root / path for name in ("data", "start", "weights") if (path := getattr(self, name)) is not None}
        return Place(root / self.record, self.label, **below)


@dataclass(frozen=True)
class Plan:
    """All jobs of a benchmark by record, in an order in which they can run; the report comes last.

    ``notes`` are what is odd about the benchmark with its data, and runs all the same; ``bought`` are the bought-in weights that
    it uses, by the name of their card.
    """

    benchmark: Benchmark
    cards: Mapping[str, Card]
    jobs: Mapping[Path, Job]
    report: Job
    notes: tuple[str, ...] = ()
    bought: Mapping[str, Bought] = field(default_factory=dict)

    def of(self, phase: PhaseName) -> list[Job]:
        """The jobs of one phase."""
        return [job for job in self.jobs.values() if job.phase == phase]

    @property
    def partial_report(self) -> Path:
        """The record of a report that lacks runs: never taken for the finished one."""
        return self.report.record.with_name("report-partial.json")

    def job(self, record: Path) -> Job:
        """The job that makes a record. Raises ConfigError if no job of this configuration does."""
        try:
            return self.jobs[record]
        except KeyError:
            raise ConfigError(
                f"{record}: expected a path that benchmark {self.benchmark.name!r} gives with the present code and "
                "configuration, found one that it does not: start again with the path that `snakemake -n` lists"
            ) from None
