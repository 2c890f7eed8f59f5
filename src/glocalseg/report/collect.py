"""Everything that the runs of a plan left, in long tables, every byte of it checked against its run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.plan import Job, Plan
from glocalseg.provenance import FAILURE, CorruptedError, open_sealed

SCORE_COLUMNS = [
    "dataset", "method", "budget", "draw", "seed", "subject", "volume", "structure", "metric", "value",
]  # fmt: skip
_TEXT = {"dataset": str, "method": str, "budget": str, "subject": str, "volume": str, "structure": str, "metric": str}


class ReportError(RuntimeError):
    """Runs that do not belong in one report: names the run, what was expected and found."""


@dataclass(frozen=True)
class Embedding:
    """Bottleneck features of slices: ``features`` (n, C) float32, ``partition`` (n,) int, ``position`` (n,) in (0, 1)."""

    dataset: str
    name: str
    seed: int
    features: NDArray[np.float32]
    partition: NDArray[np.int64]
    position: NDArray[np.float64]
    subject: NDArray[np.str_]


@dataclass(frozen=True)
class Collected:
    """What the report is made of. Budgets are text (``1``, ``8``, ``all``); a run without run.json is only in ``missing``.

    Tables: ``scores`` (SCORE_COLUMNS); ``validation`` (run, step, structure, dice) and ``training`` (run, step, loss) of
    fine-tunings; ``pretraining`` (dataset, name, seed, step, loss); ``timings`` (a row a run); ``ledger`` (a row per dataset,
    budget and draw, with lists of volumes); ``collapses`` (a row per structure that a run lost);
    ``diagnostics`` (a row per dataset, strategy and seed). ``failures`` says, by record, why the last attempt at a missing run
    ended, where it said so: one that was killed did not.
    """

    scores: pd.DataFrame
    validation: pd.DataFrame
    training: pd.DataFrame
    pretraining: pd.DataFrame
    timings: pd.DataFrame
    ledger: pd.DataFrame
    collapses: pd.DataFrame
    diagnostics: pd.DataFrame
    embeddings: tuple[Embedding, ...]
    payloads: dict[Path, dict[str, Any]]
    missing: tuple[Job, ...]
    failures: dict[Path, str]


def collect(plan: Plan, root: Path) -> Collected:
    """The tables of all runs of a plan whose record exists below ``root``.

    Raises:
        CorruptedError: if a file is not the one that was sealed, or rows are not those of their run.
        ReportError: if methods were trained or tested on different volumes in the same budget and draw.
    """
    jobs = [job for job in plan.jobs.values() if job.phase not in ("report", "data")]
    there = [job for job in jobs if (root / job.record).is_file()]
    stores = [job for job in plan.of("data") if (root / job.record).is_file()]
    payloads = {job.record: open_sealed(root / job.record) for job in there}
    tuned = [job for job in there if job.phase == "finetune"]
    pretrained = [job for job in there if job.phase.startswith("pretrain")]
    diagnosed = [job for job in there if job.phase == "diagnose"]
    found = {job.record for job in [*there, *stores]}
    missing = tuple(job for job in plan.jobs.values() if job.phase != "report" and job.record not in found)
    return Collected(
        scores=_stack((_scores(root, job) for job in tuned), SCORE_COLUMNS),
        validation=_stack((_log(root, job, "validation.csv") for job in tuned), ["dataset", "budget", "structure", "dice"]),
        training=_stack((_log(root, job, "log.csv") for job in tuned), ["dataset", "budget", "step", "loss"]),
        pretraining=_stack((_log(root, job, "log.csv") for job in pretrained), ["dataset", "name", "step", "loss"]),
        timings=_timings(there, payloads),
        ledger=_ledger(tuned, payloads),
        collapses=_collapses(tuned, payloads),
        diagnostics=_diagnostics(root, diagnosed),
        embeddings=tuple(_embedding(root, job) for job in diagnosed),
        payloads=payloads,
        missing=missing,
        failures={job.record: said for job in missing if (said := _failure(root / job.record.parent / FAILURE))},
    )


def _failure(note: Path) -> str | None:
    try:
        said = json.loads(note.read_text())
        return f"{said['error']}: {said['message']}"
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _stack(tables: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    rows = list(tables)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _scores(root: Path, job: Job) -> pd.DataFrame:
    path = root / job.record.parent / "scores.csv"
    rows = pd.read_csv(path, dtype=_TEXT)
    if list(rows.columns) != SCORE_COLUMNS:
        raise CorruptedError(f"{path}: expected columns {SCORE_COLUMNS}, found {list(rows.columns)}")
    for column, value in _run(job).items():
        if not (rows[column] == value).all():
            raise CorruptedError(f"{path}: expected {column} {value!r} in every row, found {sorted(set(rows[column]))}")
    return rows


def _run(job: Job) -> dict[str, Any]:
    return {"dataset": job.dataset, "method": job.name, "budget": str(job.budget), "draw": job.draw, "seed": job.seed}


def _log(root: Path, job: Job, name: str) -> pd.DataFrame:
    rows = pd.read_csv(root / job.record.parent / name)
    own = _run(job) if job.phase == "finetune" else {"dataset": job.dataset, "name": job.name, "seed": job.seed}
    return rows.assign(**{"phase": job.phase, **own})


def _timings(jobs: list[Job], payloads: dict[Path, dict[str, Any]]) -> pd.DataFrame:
    rows = []
    for job in jobs:
        timing, device = payloads[job.record].get("timing", {}), payloads[job.record].get("device", {})
        rows.append({"phase": job.phase, **_run(job), "record": str(job.record), **timing, **_device(device)})
    columns = ["phase", "dataset", "method", "budget", "draw", "seed", "record", "wall_seconds", "train_seconds",
               "test_seconds", "images_per_second", "peak_memory_mb", "device", "precision", "threads"]  # fmt: skip
    return pd.DataFrame(rows).reindex(columns=columns)


def _device(device: dict[str, Any]) -> dict[str, Any]:
    name = " ".join(str(device[k]) for k in ("type", "name") if device.get(k))
    return {"device": name, "precision": device.get("precision", ""), "threads": device.get("threads")}


def _ledger(jobs: list[Job], payloads: dict[Path, dict[str, Any]]) -> pd.DataFrame:
    """One row per dataset, budget and draw; every method must have used the same lists, or nothing is paired."""
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for job in jobs:
        split, subjects = payloads[job.record]["split"], payloads[job.record]["subjects"]
        row = {
            "dataset": job.dataset,
            "budget": str(job.budget),
            "draw": job.draw,
            **{name: tuple(split[name]) for name in ("train", "validation", "test", "pretrain")},
            "test_subjects": len({subjects[v] for v in split["test"]}),
        }
        first = rows.setdefault((job.dataset, str(job.budget), job.draw or 0), row)
        if first != row:
            different = [k for k in row if first[k] != row[k]]
            raise ReportError(
                f"{job.record}: expected the volumes of the other methods at this budget and draw, "
                f"found different lists: {', '.join(different)}"
            )
    columns = ["dataset", "budget", "draw", "train", "validation", "test", "pretrain", "test_subjects"]
    return pd.DataFrame(list(rows.values()), columns=columns)


def _collapses(jobs: list[Job], payloads: dict[Path, dict[str, Any]]) -> pd.DataFrame:
    rows = [{**_run(job), "structure": s} for job in jobs for s in payloads[job.record].get("collapsed", [])]
    return pd.DataFrame(rows, columns=["dataset", "method", "budget", "draw", "seed", "structure"])


def _diagnostics(root: Path, jobs: list[Job]) -> pd.DataFrame:
    columns = ["position_r2", "same_place", "same_place_chance"]
    rows = []
    for job in jobs:
        values = json.loads((root / job.record.parent / "diagnostics.json").read_text())
        rows.append({"dataset": job.dataset, "name": job.name, "seed": job.seed, **{c: values.get(c) for c in columns}})
    table = pd.DataFrame(rows, columns=["dataset", "name", "seed", *columns])
    return table.astype({c: float for c in columns})


def _embedding(root: Path, job: Job) -> Embedding:
    with np.load(root / job.record.parent / "embeddings.npz", allow_pickle=False) as file:
        return Embedding(
            job.dataset, job.name, job.seed or 0, file["features"], file["partition"], file["position"], file["subject"]
        )
