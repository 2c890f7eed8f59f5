"""Splits: by subject, nested, paired, and without a test subject anywhere else."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocalseg.config.model import ConfigError
from glocalseg.data.card import LabelledDraw, SplitLists, SplitRule
from glocalseg.data.splits import check_hygiene, draws_of, make_split

LISTS = ("pretrain", "train", "validation", "test")


def table(sides: list[int]) -> pd.DataFrame:
    """Volumes of subjects with one or two volumes each, sorted by volume."""
    rows = [(f"v{s:03d}_{i}", f"s{s:03d}") for s, n in enumerate(sides) for i in range(n)]
    return pd.DataFrame(rows, columns=["volume", "subject"])


def rule(test: int, validation: int, seed: int, test_volumes: Literal["all", "one"] = "all") -> SplitRule:
    return SplitRule(kind="rule", test=test, validation=validation, seed=seed, test_volumes=test_volumes)


def lists(**changes: Any) -> SplitLists:
    base: dict[str, Any] = {
        "kind": "lists",
        "pretrain": ["s000", "s001", "s002"],
        "test": ["s004"],
        "budgets": {1: [{"train": ["s001"], "validation": ["s003"]}, {"train": ["s000"], "validation": ["s003"]}]},
        "all": {"train": ["s000", "s001", "s002"], "validation": ["s003"]},
    }
    return SplitLists.model_validate({**base, **changes})


@st.composite
def cases(draw: st.DrawFn) -> tuple[SplitRule, pd.DataFrame, int]:
    sides = draw(st.lists(st.integers(1, 2), min_size=5, max_size=40))
    test, validation = draw(st.integers(1, len(sides) // 3)), draw(st.integers(1, len(sides) // 3))
    which = draw(st.sampled_from(["all", "one"]))
    return rule(test, validation, draw(st.integers(0, 99)), which), table(sides), len(sides) - test - validation


@given(cases(), st.integers(1, 9))
@settings(max_examples=12, deadline=None)
def test_no_subject_is_on_two_sides(case: tuple[SplitRule, pd.DataFrame, int], draw: int) -> None:
    splits, volumes, pool = case
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    split = make_split(splits, volumes, max(1, pool // 2), draw)
    of = {name: {subject[v] for v in getattr(split, name)} for name in LISTS}
    assert not of["test"] & (of["pretrain"] | of["train"] | of["validation"])
    assert not of["train"] & of["validation"]
    assert of["train"] <= of["pretrain"]
    assert len(of["test"]) == splits.test
    assert len(of["validation"]) == splits.validation
    assert of["test"] | of["validation"] | of["pretrain"] == set(volumes["subject"])


@given(cases(), st.integers(1, 9))
@settings(max_examples=12, deadline=None)
def test_budgets_are_nested_and_count_volumes_of_different_subjects(
    case: tuple[SplitRule, pd.DataFrame, int], draw: int
) -> None:
    splits, volumes, pool = case
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    found = [make_split(splits, volumes, budget, draw).train for budget in range(1, pool + 1)]
    for budget, train in enumerate(found, start=1):
        assert len(train) == len({subject[v] for v in train}) == budget
        assert train == found[-1][:budget]
    with pytest.raises(ConfigError, match=f"at most the {pool} subjects"):
        make_split(splits, volumes, pool + 1, draw)


@given(cases())
@settings(max_examples=20, deadline=None)
def test_everything_but_the_labelled_volumes_is_the_same_for_every_run(case: tuple[SplitRule, pd.DataFrame, int]) -> None:
    splits, volumes, pool = case
    runs = [make_split(splits, volumes, b, d) for b in (1, pool, "all") for d in (1, 2)]
    assert len({(run.pretrain, run.validation, run.test) for run in runs}) == 1
    assert runs[-1].train == runs[-1].pretrain


def test_a_split_is_a_function_of_seed_budget_and_draw_alone() -> None:
    volumes = table([2, 1] * 10)
    first = make_split(rule(5, 2, 3), volumes, 2, 4)
    make_split(rule(5, 2, 3), volumes, 8, 1)  # another call in between, of another benchmark's budget list
    assert make_split(rule(5, 2, 3), volumes, 2, 4) == first
    shuffled = volumes.sample(frac=1, random_state=0)
    assert make_split(rule(5, 2, 3), shuffled, 2, 4) == first
    assert make_split(rule(5, 2, 4), volumes, 2, 4).test != first.test
    assert len({make_split(rule(5, 2, 3), volumes, 2, d).train for d in range(1, 9)}) > 4


def test_one_test_volume_a_subject_when_asked_for() -> None:
    volumes = table([2] * 12)
    both, single = (make_split(rule(5, 2, 3, which), volumes, 1, 1) for which in ("all", "one"))
    assert len(both.test) == 10
    assert len(single.test) == 5
    assert set(single.test) < set(both.test)


def test_lists_are_taken_as_they_stand() -> None:
    volumes = table([1, 2, 1, 1, 2])
    split = make_split(lists(), volumes, 1, 1)
    assert split.train == ("v001_0", "v001_1")
    assert split.pretrain == ("v000_0", "v001_0", "v001_1", "v002_0")
    assert split.test == ("v004_0", "v004_1")
    assert make_split(lists(), volumes, "all", 1).train == split.pretrain
    assert draws_of(lists(), 1, 5) == [1, 2]
    assert draws_of(rule(1, 1, 0), 1, 5) == [1, 2, 3, 4, 5]
    assert draws_of(rule(1, 1, 0), "all", 5) == [1]
    with pytest.raises(ConfigError, match=r"one of \[1\].*found 2"):
        draws_of(lists(), 2, 5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrain": ["s000", "s004"]}, "s004.*test and in pretrain"),
        ({"test": ["s003"]}, "s003.*test and in validation"),
        ({"budgets": {1: [LabelledDraw(train=["s004"], validation=["s003"])]}}, "s004.*test and in train"),
        ({"budgets": {1: [LabelledDraw(train=["s003"], validation=["s003"])]}}, "s003.*train and in validation"),
        ({"pretrain": ["s999"]}, "s999.*not in the data"),
        ({"test": []}, "each need a subject"),
    ],
)
def test_leaks_and_unknown_subjects_are_errors(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        make_split(lists(**changes), table([1, 2, 1, 1, 2]), 1, 1)


def test_the_other_side_of_a_test_subject_is_a_leak() -> None:
    volumes = table([2, 2, 2])
    clean = make_split(rule(1, 1, 0), volumes, 1, 1)
    leaky = type(clean)(clean.pretrain, clean.train, clean.validation, clean.test[:1])
    check_hygiene(leaky, volumes)
    with pytest.raises(ConfigError, match="in test and in pretrain"):
        check_hygiene(type(clean)((*clean.pretrain, clean.test[1]), clean.train, clean.validation, clean.test[:1]), volumes)


def test_too_few_subjects() -> None:
    with pytest.raises(ConfigError, match="found 2 \\+ 1"):
        make_split(rule(2, 1, 0), table([1, 1, 1]), 1, 1)
