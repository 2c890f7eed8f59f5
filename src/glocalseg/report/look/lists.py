"""Who is in which list: what the jobs of a plan read of a data set, in words for each volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from glocalseg.data.splits.lists import Split, SplitSpec, split_spec, volumes_of
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import POOL
from glocalseg.records.digest import digest
from glocalseg.report.names import ALL, budget_order, display
from glocalseg.stages.specs import FinetuneSpec, PretrainSpec


@dataclass(frozen=True)
class Draw:
    """The labelled volumes of one budget and draw, with those that validate; ``same`` is an earlier draw with the same ones."""

    budget: str
    draw: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    same: int | None


@dataclass(frozen=True)
class Pool:
    """Volumes that are read without their labels, and the rich names of who reads them; nobody: no method of the plan does."""

    volumes: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Lists:
    """The lists of a data set. Methods may read different pools."""

    pools: tuple[Pool, ...]
    draws: tuple[Draw, ...]
    test: tuple[str, ...]


def lists_of(plan: Plan, dataset: str, volumes: pd.DataFrame) -> Lists:
    """The lists that the jobs of a data set read.

    Args:
        plan: with the data set's jobs.
        dataset: its name.
        volumes: the table of its slice store.

    Raises:
        ConfigError: if a list cannot be made of these volumes.
    """
    known: dict[str, Split] = {}

    def split(spec: SplitSpec) -> Split:
        key = digest(spec.model_dump(mode="json"))
        if key not in known:
            known[key] = volumes_of(spec, volumes)
        return known[key]

    pools: dict[tuple[str, ...], list[str]] = {}
    draws: dict[tuple[str, int], Split] = {}
    for job in plan.jobs.values():
        if job.dataset != dataset or not isinstance(job.spec, PretrainSpec | FinetuneSpec):
            continue
        lists = split(job.spec.split)
        if lists.pretrain:
            pools.setdefault(lists.pretrain, []).append(display(job.name))
        if isinstance(job.spec, FinetuneSpec):
            draws.setdefault(_which(job), lists)
    if not pools:
        pools[split(split_spec(plan.cards[dataset].splits, POOL)).pretrain] = []
    test = next(iter(draws.values())).test if draws else ()
    return Lists(
        pools=tuple(Pool(names, tuple(dict.fromkeys(readers))) for names, readers in pools.items()),
        draws=tuple(_draws(draws)),
        test=test,
    )


def _which(job: Job) -> tuple[str, int]:
    return str(job.budget), job.draw or 1


def _draws(found: dict[tuple[str, int], Split]) -> list[Draw]:
    """Draws by budget, each with the first one before it that labels the same volumes."""
    rows: list[Draw] = []
    for budget, draw in sorted(found, key=lambda which: (budget_order(which[0]), which[1])):
        lists = found[budget, draw]
        same = (row.draw for row in rows if row.budget == budget and set(row.train) == set(lists.train))
        rows.append(Draw(budget, draw, lists.train, lists.validation, next(same, None)))
    return rows


def roles(lists: Lists) -> dict[str, tuple[str, ...]]:
    """What each volume is there for: ``test``, ``validation``, ``pool``, and ``labelled: 1 (draws 2, 3), 4 (draw 1)``."""
    found: dict[str, list[str]] = {}
    for name, volumes in (
        ("test", lists.test),
        ("validation", _union([d.validation for d in lists.draws])),
        ("pool", _union([p.volumes for p in lists.pools])),
    ):
        for volume in volumes:
            found.setdefault(volume, []).append(name)
    labelled: dict[str, dict[str, list[int]]] = {}
    for draw in lists.draws:
        for volume in draw.train if draw.budget != ALL else ():
            labelled.setdefault(volume, {}).setdefault(draw.budget, []).append(draw.draw)
    for volume, budgets in labelled.items():
        said = [f"{budget} ({_numbers(draws)})" for budget, draws in budgets.items()]
        found.setdefault(volume, []).append(f"labelled: {', '.join(said)}")
    return {volume: tuple(said) for volume, said in found.items()}


def _numbers(draws: list[int]) -> str:
    return f"draw{'s' if len(draws) > 1 else ''} {', '.join(map(str, draws))}"


def _union(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))
