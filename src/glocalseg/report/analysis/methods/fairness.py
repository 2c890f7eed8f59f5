"""Whether rows differ in what all are to have in common, read from the specifications that they ran by.

In common are network, pool, labelled steps and batch, augmentation and optimisation of the labelled slices, and evaluation. What
a method *is* (strategy, regime, their options, its pretraining) is not asked here, and what it costs is in the table of compute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from glocalseg.config.model import keyed
from glocalseg.plan.jobs import Job, Plan
from glocalseg.stages.specs import FeaturesSpec, FinetuneSpec, PretrainSpec

_NAMES = {"finetune.steps": "labelled gradient steps", "finetune.batch": "labelled batch", "pool": "pool"}
_PARTS = {"network": "network", "threads": "network", "finetune.augment": "augmentation"}
_EVALUATION = ("finetune.selection", "finetune.validate_every")  # test volumes and metrics cannot differ: see ledger
_TRAINING = "training with labels"
WHOLE = "100%"  # the pool, where no share of it is asked for


@dataclass(frozen=True)
class Departure:
    """A row that has another value (``own``) than most rows (``usual``) of a ``setting``; ``part`` is what it belongs to."""

    method: str
    part: str
    setting: str
    own: str
    usual: str


def departures(plan: Plan, dataset: str) -> list[Departure]:
    """Every value of a row that is not that of most rows which have the setting; of two as frequent, the first row's is usual."""
    rows = _rows(plan, dataset)
    found = []
    for setting in dict.fromkeys(path for row in rows.values() for path in row):
        values = {method: row[setting] for method, row in rows.items() if setting in row}
        usual = Counter(values.values()).most_common(1)[0][0]
        found += [Departure(m, part_of(setting), setting, own, usual) for m, own in values.items() if own != usual]
    order = list(rows)
    return sorted(found, key=lambda d: order.index(d.method))


def part_of(setting: str) -> str:
    """What a setting belongs to, in a reader's words."""
    if setting in _NAMES:
        return _NAMES[setting]
    if setting in _EVALUATION:
        return "evaluation"
    return next((part for start, part in _PARTS.items() if f"{setting}.".startswith(f"{start}.")), _TRAINING)


def _rows(plan: Plan, dataset: str) -> dict[str, dict[str, str]]:
    """The values of every method by dotted path; those of a method do not depend on budget and repeat."""
    found: dict[str, dict[str, str]] = {}
    for job in plan.of("finetune"):
        if job.dataset == dataset and job.budget != "all" and job.name not in found:
            found[job.name] = _values(plan, job)
    return found


def _values(plan: Plan, job: Job) -> dict[str, str]:
    spec = job.spec
    if not isinstance(spec, FinetuneSpec):  # a control without a network
        return {}
    raw = {"network": keyed(spec.network), "threads": spec.threads, "finetune": keyed(spec.config)}
    pools = dict.fromkeys(_pools(plan, job))
    return dict(_flat(raw)) | ({"pool": " and ".join(pools)} if pools else {})


def _pools(plan: Plan, job: Job) -> Iterator[str]:
    """The share of the pretraining list that each step of a method reads without labels; nothing where it reads none."""
    spec = job.spec
    if isinstance(spec, FeaturesSpec):  # of all slices, by weights that are no run's
        return
    assert isinstance(spec, FinetuneSpec | PretrainSpec)
    if isinstance(spec, PretrainSpec) or "pretrain" in getattr(spec.split, "roles", ()) or _lists_pool(spec):
        yield WHOLE if spec.split.share is None else f"{100 * spec.split.share:g}%"
    if job.start is not None:
        yield from _pools(plan, plan.job(job.start))


def _lists_pool(spec: FinetuneSpec) -> bool:
    return getattr(spec.split, "pretrain", None) is not None


def _flat(values: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{start}{name}.")
        else:
            yield f"{start}{name}", "none" if value is None else str(value)
