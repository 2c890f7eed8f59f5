"""What a benchmark asks of a data set whose volumes are known: before anything is trained, all at once.

Facts are a table with one row a volume: ``volume``, ``subject``, ``labelled``, ``slices`` and, for each class, ``voxels_<class>``
(``data.acquire.lock.facts_of``). While a verification has problems, slices and voxels may be NaN: unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.config.model import ConfigError, share_of
from glocalseg.config.settings import PretrainConfig, Settings
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.draws import repeated_draws
from glocalseg.data.splits.given import Budget, Role, SplitRule, whole_budget
from glocalseg.data.splits.lists import split_spec, volumes_of
from glocalseg.methods.catalogue import strategies

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
POOL: tuple[Role, ...] = ("pretrain",)
TUNED: tuple[Role, ...] = ("train", "validation")
UPPER: tuple[Budget, ...] = ("all",)
Section = tuple[str, PretrainConfig, list[str]]  # of a benchmark: its name, its values, the strategies that read them


def whole_budgets(benchmark: Benchmark, card: Card, facts: pd.DataFrame | None) -> list[int]:
    """The budgets as numbers of volumes, each once.

    Args:
        facts: of the data set; None while they are unknown, and the card's number of subjects has to do.
    """
    splits = card.splits
    if isinstance(splits, SplitRule):
        labelled = card.subjects if facts is None else facts[facts["labelled"]]["subject"].nunique()
        pool = labelled - splits.test - splits.validation
    else:
        pool = len(splits.all.train)
    return list(dict.fromkeys(whole_budget(budget, pool) for budget in benchmark.budgets))


def check_facts(benchmark: Benchmark, card: Card, facts: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What cannot be run, and what is odd and runs all the same, a line each."""
    problems, notes = _asked(benchmark, card, facts)
    problems = [*_structures(card, facts), *problems]
    return [f"{card.name}: {p}" for p in dict.fromkeys(problems)], [f"{card.name}: {n}" for n in dict.fromkeys(notes)]


def check_readable(benchmark: Benchmark, card: Card, facts: pd.DataFrame, *, complete: bool) -> list[str]:
    """What cannot be run whatever the files hold that could not be read, a line each.

    Args:
        complete: whether these are the volumes of the data set. If not, who is in which list is not known either.
    """
    if facts.empty:
        return []
    return list(dict.fromkeys(_asked(benchmark, card, facts)[0] if complete else _whoever(benchmark, card, facts)))


def _asked(benchmark: Benchmark, card: Card, facts: pd.DataFrame) -> tuple[list[str], list[str]]:
    """Problems and notes of lists, partitions, batches, budgets and draws."""
    problems: list[str] = []
    notes: list[str] = []
    try:
        validation, test = _judged(card, facts)
        problems += _validation(card, facts, validation) if _selects(benchmark) else []
        notes += _tested(card, facts, test)
        for where, settings, methods in _every(benchmark):
            pool, sections = _pool(settings, card, facts), list(_sections(settings, methods, diagnosed=not where))
            problems += _pretrainings(where, sections, pool, validation, facts)
            notes += _batches(where, sections)
        budgets: list[Budget] = [*whole_budgets(benchmark, card, facts), *(UPPER if benchmark.upper_bound else ())]
    except ConfigError as error:  # of the lists as a whole: nothing can be said of single draws
        problems, budgets = [*problems, *str(error).split("\n")], []
    for budget in budgets:
        try:
            found = _labelled(benchmark, card, facts, budget)
            problems, notes = [*problems, *found[0]], [*notes, *found[1]]
        except ConfigError as error:
            problems += str(error).split("\n")
    return problems, notes


def _whoever(benchmark: Benchmark, card: Card, facts: pd.DataFrame) -> Iterator[str]:
    """More partitions than slices, and batches of more volumes than there are, whichever volumes the lists get."""
    splits = card.splits
    apart = splits.test + splits.validation if isinstance(splits, SplitRule) else 0  # subjects that may be in no pool
    rows = facts if isinstance(splits, SplitRule) else facts[facts["subject"].isin(splits.pretrain)]
    fewest = rows.sort_values(["slices", "volume"]).drop_duplicates("subject")
    for where, settings, methods in _every(benchmark):
        if settings.pool:  # a share of it, which may have any
            continue
        for section, config, names in _sections(settings, methods, diagnosed=not where):
            short = fewest[fewest["slices"] < config.partitions][apart:]
            if len(short):
                yield _too_many(where, section, config.partitions, int(short["slices"].min()), list(short["volume"]))
            if card.volumes is not None and isinstance(splits, SplitRule):
                yield from _too_large(where, section, config, names, card.volumes - apart)


def _every(benchmark: Benchmark) -> Iterator[tuple[str, Settings, list[Method]]]:
    """The benchmark's settings and those of each method that sets some, with where they stand and whose they are."""
    yield "", benchmark.settings(), [m for m in benchmark.methods if not m.set_]
    for method in benchmark.methods:
        if method.set_:
            yield f"methods: {method.id}: set: ", benchmark.settings(method), [method]


def _sections(settings: Settings, methods: Sequence[Method], *, diagnosed: bool) -> Iterator[Section]:
    """The sections of pretraining whose partitions are read.

    Args:
        diagnosed: whether random weights are; a diagnosis reads the partitions of global pretraining.
    """
    for name, config, chosen in (
        ("pretrain_global", settings.pretrain_global, {m.global_ for m in methods}),
        ("pretrain_local", settings.pretrain_local, {m.local for m in methods}),
    ):
        strategic = sorted(s for s in chosen if s and "partitions" not in strategies()[s].unread)
        if strategic or (name == "pretrain_global" and (diagnosed or chosen - {None})):
            yield name, config, strategic


