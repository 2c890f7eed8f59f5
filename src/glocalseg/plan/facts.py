"""What a benchmark asks of a data set whose volumes are known: before anything is trained, all at once.

Facts are a table with one row a volume: ``volume``, ``subject``, ``labelled``, ``slices`` and, for each class, ``voxels_<class>``
(``data.acquire.lock.facts_of``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import ConfigError, share_of
from glocalseg.config.settings import PretrainConfig, Settings
from glocalseg.data.card import Card
from glocalseg.data.draws import repeated_draws
from glocalseg.data.splits import Budget, Role, SplitRule, draws_of, split_spec, volumes_of
from glocalseg.methods.catalogue import strategies

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
TRAIN: tuple[Role, ...] = ("train",)
UPPER: tuple[Budget, ...] = ("all",)


def whole_budgets(benchmark: Benchmark, card: Card, facts: pd.DataFrame | None) -> list[int]:
    """The budgets as numbers of volumes, each once: a percentage is one of the pool's subjects with labels, at least one.

    Args:
        facts: of the data set; None while they are unknown, and the card's number of subjects has to do.
    """
    splits = card.splits
    if isinstance(splits, SplitRule):
        labelled = card.subjects if facts is None else facts[facts["labelled"]]["subject"].nunique()
        pool = labelled - splits.test - splits.validation
    else:
        pool = len(splits.all.train)
    found = [max(1, int(share_of(n) * pool + 0.5)) if isinstance(n, str) else n for n in benchmark.budgets]
    return list(dict.fromkeys(found))


def check_facts(benchmark: Benchmark, card: Card, facts: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What cannot be run, and what is odd and runs all the same, a line each."""
    problems = list(_structures(card, facts))
    notes: list[str] = []
    try:
        _, validation = _pool(benchmark.settings(), card, facts)
        problems += _validation(card, facts, validation)
        for name, settings in _every(benchmark):
            problems += _pretrainings(benchmark, name, settings, card, facts)
            notes += _batches(benchmark, name, settings)
        budgets: list[Budget] = [*whole_budgets(benchmark, card, facts), *(UPPER if benchmark.upper_bound else ())]
        for budget in budgets:
            found = _labelled(benchmark, card, facts, budget)
            problems, notes = [*problems, *found[0]], [*notes, *found[1]]
    except ConfigError as error:
        problems += str(error).split("\n")
    return [f"{card.name}: {p}" for p in dict.fromkeys(problems)], [f"{card.name}: {n}" for n in dict.fromkeys(notes)]


def _every(benchmark: Benchmark) -> Iterator[tuple[str, Settings]]:
    yield "", benchmark.settings()
    for method in benchmark.methods:
        if method.set_:
            yield f"methods: {method.id}: set: ", benchmark.settings(method)


def _pool(settings: Settings, card: Card, facts: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The volumes of pretraining, and those that validate it."""
    share = share_of(settings.pool) if settings.pool else None
    split = volumes_of(split_spec(card.splits, ("pretrain", "validation"), "all", 1, share), facts)
    return split.pretrain, split.validation


def _structures(card: Card, facts: pd.DataFrame) -> Iterator[str]:
    for number, name in card.structures.items():
        if not facts[f"voxels_{number}"].sum():
            yield f"structures: expected {name!r} in a volume, found it in none"


def _validation(card: Card, facts: pd.DataFrame, volumes: Sequence[str]) -> Iterator[str]:
    rows = facts[facts["volume"].isin(volumes)]
    if not _foreground(card, rows).any():
        yield (
            f"splits: validation: expected {', '.join(card.structures.values())} in one of {', '.join(volumes)}, which the "
            "weights are selected by, found none of them"
        )


def _foreground(card: Card, rows: pd.DataFrame) -> pd.Series[bool]:
    counted: pd.Series[bool] = rows[[f"voxels_{number}" for number in card.structures]].sum(axis=1) > 0
    return counted


def _pretrainings(benchmark: Benchmark, where: str, settings: Settings, card: Card, facts: pd.DataFrame) -> Iterator[str]:
    """More partitions than slices, and batches of more volumes than there are."""
    pool, validation = _pool(settings, card, facts)
    slices = facts.set_index("volume")["slices"]
    for section, config, names in _levels(benchmark, settings):
        partitions = config.partitions
        looked_at = dict.fromkeys((*pool, *validation) if section == "pretrain_global" else pool)
        if short := [v for v in looked_at if slices[v] < partitions]:
            yield (
                f"{where}{section}.partitions: expected at most {min(int(slices[v]) for v in short)}, as there are slices in "
                f"{_some(short)}, found {partitions}"
            )
        for name in names:
            batch = strategies()[name].by_partition
            if batch and (volumes := max(batch[0], config.images // (batch[1] * partitions))) > len(pool):
                yield (
                    f"{where}{section}.images: expected at most {(len(pool) + 1) * batch[1] * partitions - 1} for {name}, whose "
                    f"batch takes other volumes for every {batch[1] * partitions} images and has {len(pool)} to take, found "
                    f"{config.images}, {volumes} volumes"
                )


def _batches(benchmark: Benchmark, where: str, settings: Settings) -> Iterator[str]:
    """Batches that are larger than what was asked for."""
    for section, config, names in _levels(benchmark, settings):
        for name in names:
            batch = strategies()[name].by_partition
            if batch and (least := batch[0] * batch[1] * config.partitions) > config.images:
                yield (
                    f"{where}{section}.images: {name} shows {least} images a step, not {config.images}: {batch[1]} views of a "
                    f"slice from each of {config.partitions} partitions of {batch[0]} volumes"
                )


def _levels(benchmark: Benchmark, settings: Settings) -> Iterator[tuple[str, PretrainConfig, list[str]]]:
    """The sections of pretraining, with the strategies that use them and read partitions."""
    for section, chosen in (
        ("pretrain_global", {m.global_ for m in benchmark.methods}),
        ("pretrain_local", {m.local for m in benchmark.methods}),
    ):
        names = sorted(name for name in chosen if name and "partitions" not in strategies()[name].unread)
        if names or section == "pretrain_global":  # diagnoses read the partitions of global pretraining
            yield section, getattr(settings, section), names


def _labelled(benchmark: Benchmark, card: Card, facts: pd.DataFrame, budget: Budget) -> tuple[list[str], list[str]]:
    """Draws without a label, without one of a structure, and draws that come twice."""
    problems, notes, orders = [], [], []
    for draw in draws_of(card.splits, budget, benchmark.draws):
        train = volumes_of(split_spec(card.splits, TRAIN, budget, draw), facts).train
        orders.append(train)
        rows, where = facts[facts["volume"].isin(train)], f"budget {budget}, draw {draw}"
        if not _foreground(card, rows).any():
            verb = "has" if len(train) == 1 else "have"
            problems.append(
                f"splits: {where}: expected labels to learn from, found that {_some(train)} {verb} no label of any structure "
                "(another splits.seed draws others; `ignore` in the card leaves files out)"
            )
            continue
        for number, name in card.structures.items():
            if not rows[f"voxels_{number}"].sum():
                notes.append(f"{where}: the labelled volumes, {_some(train)}, have no label of {name!r}")
    if again := repeated_draws(orders, len(orders[0]) if orders else 1):
        notes.append(
            f"budget {budget}: there are not enough volumes for {len(orders)} different draws: {len(again)} come again"
        )
    return problems, notes


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
