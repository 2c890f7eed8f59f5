"""Who is in which list: by subject, nested budgets, the same draws for all methods (METHOD.md 2.3, DESIGN.md 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from glocalseg.config import ConfigError, SplitLists, SplitRule

Budget = int | Literal["all"]


@dataclass(frozen=True)
class Split:
    """The lists of one (budget, draw): names of volumes. ``pretrain`` is the same for every budget and draw."""

    pretrain: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


def draws_of(splits: SplitLists | SplitRule, budget: Budget, wanted: int) -> list[int]:
    """Numbers of the draws of a budget, from 1: as many as wanted, or as the fixed lists have; one for ``all``.

    Raises:
        ConfigError: if the fixed lists have no draw of this budget.
    """
    if budget == "all":
        return [1]
    if isinstance(splits, SplitRule):
        return list(range(1, wanted + 1))
    if budget not in splits.budgets:
        raise ConfigError(f"budgets: expected one of {sorted(splits.budgets)}, which the card lists, found {budget}")
    return list(range(1, min(wanted, len(splits.budgets[budget])) + 1))


def make_split(splits: SplitLists | SplitRule, volumes: pd.DataFrame, budget: Budget, draw: int) -> Split:
    """The lists of one (budget, draw).

    Args:
        splits: the card's lists, or its rule. By rule the subjects are permuted once: the first are tested, the next
            validate, the rest is the pool that pretraining sees. A draw permutes the pool and takes one volume of each
            subject, so that the draws of a larger budget hold those of a smaller one.
        volumes: one row a volume with ``volume`` and ``subject``, sorted by volume.
        budget: labelled volumes, or ``all``.
        draw: from 1.

    Raises:
        ConfigError: if a listed subject is not in the data, the budget exceeds the pool, or test subjects occur elsewhere.
    """
    split = (
        _by_rule(splits, volumes, budget, draw)
        if isinstance(splits, SplitRule)
        else _by_lists(splits, volumes, budget, draw)
    )
    check_hygiene(split, volumes)
    return split


def check_hygiene(split: Split, volumes: pd.DataFrame) -> None:
    """Raise ConfigError if a test subject is in any other list, or a validation subject is trained on with labels."""
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    of = {name: {subject[v] for v in getattr(split, name)} for name in ("pretrain", "train", "validation", "test")}
    for name in ("pretrain", "train", "validation"):
        if both := of["test"] & of[name]:
            raise ConfigError(f"splits: subjects {sorted(both)} are in test and in {name}")
    if both := of["train"] & of["validation"]:
        raise ConfigError(f"splits: subjects {sorted(both)} are in train and in validation")
    if not (of["train"] and of["validation"] and of["test"]):
        raise ConfigError("splits: train, validation and test each need a subject")


def _by_rule(rule: SplitRule, volumes: pd.DataFrame, budget: Budget, draw: int) -> Split:
    subjects = np.array(sorted(volumes["subject"].unique()))
    if rule.test + rule.validation >= len(subjects):
        raise ConfigError(
            f"splits: expected fewer test and validation subjects than the data set's {len(subjects)}, "
            f"found {rule.test} + {rule.validation}"
        )
    order = np.random.default_rng([rule.seed, 0]).permutation(subjects)
    test, validation, pool = np.split(order, [rule.test, rule.test + rule.validation])
    pretrain = _volumes(volumes, pool)
    tested = _volumes(volumes, test) if rule.test_volumes == "all" else _one_each(volumes, test, rng=[rule.seed, 2])
    if budget == "all":
        train = pretrain
    else:
        if budget > len(pool):
            raise ConfigError(f"budgets: expected at most the {len(pool)} subjects of the training pool, found {budget}")
        train = _one_each(volumes, pool, rng=[rule.seed, 1, draw])[:budget]
    return Split(pretrain, train, _volumes(volumes, validation), tested)


def _by_lists(lists: SplitLists, volumes: pd.DataFrame, budget: Budget, draw: int) -> Split:
    labelled = lists.all if budget == "all" else lists.budgets[budget][draw - 1]
    return Split(
        _volumes(volumes, lists.pretrain),
        _volumes(volumes, labelled.train),
        _volumes(volumes, labelled.validation),
        _volumes(volumes, lists.test),
    )


def _one_each(volumes: pd.DataFrame, subjects: np.ndarray, *, rng: list[int]) -> tuple[str, ...]:
    """One random volume of every subject, in random order."""
    draws = np.random.default_rng(rng)
    order, which = draws.permutation(subjects), draws.random(len(subjects))
    there = _by_subject(volumes)
    return tuple(there[s][int(u * len(there[s]))] for s, u in zip(order, which, strict=True))


def _by_subject(volumes: pd.DataFrame) -> dict[str, list[str]]:
    return volumes.groupby("subject")["volume"].apply(sorted).to_dict()


def _volumes(volumes: pd.DataFrame, subjects: list[str] | np.ndarray) -> tuple[str, ...]:
    there = _by_subject(volumes)
    if missing := [s for s in subjects if s not in there]:
        raise ConfigError(f"splits: subjects {missing} are listed in the card but not in the data")
    return tuple(v for s in subjects for v in there[s])
