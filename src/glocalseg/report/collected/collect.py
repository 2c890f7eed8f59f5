"""Everything that the runs of a plan left, in long tables, every byte of it checked against its run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.evaluation.statistics.arrays import RUN
from glocalseg.methods.catalogue import strategies
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.phases import PHASES, PhaseName
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import FAILURE, CorruptedError, absent, open_kept, read_record
from glocalseg.report.collected.ledger import Payloads, ledger, pools
from glocalseg.report.collected.signs import signs
from glocalseg.stages.score import COLUMNS, SCORES, SELECTED
from glocalseg.stages.specs import PretrainSpec

SCORE_COLUMNS = [*RUN, *COLUMNS]
CURVES = [*RUN, "step", "structure", "dice"]
_TEXT = {"subject": str, "volume": str, "structure": str, "metric": str, "weights": str}
_DIAGNOSTICS = ["position_r2", "same_place", "same_place_chance"]


@dataclass(frozen=True)
class Embedding:
    """Bottleneck features of slices: ``features`` (n, C) float32, ``partition`` (n,) int, ``position`` (n,) in (0, 1).

    ``phase`` is that of the pretraining, empty for random weights.
    """

    dataset: str
    name: str
    phase: str
    seed: int
    features: NDArray[np.float32]
    partition: NDArray[np.int64]
    position: NDArray[np.float64]
    subject: NDArray[np.str_]


@dataclass(frozen=True)
class Stored:
    """What a slice store says of its data set: what verification found, and the names of the volumes that have no label."""

    verified: Mapping[str, Any]
    unlabelled: frozenset[str]


@dataclass(frozen=True)
class Collected:
    """What the report is made of. Budgets are text (``1``, ``8``, ``all``), repeats are named (``r3``).

    Tables: ``scores`` (SCORE_COLUMNS), of the weights that runs are judged by, and ``last``, of the last ones where others were
    selected; ``validation`` (CURVES) of fine-tunings that look at their progress; ``pretraining`` (dataset, name, seed, step,
    loss); ``timings`` (a row a job; ``steps`` that it logged); ``ledger`` and ``pools`` (see ``ledger``); ``diagnostics`` (a row
    per dataset, pretraining and seed; ``phase`` as in ``Embedding``, ``decoder``: whether decoder blocks were pretrained);
    ``signs`` (see ``signs``), what methods log of their own known way of failing.

    ``stores`` holds what is known of each data set whose slice store is there; ``payloads`` are the records that were opened;
    ``missing`` are the jobs without one, a score only where its fine-tuning is there:
    without, there is nothing to score. ``bare`` are trainings and diagnoses without arrays: they came from a published report,
    and nobody here can show what they predict or hold. ``failures`` says, by record, why the last attempt at a missing job
    ended, where it said so: one that was killed did not. ``runs`` of the plan and ``finished`` ones are trainings with their
    scores, features, and diagnoses.
    """

    scores: pd.DataFrame
    last: pd.DataFrame
    validation: pd.DataFrame
    pretraining: pd.DataFrame
    timings: pd.DataFrame
    ledger: pd.DataFrame
    pools: pd.DataFrame
    diagnostics: pd.DataFrame
    signs: pd.DataFrame
    embeddings: tuple[Embedding, ...]
    stores: dict[str, Stored]
    payloads: dict[Path, dict[str, Any]]
    missing: tuple[Job, ...]
    bare: tuple[Job, ...]
    failures: dict[Path, str]
    runs: int
    finished: int


def collect(plan: Plan, root: Path) -> Collected:
    """The tables of all runs of a plan whose record exists below ``root``.

    Raises:
        CorruptedError: if a file is not the one that was sealed, or a folder is not that of its specification.
        ReportError: if methods were trained or tested on different volumes at the same budget in the same repeat.
    """
    there = [job for job in plan.jobs.values() if job.phase != "report" and (root / job.record).is_file()]
    records = {job.record for job in there}
    scored = [job for job in there if job.phase == "score" and job.start in records]
    tuned = [job for job in there if job.phase == "finetune"]
    pretrained = [job for job in there if job.phase.startswith("pretrain")]
    diagnosed = [job for job in there if job.phase == "diagnose"]
    featured = [job for job in there if job.phase == "features"]
    payloads = {job.record: _open(root, job) for job in [*pretrained, *diagnosed, *featured, *tuned, *scored]}
    missing = tuple(
        job for job in plan.jobs.values()
        if job.phase != "report" and job.record not in records and (job.phase != "score" or job.start in records)
    )  # fmt: skip
    bare = [job for job in [*pretrained, *diagnosed, *tuned] if absent(root / job.record)]
    phases: tuple[PhaseName, ...] = ("pretrain_global", "pretrain_local", "diagnose", "features", "finetune")
    runs = [job for phase in phases for job in plan.of(phase)]
    scores = _stack((_scores(root, job) for job in scored), SCORE_COLUMNS)
    return Collected(
        scores=scores[scores["weights"] == SELECTED].reset_index(drop=True),
        last=scores[scores["weights"] != SELECTED].reset_index(drop=True),
        validation=_stack((_log(root, job, "validation.csv") for job in tuned if _looked(root, job)), CURVES),
        pretraining=_stack((_log(root, job, "log.csv") for job in pretrained), ["dataset", "name", "seed", "step", "loss"]),
        timings=_timings(root, [*pretrained, *diagnosed, *featured, *tuned, *scored], payloads),
        ledger=ledger(tuned, payloads),
        pools=pools([*pretrained, *tuned], payloads),
        diagnostics=_diagnostics(plan, root, diagnosed),
        signs=signs(root, [*pretrained, *tuned]),
        embeddings=tuple(_embedding(plan, root, job) for job in diagnosed if job not in bare),
        stores={job.dataset: stored(root / job.record) for job in there if job.phase == "data"},
        payloads=payloads,
        missing=missing,
        bare=tuple(bare),
        failures={job.record: said for job in missing if (said := _failure(root / job.record.parent / FAILURE))},
        runs=len(runs),
        finished=sum(job.record in records for job in runs) - sum(job.phase == "score" for job in missing),
    )


def _open(root: Path, job: Job) -> dict[str, Any]:
    """The payload of a job's folder, its files checked, made by the specification that the plan has."""
    payload = open_kept(root / job.record)
    if digest(payload.get("spec")) != digest(job.spec.dump()):
        found = payload["spec"].get("key") if isinstance(payload.get("spec"), dict) else None
        raise CorruptedError(
            f"{root / job.record}: expected the specification of key {job.spec.key}, found one of key {found}"
        )
    return payload


