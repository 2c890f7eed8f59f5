"""Who is in which list: by subject, nested budgets, the same draws for all methods (docs/method.md 2.3).

A job's key holds what that job reads of a card's splits and no more (``SplitSpec``), and the lists of volumes follow from that
alone (``volumes_of``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field

from glocalseg.config.model import ConfigError, Model
from glocalseg.data.splits.draws import draw_order
from glocalseg.data.splits.given import ROLES, Budget, Role, SplitLists, SplitRule, part_of, require_apart


class Volumes(Protocol):
    """A table of volumes by column: ``volume``, ``subject``, ``labelled``; a mapping of lists, or a data frame."""

    def __getitem__(self, column: str, /) -> Any: ...


class RuleSpec(Model):
    """Some lists of a split by rule. ``roles`` are the lists asked for; a field that none of them reads is None.

    ``test``, ``validation`` and ``seed`` decide who is in which list, ``budget`` and ``draw`` who of the pool has labels,
    ``share`` how much of the pretraining list is used (``_share``).
    """

    kind: Literal["rule"] = "rule"
    roles: tuple[Role, ...]
    test: int
    validation: int
    seed: int
    budget: Budget | None = None
    draw: int | None = None
    test_volumes: Literal["all", "one"] | None = None
    share: float | None = None


class ListSpec(Model):
    """Some lists of subjects; None where a list is not asked for. ``share`` is how much of the pretraining list is used."""

    kind: Literal["lists"] = "lists"
    share: float | None = None
    pretrain: tuple[str, ...] | None = None
    train: tuple[str, ...] | None = None
    validation: tuple[str, ...] | None = None
    test: tuple[str, ...] | None = None


SplitSpec = Annotated[RuleSpec | ListSpec, Field(discriminator="kind")]


@dataclass(frozen=True)
class Split:
    """Lists of names of volumes, empty where not asked for. ``pretrain`` and ``test`` are the same for every budget and draw."""

    pretrain: tuple[str, ...] = ()
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


def split_spec(
    splits: SplitLists | SplitRule,
    roles: Collection[Role],
    budget: Budget | None = None,
    draw: int | None = None,
    share: float | None = None,
) -> SplitSpec:
    """What a job that reads the lists ``roles`` depends on, and nothing else.

    Args:
        splits: the card's lists, or its rule.
        roles: the lists that are read.
        budget: labelled volumes, or ``all``; needed for ``train``. Fixed lists validate by budget and draw too: without one,
            the validation list is that of ``all``.
        draw: from 1; needed with a number as budget.
        share: of the pretraining list's subjects, in (0, 1]; None: all. Nothing where that list is not read.

    Raises:
        ValueError: if training volumes are asked for without a budget, or a budget without its draw.
    """
    if "train" in roles and (budget is None or (budget != "all" and draw is None)):
        raise ValueError(f"expected a budget and its draw for the training list, found {budget} and {draw}")
    if isinstance(splits, SplitRule):
        labelled = {"budget": budget, "draw": None if budget == "all" else draw} if "train" in roles else {}
        tested: dict[str, object] = {"test_volumes": splits.test_volumes} if "test" in roles else {}
        asked = tuple(role for role in ROLES if role in roles)
        if "pretrain" in roles:
            tested["share"] = share
        return RuleSpec.model_validate(
            {"roles": asked, **splits.model_dump(include={"test", "validation", "seed"}), **labelled, **tested}
        )
    chosen = splits.draw(budget or "all", draw or 1)
    lists = {"pretrain": splits.pretrain, "test": splits.test, "train": chosen.train, "validation": chosen.validation}
    chosen_lists: dict[str, object] = {role: tuple(subjects) for role, subjects in lists.items() if role in roles}
    return ListSpec.model_validate(chosen_lists | ({"share": share} if "pretrain" in roles else {}))


def volumes_of(spec: SplitSpec, volumes: Volumes) -> Split:
    """The lists of volumes that a specification asks for.

    Volumes without a label are in the pretraining list alone: those of its subjects, and those of subjects that have none with a
    label.

    Args:
        spec: by rule, the subjects with labels are permuted once: the first are tested, the next validate, the rest is the pool.
            A draw orders the pool (``data.splits.draws``) and takes one volume of each subject, so that the draws of a larger
            budget hold those of a smaller one.
        volumes: one row a volume, sorted by volume.

    Raises:
        ConfigError: if a listed subject is not in the data, the budget exceeds the pool, a list that was asked for is empty, or
            test subjects occur elsewhere.
    """
    there = _by_subject(volumes, labelled=False)
    labelled = _by_subject(volumes, labelled=True)
    if isinstance(spec, RuleSpec):
        lists = _by_rule(spec, there, labelled)
    else:
        named = {role: getattr(spec, role) for role in ROLES if role != "pretrain"}
        lists = {role: _all_of(subjects, labelled) for role, subjects in named.items() if subjects is not None}
        if spec.pretrain is not None:
            bare = [s for s in there if s not in labelled and s not in spec.pretrain]
            lists["pretrain"] = _all_of(_share([*spec.pretrain, *bare], spec.share, seed=0), there)
    if empty := [role for role, names in lists.items() if not names]:
        raise ConfigError(f"splits: each list needs a subject, found none in {', '.join(empty)}")
    split = Split(**lists)
    check_hygiene(split, volumes)
    return split


def _by_subject(volumes: Volumes, *, labelled: bool) -> dict[str, list[str]]:
    """All volumes, or those with a label, by subject."""
    found: dict[str, list[str]] = {}
    for volume, subject, has in zip(volumes["volume"], volumes["subject"], volumes["labelled"], strict=True):
        if has or not labelled:
            found.setdefault(subject, []).append(volume)
    return {subject: sorted(found[subject]) for subject in sorted(found)}


def check_hygiene(split: Split, volumes: Volumes) -> None:
    """Raise ConfigError if a test subject is in any other list, or a validation subject is trained on with labels."""
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    of = {role: {subject[v] for v in getattr(split, role)} for role in ROLES}
    for role in ("pretrain", "train", "validation"):
        require_apart(of["test"], of[role], "test", role)
    require_apart(of["train"], of["validation"], "train", "validation")


def _by_rule(spec: RuleSpec, there: dict[str, list[str]], labelled: dict[str, list[str]]) -> dict[str, tuple[str, ...]]:
    import numpy as np

    if spec.test + spec.validation >= len(labelled):
        raise ConfigError(
            f"splits: expected fewer test and validation subjects than the data set's {len(labelled)} with labels, "
            f"found {spec.test} + {spec.validation}"
        )
    order = np.random.default_rng([spec.seed, 0]).permutation(np.array(sorted(labelled))).tolist()
    test, validation = order[: spec.test], order[spec.test : spec.test + spec.validation]
    pool = order[spec.test + spec.validation :]
    lists: dict[str, tuple[str, ...]] = {}
    if "pretrain" in spec.roles:
        bare = [subject for subject in there if subject not in labelled]
        lists["pretrain"] = _all_of(_share([*pool, *bare], spec.share, seed=spec.seed), there)
    if "train" in spec.roles:
        lists["train"] = _labelled(spec, pool, labelled)
    if "validation" in spec.roles:
        lists["validation"] = _all_of(validation, labelled)
    if "test" in spec.roles:
        one = spec.test_volumes == "one"
        lists["test"] = _one_each(test, labelled, rng=[spec.seed, 2]) if one else _all_of(test, labelled)
    return lists


def _share(subjects: list[str], share: float | None, *, seed: int) -> list[str]:
    """A share of the subjects of the pretraining list, rounded half up, at least one, in the order given.

    All volumes of theirs that the list has are used, those without a label and those with one that is not looked at. Who they are
    follows from the list and the seed alone: it is the same for every method, budget, draw and seed of a run, whichever of them
    are labelled otherwise; and a smaller share is in a larger one.
    """
    import numpy as np

    if share is None:
        return subjects
    order = np.random.default_rng([seed, 3]).permutation(np.array(sorted(subjects))).tolist()
    chosen = set(order[: part_of(share, len(subjects))])
    return [subject for subject in subjects if subject in chosen]


def _labelled(spec: RuleSpec, pool: list[str], there: dict[str, list[str]]) -> tuple[str, ...]:
    if spec.budget == "all":
        return _all_of(pool, there)
    assert spec.budget is not None
    assert spec.draw is not None
    if spec.budget > len(pool):
        raise ConfigError(f"budgets: expected at most the {len(pool)} subjects of the training pool, found {spec.budget}")
    return draw_order({subject: there[subject] for subject in pool}, spec.seed, spec.draw)[: spec.budget]


def _one_each(subjects: list[str], there: dict[str, list[str]], *, rng: list[int]) -> tuple[str, ...]:
    """One random volume of every subject, in random order."""
    import numpy as np

    draws = np.random.default_rng(rng)
    order, which = draws.permutation(np.array(subjects)).tolist(), draws.random(len(subjects)).tolist()
    return tuple(there[s][int(u * len(there[s]))] for s, u in zip(order, which, strict=True))


def _all_of(subjects: Iterable[str], there: dict[str, list[str]]) -> tuple[str, ...]:
    subjects = list(subjects)
    if len(set(subjects)) < len(subjects):
        again = sorted({s for s in subjects if subjects.count(s) > 1})
        raise ConfigError(f"splits: expected each subject once in a list, found {again} more than once")
    if missing := [s for s in subjects if s not in there]:
        raise ConfigError(f"splits: subjects {missing} are listed in the card but not in the data, or not with a label")
    return tuple(v for s in subjects for v in there[s])
