"""What a row's runs took: gradient steps with labels, and images through the network, from their records."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glocalseg.plan.jobs import Job, Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected
from glocalseg.report.text.names import ALL, UPPER_BOUND
from glocalseg.stages.specs import FinetuneSpec


@dataclass(frozen=True)
class Spent:
    """What the runs of a cell took, means over those that are there.

    ``steps`` are gradient steps of the network with labels, ``before`` those of a stage of the regime that come first; images
    are those that went through the network, in fine-tuning and in every pretraining that it starts from.
    """

    steps: int
    before: int
    finetuning: float
    pretraining: float


def spent(a: DatasetAnalysis, plan: Plan, collected: Collected) -> dict[tuple[str, str], Spent]:
    """What every cell that trained a network took, by (method, budget).

    Records hold throughput and seconds, not images: their product is what is counted, which holds the last look at validation
    as if it were training, some percent too much.
    """
    timings = collected.timings.set_index("record")
    images = (timings["images_per_second"].astype(float) * timings["train_seconds"].astype(float)).to_dict()
    logged = timings["steps"].to_dict()
    found: dict[tuple[str, str], list[tuple[int, int, float, float]]] = {}
    for job in plan.of("finetune"):
        key, record = (UPPER_BOUND if job.budget == ALL else job.name, str(job.budget)), str(job.record)
        if job.dataset == a.dataset and isinstance(job.spec, FinetuneSpec) and record in images:
            steps = job.spec.config.steps
            total = steps if np.isnan(logged[record]) else int(logged[record])
            before = sum(images.get(str(j.record), np.nan) for j in chain(plan, job))
            found.setdefault(key, []).append((steps, total - steps, images[record], before))
    return {
        key: Spent(rows[0][0], rows[0][1], float(np.mean([r[2] for r in rows])), float(np.mean([r[3] for r in rows])))
        for key, rows in found.items()
    }


def chain(plan: Plan, job: Job) -> list[Job]:
    """The pretrainings that a job starts from."""
    if job.start is None:
        return []
    start = plan.job(job.start)
    return [start, *chain(plan, start)]
