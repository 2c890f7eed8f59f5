"""How a card says that its data set is split: lists of subjects, or a rule (docs/method.md 2.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from math import comb
from typing import Annotated, Literal

from pydantic import Field

from glocalseg.config.model import ConfigError, Model, share_of
from glocalseg.data.splits.draws import draw_order

Budget = int | Literal["all"]
Role = Literal["pretrain", "train", "validation", "test"]
MOST_ORDERS = 500  # that are looked at for draws beside the listed ones
ROLES: tuple[Role, ...] = ("pretrain", "train", "validation", "test")


class LabelledDraw(Model):
    """One fixed choice of labelled subjects, with the validation subjects that belong to it."""

    train: list[str] = Field(min_length=1)
    validation: list[str] = Field(min_length=1)


class SplitLists(Model):
    """Splits fixed by the paper: lists of subjects. ``budgets`` maps a number of subjects to its draws c1, c2, ...: each trains
    on so many, on all their volumes with labels. Further draws, and other budgets, are drawn from the subjects of ``all``."""

    kind: Literal["lists"]
    pretrain: list[str]
    test: list[str]
    budgets: dict[int, list[LabelledDraw]]
    all: LabelledDraw

    def draw(self, budget: Budget, draw: int) -> LabelledDraw:
        """The labelled and validation subjects of a budget and draw (from 1): the listed ones first.

        A draw that no list has takes the beginning of an order that depends on the draws before it alone, so that its budgets are
        nested, and that begins with no set which the budget has already, while there are such orders.

        Raises:
            ConfigError: if there are fewer subjects.
        """
        if budget == "all":
            return self.all
        listed = self.budgets.get(budget, [])
        if draw <= len(listed):
            return listed[draw - 1]
        if budget > len(self.all.train):
            raise ConfigError(f"budgets: expected at most the {len(self.all.train)} subjects of splits.all, found {budget}")
        return LabelledDraw(train=list(self._order(draw)[:budget]), validation=self.all.validation)

    def is_listed(self, budget: Budget, draw: int) -> bool:
        """Whether a draw is one of the card's own."""
        return budget == "all" or draw <= len(self.budgets.get(budget, []))

    def _order(self, draw: int) -> tuple[str, ...]:
        pool, listed = (
            tuple(sorted(self.all.train)),
            {n: [frozenset(d.train) for d in draws] for n, draws in self.budgets.items()},
        )
        found = _orders(pool, tuple((n, tuple(sets)) for n, sets in sorted(listed.items())))
        while len(found) < draw:
            found.append(_next_order(pool, listed, found))
        return found[draw - 1]


@lru_cache(maxsize=16)
def _orders(pool: tuple[str, ...], listed: tuple[tuple[int, tuple[frozenset[str], ...]], ...]) -> list[tuple[str, ...]]:
    """The orders that are known of a pool and its lists, draw by draw."""
    return []


