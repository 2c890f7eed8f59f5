"""The report's numbers for tools that compare commits: nested metrics, and two tables to plot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from glocalseg.evaluation.metrics import METRICS
from glocalseg.plan.jobs import Plan
from glocalseg.plan.phases import PHASES


def metrics(table: Path) -> dict[str, Any]:
    """The main table as ``{method: {budget: {dice_mean, dice_mean_low, dice_mean_high, ..., runs}}}``, 4 digits.

    Every other metric of METRICS is in it by its summary, over all structures: ``hd95_median``, ``lost_sum``.

    Args:
        table: ``tables/main.csv`` of a report about one data set.
    """
    found: dict[str, Any] = {}
    rows = _main(table)
    others = [f"{key}_{metric.summary}" for key, metric in METRICS.items()]
    names = dict.fromkeys(["dice_mean", "dice_mean_low", "dice_mean_high", *others])
    for row in rows.to_dict("records"):
        values = {name: round(float(row[name]), 4) for name in names if name in rows.columns}
        found.setdefault(str(row["method"]), {})[str(row["budget"])] = {**values, "runs": int(row["runs"])}
    return found


def dice(table: Path) -> str:
    """CSV with a row per method and budget: ``labelled,run,dice``; the upper bound, which has no number, is left out."""
    rows = _main(table)
    rows = rows[rows["budget"] != "all"]
    plotted = pd.DataFrame(
        {"labelled": rows["budget"].astype(int), "run": rows["method"], "dice": rows["dice_mean"].round(4)}
    )
    return plotted.sort_values(["run", "labelled"]).to_csv(index=False, lineterminator="\n")


def curves(plan: Plan, root: Path) -> str:
    """CSV with the losses of all trainings, means over repeats: ``step,run,loss``; ``run`` says phase and name."""
    logs = []
    for job in plan.jobs.values():
        log = root / job.record.parent / "log.csv"
        if PHASES[job.phase].trains and log.is_file():
            run = f"{PHASES[job.phase].title} {job.name}" + (f" n{job.budget}" if job.budget else "")
            logged = pd.read_csv(log)
            loss = logged.filter(regex="^loss(_|$)").sum(axis=1, min_count=1)  # of all its optimisers, where it has several
            logs.append(logged[["step"]].assign(loss=loss, run=run))
    rows = pd.concat(logs) if logs else pd.DataFrame(columns=["step", "run", "loss"])
    means = rows.groupby(["run", "step"], as_index=False)["loss"].mean()
    return means.assign(loss=means["loss"].round(5))[["step", "run", "loss"]].to_csv(index=False, lineterminator="\n")


def _main(table: Path) -> pd.DataFrame:
    text = {"dataset": str, "method": str, "budget": str}
    return pd.read_csv(table, dtype=text, keep_default_na=False, na_values=[""])  # a method may be called nan