def stored(record: Path) -> Stored:
    """What the slice store behind ``manifest.json`` says of its data set; its arrays are not opened. Raises CorruptedError."""
    manifest, table = read_record(record), record.with_name("volumes.csv")
    if not table.is_file() or sha256_file(table) != manifest["files"].get(table.name):
        raise CorruptedError(f"{table}: expected the file that {record.name} was sealed with, found another or none")
    volumes = pd.read_csv(table, dtype={"volume": str, "labelled": bool}, keep_default_na=False)
    return Stored(manifest["verified"], frozenset(volumes.loc[~volumes["labelled"], "volume"]))


def _failure(note: Path) -> str | None:
    try:
        said = json.loads(note.read_text(encoding="utf-8"))
        return f"{said['error']}: {said['message']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _stack(tables: Iterable[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    rows = [table for table in tables if len(table)]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _scores(root: Path, job: Job) -> pd.DataFrame:
    path = root / job.record.parent / SCORES
    rows = pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=[""])  # a volume may be called NA
    if list(rows.columns) != COLUMNS:
        raise CorruptedError(f"{path}: expected columns {COLUMNS}, found {list(rows.columns)}")
    return rows.assign(**_run(job))[SCORE_COLUMNS]


def _run(job: Job) -> dict[str, Any]:
    repeat = job.repeat.name if job.repeat else ""
    return {"dataset": job.dataset, "method": job.name, "budget": str(job.budget), "repeat": repeat}


