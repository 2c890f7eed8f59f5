"""Who is in which list: what the jobs of a plan read of a data set, in words for each volume."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from glocalseg.data.splits.given import Budget, SplitLists, SplitRule
from glocalseg.data.splits.lists import Split, SplitSpec, split_spec, volumes_of
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import POOL
from glocalseg.records.digest import digest
from glocalseg.report.text.names import ALL, budget_order, display
from glocalseg.stages.specs import FinetuneSpec, PretrainSpec


@dataclass(frozen=True)
class Labelled:
    """The labelled volumes of one budget in the repeats that label these, with those that validate.

    ``repeats`` are names, none where all of them label everything. ``listed`` says whether the card lists this choice, and
    ``same`` is the first repeat of an earlier choice of the same volumes.
    """

    budget: str
    repeats: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    listed: bool
    same: str | None


@dataclass(frozen=True)
class Pool:
    """Volumes that are read without their labels, and the rich names of who reads them; nobody: no method of the plan does."""

    volumes: tuple[str, ...]
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Lists:
    """The lists of a data set. Methods may read different pools."""

    pools: tuple[Pool, ...]
    labelled: tuple[Labelled, ...]
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
    found: dict[tuple[Budget, int], Split] = {}
    repeats: dict[int, dict[str, None]] = {}
    for job in plan.jobs.values():
        if job.dataset != dataset or not isinstance(job.spec, PretrainSpec | FinetuneSpec):
            continue
        lists = split(job.spec.split)
        if lists.pretrain:
            pools.setdefault(lists.pretrain, []).append(display(job.name))
        if isinstance(job.spec, FinetuneSpec) and job.budget is not None and job.repeat is not None:
            found.setdefault((job.budget, 1 if job.budget == ALL else job.repeat.draw), lists)
            repeats.setdefault(job.repeat.draw, {})[job.repeat.name] = None
    splits = plan.cards[dataset].splits
    if not pools:
        pools[split(split_spec(splits, POOL)).pretrain] = []
    test = next(iter(found.values())).test if found else ()
    return Lists(
        pools=tuple(Pool(names, tuple(dict.fromkeys(readers))) for names, readers in pools.items()),
        labelled=tuple(_labelled(found, {draw: tuple(names) for draw, names in repeats.items()}, splits)),
        test=test,
    )


def _labelled(
    found: Mapping[tuple[Budget, int], Split], repeats: Mapping[int, tuple[str, ...]], splits: SplitLists | SplitRule
) -> list[Labelled]:
    """Choices by budget and draw, each with the first one before it that labels the same volumes."""
    rows: list[Labelled] = []
    for budget, draw in sorted(found, key=lambda which: (budget_order(str(which[0])), which[1])):
        lists = found[budget, draw]
        same = (row.repeats[0] for row in rows if row.budget == str(budget) and set(row.train) == set(lists.train))
        rows.append(
            Labelled(
                budget=str(budget),
                repeats=() if budget == ALL else repeats[draw],
                train=lists.train,
                validation=lists.validation,
                listed=isinstance(splits, SplitLists) and splits.is_listed(budget, draw),
                same=next(same, None),
            )
        )
    return rows


def roles(lists: Lists) -> dict[str, tuple[str, ...]]:
    """What each volume is there for: ``test``, ``validation``, ``pool``, and ``labelled: 1 (r2, r3), 4 (r1)``."""
    found: dict[str, list[str]] = {}
    for name, volumes in (
        ("test", lists.test),
        ("validation", _union([row.validation for row in lists.labelled])),
        ("pool", _union([p.volumes for p in lists.pools])),
    ):
        for volume in volumes:
            found.setdefault(volume, []).append(name)
    labelled: dict[str, dict[str, list[str]]] = {}
    for row in lists.labelled:
        for volume in row.train if row.budget != ALL else ():
            labelled.setdefault(volume, {}).setdefault(row.budget, []).extend(row.repeats)
    for volume, budgets in labelled.items():
        said = [f"{budget} ({', '.join(repeats)})" for budget, repeats in budgets.items()]
        found.setdefault(volume, []).append(f"labelled: {', '.join(said)}")
    return {volume: tuple(said) for volume, said in found.items()}


def _union(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in lists for name in names))
