"""Everything that the runs of a plan left, in long tables, every byte of it checked against its run.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from glocalseg.methods.catalogue import strategies
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.phases import PHASES
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import FAILURE, CorruptedError, open_sealed, read_record
from glocalseg.stages.score import COLUMNS, SCORES
from glocalseg.stages.specs import PretrainSpec

RUN = ["dataset", "method", "budget", "draw", "seed"]
SCORE_COLUMNS = [*RUN, *COLUMNS]
Payloads = Mapping[Path, Mapping[str, Any]]
_TEXT = {"subject": str, "volume": str, "structure": str, "metric": str}
LABELLED = ("train", "validation", "test")
_MEAN = "mean"  # of all structures, in validation.csv
_DIAGNOSTICS = ["position_r2", "same_place", "same_place_chance"]


class ReportError(RuntimeError):
    """Runs that do not belong in one report: names the run, what was expected and found."""


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
    """What the report is made of. Budgets are text (``1``, ``8``, ``all``).

    Tables: ``scores`` (SCORE_COLUMNS); ``validation`` (run, step, structure, dice) of fine-tunings; ``pretraining`` (dataset,
    name, seed, step, loss); ``timings`` (a row a job); ``ledger`` (a row per dataset, budget and draw, with lists of volumes);
    ``pools`` (a row per dataset and list of unlabelled volumes, with who read it); ``collapses`` (a row per structure that a run
    lost on the validation volumes); ``diagnostics`` (a row per dataset, pretraining and seed; ``phase`` as in
    ``Embedding``, ``decoder``: whether decoder blocks were pretrained).

    ``stores`` holds what is known of each data set whose slice store is there; ``payloads`` are the records that were opened;
    ``missing`` are the jobs without one, a score only where its fine-tuning is there:
    without, there is nothing to score. ``failures`` says, by record, why the last attempt at a missing job ended, where it said
    so: one that was killed did not. ``runs`` of the plan and ``finished`` ones are trainings with their scores, and diagnoses.
    """

    scores: pd.DataFrame
    validation: pd.DataFrame
    pretraining: pd.DataFrame
    timings: pd.DataFrame
    ledger: pd.DataFrame
    pools: pd.DataFrame
    collapses: pd.DataFrame
    diagnostics: pd.DataFrame
    embeddings: tuple[Embedding, ...]
    stores: dict[str, Stored]
    payloads: dict[Path, dict[str, Any]]
    missing: tuple[Job, ...]
    failures: dict[Path, str]
    runs: int
    finished: int


def collect(plan: Plan, root: Path) -> Collected:
    """The tables of all runs of a plan whose record exists below ``root``.

    Raises:
        CorruptedError: if a file is not the one that was sealed, or a folder is not that of its specification.
        ReportError: if methods were trained or tested on different volumes in the same budget and draw.
    """
    there = [job for job in plan.jobs.values() if job.phase != "report" and (root / job.record).is_file()]
    records = {job.record for job in there}
    scored = [job for job in there if job.phase == "score" and job.start in records]
    tuned = [job for job in there if job.phase == "finetune"]
    pretrained = [job for job in there if job.phase.startswith("pretrain")]
    diagnosed = [job for job in there if job.phase == "diagnose"]
    payloads = {job.record: _open(root, job) for job in [*pretrained, *diagnosed, *tuned, *scored]}
    missing = tuple(
        job for job in plan.jobs.values()
        if job.phase != "report" and job.record not in records and (job.phase != "score" or job.start in records)
    )  # fmt: skip
    runs = [*plan.of("pretrain_global"), *plan.of("pretrain_local"), *plan.of("diagnose"), *plan.of("finetune")]
    validation = _stack((_log(root, job, "validation.csv") for job in tuned), [*RUN, "step", "structure", "dice"])
    return Collected(
        scores=_stack((_scores(root, job) for job in scored), SCORE_COLUMNS),
        validation=validation,
        pretraining=_stack((_log(root, job, "log.csv") for job in pretrained), ["dataset", "name", "seed", "step", "loss"]),
        timings=_timings([*pretrained, *diagnosed, *tuned, *scored], payloads),
        ledger=ledger(tuned, payloads),
        pools=pools([*pretrained, *tuned], payloads),
        collapses=_collapses(tuned, payloads, validation, plan.benchmark.statistics.collapse_below),
        diagnostics=_diagnostics(plan, root, diagnosed),
        embeddings=tuple(_embedding(plan, root, job) for job in diagnosed),
        stores={job.dataset: stored(root / job.record) for job in there if job.phase == "data"},
        payloads=payloads,
        missing=missing,
        failures={job.record: said for job in missing if (said := _failure(root / job.record.parent / FAILURE))},
        runs=len(runs),
        finished=sum(job.record in records for job in runs) - sum(job.phase == "score" for job in missing),
    )


def _open(root: Path, job: Job) -> dict[str, Any]:
    """The payload of a job's folder, its files checked, made by the specification that the plan has."""
    payload = open_sealed(root / job.record)
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
    rows = list(tables)
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame(columns=columns)


