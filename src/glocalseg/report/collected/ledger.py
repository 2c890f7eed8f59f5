"""Whose labels a number cost: the volumes that runs were trained, selected and tested on, and what that comes to in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from glocalseg.plan.jobs import Job
from glocalseg.report.text.names import ALL, UPPER_BOUND, price
from glocalseg.stages.specs import FinetuneSpec

LABELLED = ("train", "validation", "test")
LEDGER = ["dataset", "budget", "repeat", "selection", "methods", *LABELLED, "test_subjects"]
Payloads = Mapping[Path, Mapping[str, Any]]


class ReportError(RuntimeError):
    """Runs that do not belong in one report: names the run, what was expected and found."""


@dataclass(frozen=True)
class Price:
    """What a method's labels cost at a budget: the ``budget`` to train on, and who chose the weights.

    ``validation`` holds the numbers of volumes that did, of all repeats; empty where none but the labelled ones did.
    """

    budget: str
    selection: str
    validation: tuple[int, ...]

    @property
    def text(self) -> str:
        """In words: ``1 + 6 for selection``."""
        return price(self.budget, self.selection, self.validation)


def selection_of(job: Job) -> str:
    """How a fine-tuning's weights were chosen, as ``FinetuneConfig.selection`` says; empty where there are none to choose."""
    return str(job.spec.config.selection) if isinstance(job.spec, FinetuneSpec) else ""


def ledger(jobs: Sequence[Job], payloads: Payloads) -> pd.DataFrame:
    """The columns of LEDGER: a row per dataset, budget, repeat and way of choosing the weights.

    ``train``, ``validation`` (those that chose the weights; empty if none did, or the labelled ones) and ``test`` are tuples of
    volumes, ``methods`` of who is trained and selected like this, ``test_subjects`` a number.

    Args:
        jobs: fine-tunings.
        payloads: their records.

    Raises:
        ReportError: if methods used different volumes at one budget and repeat, for then nothing is paired. Methods that choose
            their weights in different ways may do so by different volumes.
    """
    rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    common: dict[tuple[str, str, str], dict[str, Any]] = {}
    for job in jobs:
        split, subjects = payloads[job.record]["split"], payloads[job.record]["subjects"]
        selection, repeat = selection_of(job), job.repeat.name if job.repeat else ""
        shared = {
            "train": tuple(split["train"]),
            "test": tuple(split["test"]),
            "test_subjects": len({subjects[v] for v in split["test"]}),
        }
        own = {"validation": tuple(split["validation"]) if selection == "validation" else ()}
        run = (job.dataset, str(job.budget), repeat)
        row = {**dict(zip(LEDGER, (*run, selection, ()), strict=False)), **shared, **own}
        _require_same(job, common.setdefault(run, shared), shared)
        first = rows.setdefault((*run, selection), row)
        _require_same(job, {"validation": first["validation"]}, own)
        name = UPPER_BOUND if row["budget"] == ALL else job.name
        first["methods"] = tuple(dict.fromkeys((*first["methods"], name)))
    return pd.DataFrame(list(rows.values()), columns=LEDGER)


def _require_same(job: Job, first: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Raise ReportError if a run's volumes are not those of the first one."""
    if different := [k for k in found if first[k] != found[k]]:
        raise ReportError(
            f"{job.record}: expected the volumes of the other methods at this budget and repeat, "
            f"found different lists: {', '.join(different)}"
        )


def prices(ledger: pd.DataFrame, dataset: str) -> dict[tuple[str, str], Price]:
    """What every method of a data set cost in labels at each budget, by (method, budget)."""
    found: dict[tuple[str, str], tuple[str, set[int]]] = {}
    for row in ledger[ledger["dataset"] == dataset].to_dict("records"):
        for method in row["methods"]:
            _, counts = found.setdefault((method, row["budget"]), (row["selection"], set()))
            counts |= {len(row["validation"])} if row["validation"] else set()
    return {(m, n): Price(n, selection, tuple(sorted(counts))) for (m, n), (selection, counts) in found.items()}


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
        volumes = tuple(payload["split"].get("unlabelled", ()) if job.phase == "finetune" else payload["pool"])
        if volumes:
            readers.setdefault((job.dataset, volumes), []).append(job.name)
    rows = [
        {"dataset": dataset, "volumes": volumes, "readers": tuple(dict.fromkeys(names))}
        for (dataset, volumes), names in readers.items()
    ]
    return pd.DataFrame(rows, columns=["dataset", "volumes", "readers"])
