"""Every score of a benchmark in one long table that explains itself: by run, test volume, structure, metric and weights."""

from __future__ import annotations

import gzip

import pandas as pd

from glocalseg.evaluation.statistics.arrays import RUN
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.phases import PHASES
from glocalseg.report.collected.collect import Collected
from glocalseg.report.collected.ledger import prices
from glocalseg.report.text.names import ALL, UPPER_BOUND

SCORES = "scores.csv.gz"
OF_RUN = ["label_price", "draw", "pretraining_seed", "finetuning_seed", "precision", "device"]
COLUMNS = [
    "dataset", "method", "budget", "label_price", "repeat", "draw", "pretraining_seed", "finetuning_seed", "precision", "device",
    "subject", "volume", "structure", "metric", "weights", "value",
]  # fmt: skip


def long_scores(plan: Plan, collected: Collected) -> pd.DataFrame:
    """The rows of COLUMNS, those of last weights after the others; what is not there (a seed of no pretraining) is missing."""
    rows = pd.concat([collected.scores, collected.last]) if len(collected.last) else collected.scores
    runs = _runs(plan, collected)
    return rows.merge(runs, on=RUN, how="left", validate="many_to_one")[COLUMNS]


def compressed(rows: pd.DataFrame) -> bytes:
    """The rows as gzipped CSV; no date is in it, so that equal rows are equal bytes."""
    return gzip.compress(rows.to_csv(index=False, lineterminator="\n").encode(), 6, mtime=0)


def _runs(plan: Plan, collected: Collected) -> pd.DataFrame:
    """What is known of each run, by the columns of RUN."""
    own = collected.timings[collected.timings["phase"] == "finetune"]
    devices = {row["record"]: (row["precision"], row["kind"]) for row in own.to_dict("records")}
    paid = {name: prices(collected.ledger, name) for name in plan.cards}
    rows = []
    for job in plan.of("finetune"):
        if (record := str(job.record)) in devices and job.repeat:
            known = paid[job.dataset].get((UPPER_BOUND if job.budget == ALL else job.name, str(job.budget)))
            rows.append((
                job.dataset, job.name, str(job.budget), job.repeat.name, known.text if known else str(job.budget),
                job.repeat.draw, *_seeds(plan, job), *(value or None for value in devices[record]),
            ))  # fmt: skip
    table = pd.DataFrame(rows, columns=[*RUN, *OF_RUN])
    return table.astype({"pretraining_seed": "Int64", "finetuning_seed": "Int64"})


def _seeds(plan: Plan, job: Job) -> tuple[int | None, int | None]:
    """Of a run's pretraining and of its fine-tuning; None without one."""
    own = getattr(job.spec, "seed", None)
    start = plan.job(job.start) if job.start else None
    return (start.seed if start is not None and PHASES[start.phase].trains else None), own