def _scores(root: Path, job: Job) -> pd.DataFrame:
    path = root / job.record.parent / SCORES
    rows = pd.read_csv(path, dtype=_TEXT, keep_default_na=False, na_values=[""])  # a volume may be called NA
    if list(rows.columns) != COLUMNS:
        raise CorruptedError(f"{path}: expected columns {COLUMNS}, found {list(rows.columns)}")
    return rows.assign(**_run(job))[SCORE_COLUMNS]


def _run(job: Job) -> dict[str, Any]:
    return {"dataset": job.dataset, "method": job.name, "budget": str(job.budget), "draw": job.draw, "seed": job.seed}


def _log(root: Path, job: Job, name: str) -> pd.DataFrame:
    rows = pd.read_csv(root / job.record.parent / name, dtype=_TEXT, keep_default_na=False, na_values=[""])
    own = _run(job) if job.phase == "finetune" else {"dataset": job.dataset, "name": job.name, "seed": job.seed}
    return rows.assign(**{"phase": job.phase, **own})


def _timings(jobs: list[Job], payloads: Payloads) -> pd.DataFrame:
    rows = []
    for job in jobs:
        timing, device = payloads[job.record].get("timing", {}), payloads[job.record].get("device", {})
        rows.append({"phase": job.phase, **_run(job), "record": str(job.record), **timing, **_device(device)})
    columns = ["phase", *RUN, "record", "wall_seconds", "train_seconds", "test_seconds", "images_per_second",
               "peak_memory_mb", "device", "precision", "threads"]  # fmt: skip
    table = pd.DataFrame(rows).reindex(columns=columns)
    return table.sort_values("phase", key=lambda phases: phases.map(list(PHASES).index), kind="stable")


def _device(device: dict[str, Any]) -> dict[str, Any]:
    name = " ".join(str(device[k]) for k in ("type", "name") if device.get(k))
    return {"device": name, "precision": device.get("precision", ""), "threads": device.get("threads")}


def ledger(jobs: Sequence[Job], payloads: Payloads) -> pd.DataFrame:
    """One row per dataset, budget and draw: ``train``, ``validation`` and ``test`` volumes, and ``test_subjects``, a number.

    Args:
        jobs: fine-tunings.
        payloads: their records.

    Raises:
        ReportError: if methods used different volumes at one budget and draw, for then nothing is paired.
    """
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for job in jobs:
        split, subjects = payloads[job.record]["split"], payloads[job.record]["subjects"]
        row = {
            "dataset": job.dataset,
            "budget": str(job.budget),
            "draw": job.draw,
            **{name: tuple(split[name]) for name in LABELLED},
            "test_subjects": len({subjects[v] for v in split["test"]}),
        }
        first = rows.setdefault((job.dataset, str(job.budget), job.draw or 0), row)
        if first != row:
            different = [k for k in row if first[k] != row[k]]
            raise ReportError(
                f"{job.record}: expected the volumes of the other methods at this budget and draw, "
                f"found different lists: {', '.join(different)}"
            )
    return pd.DataFrame(list(rows.values()), columns=["dataset", "budget", "draw", *LABELLED, "test_subjects"])


def pools(jobs: Sequence[Job], payloads: Payloads) -> pd.DataFrame:
    """The lists of unlabelled volumes that were read: a row per ``dataset`` and list, ``volumes``, with its ``readers``.

    Methods may read different lists, where a configuration says so; who read which is shown and nothing is refused.

    Args:
        jobs: pretrainings and fine-tunings; one that read nothing unlabelled is passed over.
        payloads: their records.
    """
    readers: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for job in jobs:
        payload = payloads[job.record]
        volumes = tuple(payload["split"]["unlabelled"] if job.phase == "finetune" else payload["pool"])
        if volumes:
            readers.setdefault((job.dataset, volumes), []).append(job.name)
    rows = [
        {"dataset": dataset, "volumes": volumes, "readers": tuple(dict.fromkeys(names))}
        for (dataset, volumes), names in readers.items()
    ]
    return pd.DataFrame(rows, columns=["dataset", "volumes", "readers"])


def _collapses(jobs: list[Job], payloads: Payloads, validation: pd.DataFrame, limit: float) -> pd.DataFrame:
    """Structures whose validation Dice is below the limit at the step whose weights were tested; one in no volume is none."""
    best = pd.DataFrame(
        [{**_run(job), "step": payloads[job.record]["best"]["step"]} for job in jobs], columns=[*RUN, "step"]
    )
    chosen = validation.merge(best, on=[*RUN, "step"])
    lost = chosen[(chosen["structure"] != _MEAN) & (chosen["dice"] < limit)]
    return lost[[*RUN, "structure"]].reset_index(drop=True)


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
