"""Hours that a benchmark takes on one device, from what throughput.py measured there.

Counts every job of the plan, so no data is needed. A training costs its steps x its images a step / images per second, as
measured at the frame size nearest to its data set's. Every job, a diagnosis and a score too, costs an overhead besides: its
start, the reading of the data, the test. Validation is in no measured step: its seconds can be given. Every regime counts as
supervised training does, which is too little for those that use unlabelled slices. Preparing the data and the report are left
out.

    python benchmarks/throughput.py --config config/paper.yaml --size 192 --csv 192.csv     # and once more with 160
    python benchmarks/sizing.py config/paper.yaml 192.csv 160.csv [--overhead 10] [--validation 0]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from glocalseg.config.benchmark import load_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import load_cards
from glocalseg.methods.catalogue import regimes
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.plan.phases import PHASES
from glocalseg.stages import finetune
from glocalseg.stages.specs import FinetuneSpec, UntrainedSpec

CARDS = Path(__file__).resolve().parents[1] / "config" / "datasets"
TRAININGS = tuple(name for name, phase in PHASES.items() if phase.trains)
NEEDED = ["phase", "name", "images_per_step", "images_per_second", "size"]


@dataclass(frozen=True)
class Costs:
    """Seconds of a job beside its steps, and of one validation while it fine-tunes."""

    overhead: float
    validation: float


def main() -> None:
    """Print the sizes that were taken, and a row per data set and phase with the total."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("config", type=Path, help="the benchmark")
    parser.add_argument("measured", type=Path, nargs="+", help="CSV files of throughput.py, one a frame size")
    parser.add_argument("--overhead", type=float, default=10.0, help="seconds of a job beside its steps")
    parser.add_argument("--validation", type=float, default=0.0, help="seconds of one validation")
    args = parser.parse_args()
    try:
        benchmark = load_benchmark(args.config)
        plan = make_plan(benchmark, load_cards(benchmark.datasets, CARDS), lock_folder=CARDS)
        measured = read(args.measured)
        print("\n".join(notes(plan, measured)))
        table = hours(plan, measured, Costs(args.overhead, args.validation))
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    print(table.round(2).to_string(index=False))
    print(f"{table['jobs'].sum()} jobs, {table['hours'].sum():.1f} hours, one at a time")


def read(files: Sequence[Path]) -> pd.DataFrame:
    """One row per frame size, phase and name: the fastest that was measured. Raises ConfigError."""
    tables = []
    for path in files:
        table = pd.read_csv(path)
        if missing := [c for c in NEEDED if c not in table]:
            raise ConfigError(f"{path}: expected a CSV of throughput.py, found none of {', '.join(missing)}")
        tables.append(table)
    rows = pd.concat(tables).sort_values("images_per_second", kind="stable", ascending=False)
    return rows.drop_duplicates(["size", "phase", "name"]).reset_index(drop=True)


def nearest(plan: Plan, dataset: str, measured: pd.DataFrame) -> int:
    """The measured size whose number of pixels is nearest to that of a data set's frame; of two the larger."""
    height, width = plan.cards[dataset].frame.size
    return int(min(sorted(set(measured["size"]), reverse=True), key=lambda size: abs(size * size - height * width)))


def rate(job: Job, plan: Plan, measured: pd.DataFrame) -> pd.Series:
    """The measurement that stands for a training: its strategy's at the nearest size; for a fine-tuning a supervised one, if any.

    What other regimes cost changes while they train (rounds, stages), so no measurement of a few steps stands for them.

    Raises:
        ConfigError: if there is none.
    """
    rows = measured[(measured["size"] == nearest(plan, job.dataset, measured)) & (measured["phase"] == job.phase)]
    if job.phase != "finetune":
        rows = rows[rows["name"].str.rpartition("+")[2] == job.chain.rpartition("+")[2]]
    elif not (plain := rows[~rows["name"].str.rpartition("+")[2].isin(regimes())]).empty:
        rows = plain
    if rows.empty:
        raise ConfigError(f"expected a measurement of {job.phase} {job.chain}, found none: throughput.py --config makes it")
    return rows.iloc[0]


def trains(job: Job) -> bool:
    """Whether a job takes steps: one in the place of a fine-tuning may train nothing."""
    return job.phase in TRAININGS and not isinstance(job.spec, UntrainedSpec)


def config_of(job: Job) -> Any:
    """The steps, batch, ... of a training, as its specification has them."""
    spec: Any = job.spec
    return spec.config


def steps_of(job: Job) -> int:
    """Steps of a training, those that a regime takes before its labelled ones included; 0 where nothing is trained."""
    if not trains(job):
        return 0
    return finetune.steps_of(job.spec) if isinstance(job.spec, FinetuneSpec) else int(config_of(job).steps)


def images_per_step(job: Job) -> int:
    """Images of one training step, as the job's specification asks for them."""
    config = config_of(job)
    return int(config.batch if job.phase == "finetune" else config.images)


def seconds(job: Job, plan: Plan, measured: pd.DataFrame, costs: Costs) -> float:
    """Seconds of one job."""
    if not trains(job):
        return costs.overhead
    config = config_of(job)
    trained = steps_of(job) * images_per_step(job) / float(rate(job, plan, measured)["images_per_second"])
    validations = -(-steps_of(job) // config.validate_every) if job.phase == "finetune" else 0
    return trained + validations * costs.validation + costs.overhead


def hours(plan: Plan, measured: pd.DataFrame, costs: Costs) -> pd.DataFrame:
    """Jobs, steps and hours by data set and phase. Raises ConfigError if a measurement is missing."""
    jobs = [job for job in plan.jobs.values() if job.phase in (*TRAININGS, "diagnose", "score")]
    rows = [
        {
            "dataset": job.dataset,
            "phase": job.phase,
            "jobs": 1,
            "steps": steps_of(job),
            "hours": seconds(job, plan, measured, costs) / 3600,
        }
        for job in jobs
    ]
    return pd.DataFrame(rows).groupby(["dataset", "phase"], sort=False, as_index=False).sum()


def notes(plan: Plan, measured: pd.DataFrame) -> Iterator[str]:
    """What stands for what: the size of each data set, and a batch that was not measured as large as it is."""
    for dataset, card in plan.cards.items():
        height, width = card.frame.size
        size = nearest(plan, dataset, measured)
        yield f"{dataset}: frame {height} x {width}, measured at {size} x {size}"
    for phase in TRAININGS:
        if jobs := [job for job in plan.of(phase) if trains(job)]:
            found = {int(rate(job, plan, measured)["images_per_step"]) for job in jobs}
            if found != {wanted := images_per_step(jobs[0])}:
                yield f"{phase}: {wanted} images a step, measured with {', '.join(map(str, sorted(found)))}"


if __name__ == "__main__":
    main()
