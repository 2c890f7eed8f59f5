"""How a card says that its data set is split: lists of subjects, or a rule (docs/method.md 2.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from glocalseg.config.model import ConfigError, Model, share_of

Budget = int | Literal["all"]
Role = Literal["pretrain", "train", "validation", "test"]
ROLES: tuple[Role, ...] = ("pretrain", "train", "validation", "test")


class LabelledDraw(Model):
    """One fixed choice of labelled subjects, with the validation subjects that belong to it."""

    train: list[str] = Field(min_length=1)
    validation: list[str] = Field(min_length=1)


class SplitLists(Model):
    """Splits fixed by the paper: lists of subjects. ``budgets`` maps a number of volumes to its draws c1, c2, ..."""

    kind: Literal["lists"]
    pretrain: list[str]
    test: list[str]
    budgets: dict[int, list[LabelledDraw]]
    all: LabelledDraw

    def draw(self, budget: Budget, draw: int) -> LabelledDraw:
        """The labelled and validation subjects of a budget and draw (from 1)."""
        return self.all if budget == "all" else self.budgets[budget][draw - 1]


class SplitRule(Model):
    """Splits drawn by subject from a seed: ``test`` and ``validation`` subjects, the rest is the training pool."""

    kind: Literal["rule"]
    test: int = Field(ge=1)
    validation: int = Field(ge=1)
    seed: int = Field(ge=0)
    test_volumes: Literal["all", "one"] = Field(default="all", description="of each test subject; one is drawn by the seed")


Splits = Annotated[SplitLists | SplitRule, Field(discriminator="kind")]


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


def part_of(share: float, whole: int) -> int:
    """How many a share of a number is: rounded half up, at least one."""
    return max(1, int(round(share * whole, 9) + 0.5))


def whole_budget(budget: int | str, pool: int) -> int:
    """A budget as a number of volumes; a percentage is one of the pool's subjects, of which there are so many with labels."""
    return budget if isinstance(budget, int) else part_of(share_of(budget), pool)


def check_lists(splits: SplitLists | SplitRule) -> None:
    """Raise ConfigError if lists put a test subject into another list, or train on a subject that validates in the same draw."""
    if isinstance(splits, SplitRule):
        return
    test = set(splits.test)
    require_apart(test, splits.pretrain, "test", "pretrain")
    budgets: list[tuple[Budget, list[LabelledDraw]]] = [*splits.budgets.items(), ("all", [splits.all])]
    for budget, draws in budgets:
        for number, draw in enumerate(draws, 1):
            where = f" (budget {budget}, draw {number})"
            require_apart(test, draw.train, "test", "train", where)
            require_apart(test, draw.validation, "test", "validation", where)
            require_apart(set(draw.train), draw.validation, "train", "validation", where)


def listed_subjects(splits: SplitLists | SplitRule) -> set[str]:
    """Every subject that lists name; none where a rule splits."""
    if isinstance(splits, SplitRule):
        return set()
    draws = [splits.all, *(d for listed in splits.budgets.values() for d in listed)]
    return {*splits.pretrain, *splits.test, *(s for d in draws for s in (*d.train, *d.validation))}


def require_apart(first: set[str], second: Iterable[str], name: str, other: str, where: str = "") -> None:
    if both := first & set(second):
        raise ConfigError(f"splits: subjects {sorted(both)} are in {name} and in {other}{where}")
