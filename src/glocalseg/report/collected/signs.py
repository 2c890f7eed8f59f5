"""What runs logged of their method's known way of failing: the diagnostics that its file declares, and no other column."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from glocalseg.methods.catalogue import Entry, regimes, strategies
from glocalseg.plan.jobs import Job
from glocalseg.stages.specs import FinetuneSpec, PretrainSpec

SIGNS = ["dataset", "phase", "name", "entry", "budget", "run", "step", "sign", "value"]


def signs(root: Path, jobs: Iterable[Job]) -> pd.DataFrame:
    """The columns of SIGNS: a row per run, logged step and declared diagnostic; ``entry`` is the strategy or regime.

    ``budget`` is empty of a pretraining; ``run`` is the repeat, or the seed of a pretraining. A diagnostic that a log lacks,
    because it was declared after the run, has no rows.
    """
    rows = [table for job in jobs if (table := _of(root, job)) is not None]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=SIGNS)


def declaring(job: Job) -> Entry | None:
    """The strategy or regime that a job trains by; None for a control that is not trained."""
    if isinstance(job.spec, PretrainSpec):
        return strategies()[job.spec.strategy]
    return regimes()[job.spec.regime] if isinstance(job.spec, FinetuneSpec) else None


def _of(root: Path, job: Job) -> pd.DataFrame | None:
    entry = declaring(job)
    if entry is None or not entry.diagnostics:
        return None
    log = pd.read_csv(root / job.record.parent / "log.csv")
    there = [name for name in entry.diagnostics if name in log]
    if not there:
        return None
    long = log.melt(id_vars="step", value_vars=there, var_name="sign").astype({"value": float})
    own = {
        "dataset": job.dataset, "phase": job.phase, "name": job.name, "entry": entry.name,
        "budget": "" if job.budget is None else str(job.budget),
        "run": job.repeat.name if job.repeat else f"seed {job.seed}",
    }  # fmt: skip
    return long.assign(**own)[SIGNS]