def _looked(root: Path, job: Job) -> bool:
    """Whether a fine-tuning looked at its progress: one that trains no network has none."""
    return (root / job.record).with_name("validation.csv").is_file()


def _log(root: Path, job: Job, name: str) -> pd.DataFrame:
    rows = pd.read_csv(root / job.record.parent / name, dtype=_TEXT, keep_default_na=False, na_values=[""])
    own = _run(job) if job.phase == "finetune" else {"dataset": job.dataset, "name": job.name, "seed": job.seed}
    return rows.assign(**{"phase": job.phase, **own})


def _timings(root: Path, jobs: list[Job], payloads: Payloads) -> pd.DataFrame:
    rows = []
    for job in jobs:
        timing, device = payloads[job.record].get("timing", {}), payloads[job.record].get("device", {})
        own = {"phase": job.phase, **_run(job), "record": str(job.record), "steps": _steps(root, job)}
        rows.append({**own, **timing, **_device(device)})
    columns = ["phase", *RUN, "record", "steps", "wall_seconds", "train_seconds", "test_seconds", "images_per_second",
               "peak_memory_mb", "device", "kind", "precision", "threads"]  # fmt: skip
    table = pd.DataFrame(rows).reindex(columns=columns)
    return table.sort_values("phase", key=lambda phases: phases.map(list(PHASES).index), kind="stable")


def _steps(root: Path, job: Job) -> int | None:
    """How many steps a job trained, those before the settings' own included; None where it trained none."""
    log = root / job.record.parent / "log.csv"
    return int(pd.read_csv(log, usecols=["step"])["step"].iloc[-1]) if PHASES[job.phase].trains and log.is_file() else None


def _device(device: dict[str, Any]) -> dict[str, Any]:
    name = " ".join(str(device[k]) for k in ("type", "name") if device.get(k))
    known = {"kind": device.get("type", ""), "precision": device.get("precision", ""), "threads": device.get("threads")}
    return {"device": name, **known}


def _diagnostics(plan: Plan, root: Path, jobs: list[Job]) -> pd.DataFrame:
    rows = []
    for job in jobs:
        values = json.loads((root / job.record.parent / "diagnostics.json").read_text(encoding="utf-8"))
        own = {"dataset": job.dataset, "name": job.name, "phase": _phase(plan, job), "seed": job.seed}
        own["decoder"] = _decoder(plan, job)
        rows.append({**own, **{c: values.get(c) for c in _DIAGNOSTICS}})
    table = pd.DataFrame(rows, columns=["dataset", "name", "phase", "seed", "decoder", *_DIAGNOSTICS])
    return table.astype({c: float for c in _DIAGNOSTICS})


def _phase(plan: Plan, job: Job) -> str:
    """The phase of the pretraining that a diagnosis looks at, empty for random weights."""
    return plan.job(job.start).phase if job.start else ""


def _decoder(plan: Plan, job: Job) -> bool:
    """Whether the pretraining that a job looks at trained decoder blocks, or any before it did."""
    if job.start is None:
        return False
    spec = plan.job(job.start).spec
    assert isinstance(spec, PretrainSpec)
    return strategies()[spec.strategy].part != "encoder" or _decoder(plan, plan.job(job.start))


def _embedding(plan: Plan, root: Path, job: Job) -> Embedding:
    with np.load(root / job.record.parent / "embeddings.npz", allow_pickle=False) as file:
        return Embedding(
            job.dataset, job.name, _phase(plan, job), job.seed or 0,
            file["features"], file["partition"], file["position"], file["subject"],
        )  # fmt: skip