def _judged(card: Card, facts: pd.DataFrame) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The volumes that validate pretraining, and those that are tested."""
    split = volumes_of(split_spec(card.splits, ("validation", "test"), "all", 1), facts)
    return split.validation, split.test


def _pool(settings: Settings, card: Card, facts: pd.DataFrame) -> tuple[str, ...]:
    """The volumes of pretraining."""
    share = share_of(settings.pool) if settings.pool else None
    return volumes_of(split_spec(card.splits, POOL, share=share), facts).pretrain


def _structures(card: Card, facts: pd.DataFrame) -> Iterator[str]:
    for number, name in card.structures.items():
        if not facts[f"voxels_{number}"].sum():
            yield f"structures: expected {name!r} in a volume, found it in none"


def _selects(benchmark: Benchmark) -> bool:
    """Whether the weights of any method are selected by the card's validation list."""
    return any(settings.finetune.selection == "validation" for _, settings, _ in _every(benchmark))


def _validation(card: Card, facts: pd.DataFrame, volumes: Sequence[str]) -> Iterator[str]:
    rows = facts[facts["volume"].isin(volumes)]
    if _known(card, rows) and not _foreground(card, rows).any():
        yield (
            f"splits: validation: expected {', '.join(card.structures.values())} in one of {', '.join(volumes)}, which the "
            "weights are selected by, found none of them"
        )


def _tested(card: Card, facts: pd.DataFrame, volumes: Sequence[str]) -> Iterator[str]:
    rows = facts[facts["volume"].isin(volumes)]
    for number, name in card.structures.items():
        if not rows[f"voxels_{number}"].sum() and facts[f"voxels_{number}"].sum():
            yield f"splits: test: none of the tested volumes holds {name!r}, which has no score then"


def _known(card: Card, rows: pd.DataFrame) -> bool:
    """Whether it is known of all volumes what their labels hold."""
    return not bool(rows[[f"voxels_{number}" for number in card.structures]].isna().any(axis=None))


def _foreground(card: Card, rows: pd.DataFrame) -> pd.Series[bool]:
    counted: pd.Series[bool] = rows[[f"voxels_{number}" for number in card.structures]].sum(axis=1) > 0
    return counted


def _pretrainings(
    where: str, sections: Sequence[Section], pool: Sequence[str], validation: Sequence[str], facts: pd.DataFrame
) -> Iterator[str]:
    """More partitions than slices, and batches of more volumes than there are."""
    slices = facts.set_index("volume")["slices"]
    for section, config, names in sections:
        partitions = config.partitions
        looked_at = dict.fromkeys((*pool, *validation) if section == "pretrain_global" else pool)
        if short := [v for v in looked_at if slices[v] < partitions]:
            yield _too_many(where, section, partitions, min(int(slices[v]) for v in short), short)
        yield from _too_large(where, section, config, names, len(pool))


def _too_many(where: str, section: str, partitions: int, slices: int, volumes: Sequence[str]) -> str:
    return f"{where}{section}.partitions: expected at most {slices}, as there are slices in {_some(volumes)}, found {partitions}"


def _too_large(where: str, section: str, config: PretrainConfig, names: Sequence[str], pool: int) -> Iterator[str]:
    """Batches of more volumes than a pool of so many has."""
    for name in names:
        least, views = strategies()[name].by_partition or (0, 1)
        each = views * config.partitions
        if least > pool:
            yield f"{where}splits: pretrain: expected at least {least} volumes for {name}, found {pool}"
        elif least and (volumes := max(least, config.images // each)) > pool:
            yield (
                f"{where}{section}.images: expected at most {(pool + 1) * each - 1} for {name}, whose batch takes another volume "
                f"for every {each} images and has {pool} to take, found {config.images}, {volumes} volumes"
            )


def _batches(where: str, sections: Sequence[Section]) -> Iterator[str]:
    """Batches that are larger than what was asked for."""
    for section, config, names in sections:
        for name in names:
            least, views = strategies()[name].by_partition or (0, 1)
            if (shown := least * views * config.partitions) > config.images:
                yield (
                    f"{where}{section}.images: {name} shows {shown} images a step, not {config.images}: {views} views of a slice "
                    f"from each of {config.partitions} partitions of {least} volume{'' if least == 1 else 's'}"
                )


def _labelled(benchmark: Benchmark, card: Card, facts: pd.DataFrame, budget: Budget) -> tuple[list[str], list[str]]:
    """Draws without a label, without one of a structure, and draws that come twice."""
    problems: list[str] = []
    notes: list[str] = []
    orders: list[tuple[str, ...]] = []
    for draw in dict.fromkeys(repeat.draw for repeat in benchmark.all_repeats):
        split = volumes_of(split_spec(card.splits, TUNED, budget, draw), facts)
        train = split.train
        orders.append(train)
        if _selects(benchmark):
            problems += _validation(card, facts, split.validation)  # fixed lists may validate each draw otherwise
        rows, where = facts[facts["volume"].isin(train)], f"budget {budget}, draw {draw}"
        if budget not in ("all", len(train)):
            notes.append(f"{where}: its lists give {len(train)} labelled volumes, all of each subject")
        if not _known(card, rows):
            continue
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
    if budget != "all" and (again := repeated_draws(orders, max(map(len, orders)))):
        listed = not isinstance(card.splits, SplitRule) and card.splits.is_listed(budget, again[0])
        why = "the card lists them so" if listed else "there are not enough different ones"
        notes.append(
            f"budget {budget}: {len(again)} of {len(orders)} draws label the volumes of an earlier draw once more: {why}"
        )
    return problems, notes


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"