def _next_order(
    pool: tuple[str, ...], listed: Mapping[int, Sequence[frozenset[str]]], before: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """The order of the draw after those before it: a budget takes its beginning, where its list has no such draw.

    It is the first, of those that a rule gives, that begins with no set which is a draw of that budget already, in its list or
    by an earlier order; if none will do, the one that keeps the smallest budgets apart. A set comes again where all are taken.
    """
    taken: dict[int, set[frozenset[str]]] = {}
    for n in range(1, len(pool)):
        own = listed.get(n, ())
        sets = {*own, *(frozenset(order[:n]) for order in before[len(own) :])}
        if len(own) <= len(before) and len(sets) < comb(len(pool), n):
            taken[n] = sets
    best: tuple[int, tuple[str, ...]] | None = None
    for number in range(1, MOST_ORDERS):
        order = draw_order({subject: (subject,) for subject in pool}, 0, number)
        met = next((n for n, sets in taken.items() if frozenset(order[:n]) in sets), len(pool))
        if best is None or met > best[0]:
            best = met, order
        if met == len(pool):
            break
    assert best is not None
    return best[1]


class SplitRule(Model):
    """Splits drawn by subject from a seed: ``test`` and ``validation`` subjects, the rest is the training pool."""

    kind: Literal["rule"]
    test: int = Field(ge=1)
    validation: int = Field(ge=1)
    seed: int = Field(ge=0)
    test_volumes: Literal["all", "one"] = Field(default="all", description="of each test subject; one is drawn by the seed")


Splits = Annotated[SplitLists | SplitRule, Field(discriminator="kind")]


def part_of(share: float, whole: int) -> int:
    """How many a share of a number is: rounded half up, at least one."""
    return max(1, int(round(share * whole, 9) + 0.5))


def whole_budget(budget: int | str, pool: int) -> int:
    """A budget as a number of volumes; a percentage is one of the pool's subjects, of which there are so many with labels."""
    return budget if isinstance(budget, int) else part_of(share_of(budget), pool)


def check_lists(splits: SplitLists | SplitRule) -> None:
    """Look at lists by their names alone: nothing of it would be noticed later than this.

    Raises:
        ConfigError: one line a problem: a subject that a list has twice, a training list that is longer or shorter than its
            budget, a budget without draws or of no subject, a test subject in another list, or one that is trained on and
            validates in the same draw.
    """
    if isinstance(splits, SplitRule):
        return
    problems = [*_repeats(splits), *_sizes(splits), *_overlaps(splits)]
    if problems:
        raise ConfigError("\n".join(problems))


def _every_draw(splits: SplitLists) -> Iterator[tuple[str, str, LabelledDraw]]:
    """Every draw of lists, with its key in the card, and how people call it."""
    for budget, draws in splits.budgets.items():
        for number, draw in enumerate(draws, 1):
            yield f"splits.budgets.{budget}", f"budget {budget}, draw {number}", draw
    yield "splits.all", "budget all, draw 1", splits.all


def _repeats(splits: SplitLists) -> Iterator[str]:
    lists = [("splits.pretrain", splits.pretrain), ("splits.test", splits.test)]
    for key, called, draw in _every_draw(splits):
        where = "" if key == "splits.all" else f" ({called})"
        lists += [(f"{key}: train{where}", draw.train), (f"{key}: validation{where}", draw.validation)]
    for where, subjects in lists:
        if again := {subject: n for subject, n in Counter(subjects).items() if n > 1}:
            found = ", ".join(f"{subject!r} {n} times" for subject, n in again.items())
            yield f"{where}: expected each subject once, found {found}"


def _sizes(splits: SplitLists) -> Iterator[str]:
    for budget, draws in splits.budgets.items():
        if budget < 1:
            yield f"splits.budgets: expected numbers of subjects from 1, found {budget}"
            continue
        if not draws:
            yield f"splits.budgets.{budget}: expected a draw, [{{train: [...], validation: [...]}}], found none"
        for number, draw in enumerate(draws, 1):
            if (found := len(set(draw.train))) != budget:
                subjects = f"{budget} subject{'s' if budget > 1 else ''}"
                yield f"splits.budgets.{budget}: train (draw {number}): expected {subjects}, as the budget says, found {found}"


def _overlaps(splits: SplitLists) -> Iterator[str]:
    test = set(splits.test)
    if said := _both(test, splits.pretrain, "test", "pretrain"):
        yield said
    places: dict[str, list[str]] = {}  # what is wrong in one draw is wrong in many, and needs one line
    for _, called, draw in _every_draw(splits):
        train = set(draw.train)
        for first, second, name, other in (
            (test, draw.train, "test", "train"),
            (test, draw.validation, "test", "validation"),
            (train, draw.validation, "train", "validation"),
        ):
            if said := _both(first, second, name, other):
                places.setdefault(said, []).append(called)
    for said, (first_place, *more) in places.items():
        yield f"{said} ({first_place})" + (f", and in {len(more)} more" if more else "")


def listed_subjects(splits: SplitLists | SplitRule) -> set[str]:
    """Every subject that lists name; none where a rule splits."""
    if isinstance(splits, SplitRule):
        return set()
    draws = [splits.all, *(d for listed in splits.budgets.values() for d in listed)]
    return {*splits.pretrain, *splits.test, *(s for d in draws for s in (*d.train, *d.validation))}


def require_apart(first: set[str], second: Iterable[str], name: str, other: str) -> None:
    """Raise ConfigError if two lists have a subject in common."""
    if said := _both(first, second, name, other):
        raise ConfigError(said)


def _both(first: set[str], second: Iterable[str], name: str, other: str) -> str:
    both = first & set(second)
    return f"splits: subjects {sorted(both)} are in {name} and in {other}" if both else ""
