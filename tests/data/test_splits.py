"""Splits: by subject, nested, paired, and without a test subject anywhere else."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocalseg.config.model import ConfigError, keyed
from glocalseg.data.splits.given import (
    ROLES,
    Budget,
    LabelledDraw,
    Role,
    SplitLists,
    SplitRule,
    check_lists,
    listed_subjects,
    whole_budget,
)
from glocalseg.data.splits.lists import ListSpec, RuleSpec, Split, SplitSpec, check_hygiene, split_spec, volumes_of
from glocalseg.records.digest import digest


def make_split(splits: SplitLists | SplitRule, volumes: pd.DataFrame, budget: Budget, draw: int) -> Split:
    """All four lists of a budget and draw."""
    return volumes_of(split_spec(splits, ROLES, budget, draw), volumes)


def table(sides: list[int]) -> pd.DataFrame:
    """Volumes of subjects with one or two volumes each, sorted by volume."""
    rows = [(f"v{s:03d}_{i}", f"s{s:03d}") for s, n in enumerate(sides) for i in range(n)]
    return pd.DataFrame(rows, columns=["volume", "subject"]).assign(labelled=True)


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
    of = {name: {subject[v] for v in getattr(split, name)} for name in ROLES}
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
    assert len({frozenset(make_split(rule(5, 2, 3), volumes, 2, d).train) for d in range(1, 9)}) == 8


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


FIVE = [f"s00{i}" for i in range(5)]  # the pool of a card whose budget 1 has two listed choices, and 3 one


def with_more() -> SplitLists:
    draws = {1: [_draw("s001", validation=("s007",)), _draw("s000")], 3: [_draw("s000", "s001", "s002")]}
    return lists(pretrain=FIVE, test=["s006"], budgets=draws, all=_draw(*FIVE, validation=("s005",)))


def test_draws_beyond_the_listed_ones_are_of_the_same_pool_and_have_sets_that_no_list_has() -> None:
    splits = with_more()
    assert [splits.draw(1, draw).train for draw in (1, 2)] == [["s001"], ["s000"]]
    assert splits.draw(1, 1).validation == ["s007"]  # its own
    assert [splits.is_listed(1, draw) for draw in (1, 2, 3)] == [True, True, False]
    assert [splits.is_listed(3, draw) for draw in (1, 2)] == [True, False]
    assert not splits.is_listed(2, 1)
    assert splits.is_listed("all", 9)
    for budget, count in ((1, 5), (2, 5), (3, 5), (4, 5)):
        found = [splits.draw(budget, draw) for draw in range(1, count + 1)]
        assert len({frozenset(d.train) for d in found}) == count, budget
        for number, one in enumerate(found, 1):
            assert set(one.train) <= set(FIVE)
            assert len(one.train) == budget
            if not splits.is_listed(budget, number):
                assert one.validation == ["s005"]


def test_draws_beyond_the_listed_ones_are_nested_and_stay_whatever_is_asked_for() -> None:
    splits = with_more()
    for draw in (3, 4, 5):
        orders = [splits.draw(budget, draw).train for budget in (1, 2, 3, 4, 5)]
        assert all(order == orders[-1][: len(order)] for order in orders)
    assert with_more().draw(2, 4) == splits.draw(2, 4)
    with pytest.raises(ConfigError, match=r"at most the 5 subjects of splits\.all, found 6"):
        splits.draw(6, 1)


POOL = "v006_0 v002_0 v004_0 v005_0 v005_1 v009_0"
TESTED: dict[Literal["all", "one"], str] = {"all": "v008_0 v000_0 v000_1 v007_0 v007_1", "one": "v007_0 v000_1 v008_0"}


@pytest.mark.parametrize("which", ["all", "one"])
@pytest.mark.parametrize(
    ("budget", "draw", "train"),
    [(3, 1, "v005_0 v002_0 v006_0"), (3, 2, "v006_0 v009_0 v002_0"), ("all", 1, POOL)],
)
def test_a_rule_gives_the_volumes_that_it_always_gave(
    budget: Budget, draw: int, train: str, which: Literal["all", "one"]
) -> None:
    """Worked out once and written down: runs under keys that stay use these volumes, in this order."""
    split = make_split(rule(3, 2, 7, which), table([2, 1, 1, 2, 1, 2, 1, 2, 1, 1]), budget, draw)
    expected = (POOL, train, "v001_0 v003_0 v003_1", TESTED[which])
    assert split == Split(*(tuple(names.split()) for names in expected))


@pytest.mark.parametrize(
    ("budget", "draw", "train"),
    [(1, 1, "v001_0 v001_1"), (1, 2, "v000_0"), ("all", 1, "v002_0 v000_0 v001_0 v001_1")],
)
def test_lists_give_their_volumes_in_the_order_of_the_card(budget: Budget, draw: int, train: str) -> None:
    order = ["s002", "s000", "s001"]  # not sorted
    splits = lists(pretrain=order, all={"train": order, "validation": ["s003"]})
    expected = ("v002_0 v000_0 v001_0 v001_1", train, "v003_0", "v004_0 v004_1")
    assert make_split(splits, table([1, 2, 1, 1, 2]), budget, draw) == Split(*(tuple(names.split()) for names in expected))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrain": ["s000", "s004"]}, "s004.*test and in pretrain"),
        ({"test": ["s003"]}, "s003.*test and in validation"),
        ({"budgets": {1: [LabelledDraw(train=["s004"], validation=["s003"])]}}, "s004.*test and in train"),
        ({"budgets": {1: [LabelledDraw(train=["s003"], validation=["s003"])]}}, "s003.*train and in validation"),
        ({"pretrain": ["s999"]}, "s999.*not in the data"),
        ({"test": []}, "each list needs a subject, found none in test"),
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


# ---------------------------------------------------------------- volumes without a label


def partly(sides: list[str]) -> pd.DataFrame:
    """Volumes of subjects: ``l`` a volume with a label, ``u`` one without."""
    rows = [
        (f"v{s:03d}_{i}{kind}", f"s{s:03d}", kind == "l") for s, kinds in enumerate(sides) for i, kind in enumerate(kinds)
    ]
    return pd.DataFrame(rows, columns=["volume", "subject", "labelled"])


@given(st.lists(st.sampled_from(["l", "lu", "ul", "ll", "u", "uu"]), min_size=8, max_size=30), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_volumes_without_a_label_are_pretrained_on_and_in_no_other_list(sides: list[str], seed: int) -> None:
    volumes = partly(["l", "lu", "l", "lu", *sides])
    split = make_split(rule(2, 1, seed), volumes, 1, 1)
    labelled = set(volumes.loc[volumes["labelled"], "volume"])
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    everything = make_split(rule(2, 1, seed), volumes, "all", 1).train
    assert {*split.train, *split.validation, *split.test} <= labelled
    judged = {subject[v] for v in (*split.validation, *split.test)}
    assert set(split.pretrain) == {v for v in volumes["volume"] if subject[v] not in judged}
    assert set(everything) == set(split.pretrain) & labelled
    for names in (split.validation, split.test):
        assert set(names) == {v for v in labelled if subject[v] in {subject[n] for n in names}}


def test_who_is_tested_does_not_depend_on_volumes_without_a_label() -> None:
    sides = ["l", "ll", "l", "l", "ll", "l", "l", "l"]
    bare = make_split(rule(2, 2, 5), partly(sides), 2, 1)
    more = make_split(rule(2, 2, 5), partly([*(f"{kinds}u" for kinds in sides), "u", "uu"]), 2, 1)
    assert (more.test, more.validation, more.train) == (bare.test, bare.validation, bare.train)
    assert set(bare.pretrain) < set(more.pretrain)


def test_lists_leave_volumes_without_a_label_to_pretraining() -> None:
    volumes = partly(["l", "lu", "l", "lu", "lu", "u", "u"])
    split = make_split(lists(), volumes, 1, 1)
    assert split == Split(
        pretrain=("v000_0l", "v001_0l", "v001_1u", "v002_0l", "v005_0u", "v006_0u"),
        train=("v001_0l",), validation=("v003_0l",), test=("v004_0l",),
    )  # fmt: skip
    named = make_split(lists(pretrain=["s005", "s000"]), volumes, 1, 2)
    assert named.pretrain == ("v005_0u", "v000_0l", "v006_0u")  # a subject that is listed keeps its place


@pytest.mark.parametrize("role", ["train", "validation", "test"])
def test_a_list_with_labels_names_no_subject_that_has_none(role: str) -> None:
    changes: dict[str, Any] = {"train": ["s000"], "validation": ["s003"], role: ["s005"]}
    draw = {name: changes[name] for name in ("train", "validation")}
    splits = lists(budgets={1: [draw]}, test=changes.get("test", ["s004"]))
    with pytest.raises(ConfigError, match=r"\['s005'\].*not with a label"):
        make_split(splits, partly(["l", "l", "l", "l", "l", "u"]), 1, 1)


def test_too_few_subjects_with_labels() -> None:
    with pytest.raises(ConfigError, match=r"data set's 3 with labels, found 2 \+ 1"):
        make_split(rule(2, 1, 0), partly(["l", "l", "l", "u", "u"]), 1, 1)


# ---------------------------------------------------------------- shares


@given(st.lists(st.sampled_from(["l", "ll", "lu", "u"]), min_size=1, max_size=30), st.integers(0, 99), st.booleans())
@settings(max_examples=25, deadline=None)
def test_a_share_of_the_pool_is_of_subjects_and_in_every_larger_one(sides: list[str], seed: int, by_rule: bool) -> None:
    volumes = partly([*["l"] * 5, *sides])
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    splits = rule(1, 1, seed) if by_rule else lists()
    whole = volumes_of(split_spec(splits, ("pretrain",)), volumes).pretrain
    subjects = len({subject[v] for v in whole})
    before: set[str] = set()
    for percent in (1, 10, 30, 50, 100):
        found = volumes_of(split_spec(splits, ("pretrain",), share=percent / 100), volumes).pretrain
        chosen = {subject[v] for v in found}
        assert found == tuple(v for v in whole if subject[v] in chosen)  # all volumes of each subject, in the same order
        assert len(chosen) == max(1, (percent * subjects + 50) // 100)
        assert before <= chosen
        before = chosen
    assert found == whole


def test_a_share_is_another_one_with_another_seed() -> None:
    volumes = table([1] * 20)
    found = {volumes_of(split_spec(rule(1, 1, seed), ("pretrain",), share=0.5), volumes).pretrain for seed in range(9)}
    assert len(found) == 9


def test_a_share_is_drawn_of_all_that_is_pretrained_on_and_is_the_same_whatever_is_labelled() -> None:
    """Subjects with labels and those without are one pool: at 50% of eight subjects, four, each as likely as any other."""
    volumes = partly([*["l"] * 6, *["u"] * 4])  # a test and a validation subject leave four with labels
    bare = {"v006_0u", "v007_0u", "v008_0u", "v009_0u"}
    found = []
    for seed in range(200):
        splits = rule(1, 1, seed)
        pools = {
            volumes_of(split_spec(splits, roles, budget, draw, 0.5), volumes).pretrain
            for roles in (("pretrain",), ("pretrain", "validation"), ROLES)
            for budget, draw in ((1, 1), (2, 3), ("all", 1))
        }
        (pool,) = pools
        assert len(pool) == 4
        found.append(len(bare & set(pool)))
    assert set(found) == {0, 1, 2, 3, 4}
    assert 1.8 < sum(found) / len(found) < 2.2


def test_a_share_is_in_the_specifications_that_read_the_pool() -> None:
    for splits in (rule(5, 2, 3), lists()):
        for roles in SUBSETS:
            keys = {_key(split_spec(splits, roles, 1, 1, share)) for share in (None, 0.3, 0.5)}
            assert len(keys) == (3 if "pretrain" in roles else 1), roles


@pytest.mark.parametrize(
    ("budget", "pool", "expected"),
    [
        (3, 10, 3),
        ("10%", 106, 11),
        ("10%", 14, 1),
        ("10%", 15, 2),
        ("29%", 50, 15),
        ("1%", 5, 1),
        ("100%", 7, 7),
        ("12.5%", 8, 1),
    ],
)
def test_a_percentage_is_a_whole_number_of_volumes(budget: int | str, pool: int, expected: int) -> None:
    assert whole_budget(budget, pool) == expected


# ---------------------------------------------------------------- what a job reads


SUBSETS: list[tuple[Role, ...]] = [
    ("pretrain",), ("pretrain", "validation"), ("train", "validation", "test"), ("test",), ("pretrain", "train")
]  # fmt: skip


@given(cases(), st.sampled_from(SUBSETS), st.integers(1, 5))
@settings(max_examples=15, deadline=None)
def test_lists_do_not_depend_on_which_others_are_asked_for(
    case: tuple[SplitRule, pd.DataFrame, int], roles: tuple[Role, ...], draw: int
) -> None:
    splits, volumes, pool = case
    whole = make_split(splits, volumes, max(1, pool // 2), draw)
    some = volumes_of(split_spec(splits, roles, max(1, pool // 2), draw), volumes)
    for role in ROLES:
        assert getattr(some, role) == (getattr(whole, role) if role in roles else ())


def test_by_rule_only_what_is_asked_for_is_in_a_specification() -> None:
    splits = rule(5, 2, 3, "one")
    assert split_spec(splits, ["pretrain"]) == RuleSpec(roles=("pretrain",), test=5, validation=2, seed=3)
    assert split_spec(splits, ["pretrain"], 8, 2) == split_spec(splits, ["pretrain"])  # neither budget nor draw is read
    asked = split_spec(splits, ["test", "validation"])
    assert asked == RuleSpec(roles=("validation", "test"), test=5, validation=2, seed=3, test_volumes="one")
    tuned = split_spec(splits, ["train", "validation", "test"], 8, 2)
    assert isinstance(tuned, RuleSpec)
    assert (tuned.budget, tuned.draw, tuned.test_volumes) == (8, 2, "one")
    assert split_spec(splits, ["train"], "all", 1) == split_spec(splits, ["train"], "all", 7)


def test_of_lists_only_those_asked_for_are_in_a_specification() -> None:
    assert split_spec(lists(), ["pretrain"]) == ListSpec(pretrain=("s000", "s001", "s002"))
    assert split_spec(lists(), ["train", "test"], 1, 2) == ListSpec(train=("s000",), test=("s004",))
    everything = lists(all={"train": ["s000"], "validation": ["s001"]})
    assert split_spec(everything, ["validation"]) == ListSpec(validation=("s001",))
    assert split_spec(everything, ["validation"], 1, 1) == ListSpec(validation=("s003",))


def _key(spec: SplitSpec) -> str:
    return digest(keyed(spec))


def test_a_changed_list_changes_the_specifications_that_read_it_and_no_other() -> None:
    changes: dict[Role, dict[str, Any]] = {
        "pretrain": {"pretrain": ["s000", "s001"]},
        "test": {"test": ["s005"]},
        "validation": {"all": {"train": ["s000", "s001", "s002"], "validation": ["s006"]}},
        "train": {"all": {"train": ["s000", "s001"], "validation": ["s003"]}},
    }
    for changed, change in changes.items():
        for roles in SUBSETS:
            before, after = (_key(split_spec(x, roles, "all", 1)) for x in (lists(), lists(**change)))
            assert (before != after) == (changed in roles), (changed, roles)
            kept = [_key(split_spec(x, ["train", "validation"], 1, 1)) for x in (lists(), lists(**change))]
            assert kept[0] == kept[1]  # another budget's lists


def test_a_changed_rule_changes_the_specifications_that_read_it_and_no_other() -> None:
    for roles in SUBSETS:
        base = _key(split_spec(rule(5, 2, 3), roles, 4, 1))
        for other in (rule(6, 2, 3), rule(5, 3, 3), rule(5, 2, 4)):  # each of them moves every list
            assert _key(split_spec(other, roles, 4, 1)) != base
        assert (_key(split_spec(rule(5, 2, 3, "one"), roles, 4, 1)) != base) == ("test" in roles)
        for budget, draw in ((5, 1), (4, 2)):
            assert (_key(split_spec(rule(5, 2, 3), roles, budget, draw)) != base) == ("train" in roles)
    assert len({_key(split_spec(rule(5, 2, 3), roles, 4, 1)) for roles in SUBSETS}) == len(SUBSETS)


def test_training_volumes_need_a_budget_and_its_draw() -> None:
    for splits in (rule(1, 1, 0), lists()):
        for budget, draw in ((None, None), (1, None)):
            with pytest.raises(ValueError, match="a budget and its draw"):
                split_spec(splits, ["train"], budget, draw)


@pytest.mark.parametrize("splits", [rule(2, 1, 0, "one"), lists()])
def test_a_specification_survives_being_written_and_read(splits: SplitLists | SplitRule) -> None:
    spec = split_spec(splits, ["train", "test"], 1, 2)
    assert type(spec).model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pretrain": ["s000", "s004"]}, r"\['s004'\] are in test and in pretrain"),
        ({"test": ["s003"]}, r"\['s003'\] are in test and in validation \(budget 1, draw 1\)"),
        ({"test": ["s001"], "pretrain": ["s000"]}, r"\['s001'\] are in test and in train \(budget 1, draw 1\)"),
        (
            {"budgets": {1: [{"train": ["s000"], "validation": ["s003"]}, {"train": ["s003"], "validation": ["s003"]}]}},
            r"\['s003'\] are in train and in validation \(budget 1, draw 2\)",
        ),
        ({"all": {"train": ["s002"], "validation": ["s002"]}}, r"in train and in validation \(budget all, draw 1\)"),
    ],
)
def test_leaks_in_lists_are_found_by_names_alone(changes: dict[str, Any], said: str) -> None:
    check_lists(lists())
    check_lists(rule(1, 1, 0))
    with pytest.raises(ConfigError, match=said) as caught:
        check_lists(lists(**changes))
    assert "\n" not in str(caught.value)


def _draw(*train: str, validation: tuple[str, ...] = ("s003",)) -> dict[str, list[str]]:
    return {"train": list(train), "validation": list(validation)}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"pretrain": ["s000", "s001", "s000", "s000"]},
            ["splits.pretrain: expected each subject once, found 's000' 3 times"],
        ),
        ({"test": ["s004", "s005", "s005"]}, ["splits.test: expected each subject once, found 's005' 2 times"]),
        (
            {"budgets": {1: [_draw("s000"), _draw("s001", "s001", "s002")]}},
            [
                "splits.budgets.1: train (budget 1, draw 2): expected each subject once, found 's001' 2 times",
                "splits.budgets.1: train (draw 2): expected 1 subject, as the budget says, found 2",
            ],
        ),
        (
            {"budgets": {2: [_draw("s000", "s000")]}},
            [
                "splits.budgets.2: train (budget 2, draw 1): expected each subject once, found 's000' 2 times",
                "splits.budgets.2: train (draw 1): expected 2 subjects, as the budget says, found 1",
            ],
        ),
        (
            {"budgets": {2: [_draw("s000", "s001"), _draw("s001")]}},
            ["splits.budgets.2: train (draw 2): expected 2 subjects, as the budget says, found 1"],
        ),
        (
            {"budgets": {1: [_draw("s000", validation=("s003", "s003"))]}},
            ["splits.budgets.1: validation (budget 1, draw 1): expected each subject once, found 's003' 2 times"],
        ),
        ({"budgets": {0: [_draw("s000")]}}, ["splits.budgets: expected numbers of subjects from 1, found 0"]),
        ({"budgets": {-2: []}}, ["splits.budgets: expected numbers of subjects from 1, found -2"]),
        ({"budgets": {1: []}}, ["splits.budgets.1: expected a draw, [{train: [...], validation: [...]}], found none"]),
        (
            {"all": _draw("s000", "s000", validation=("s003", "s003"))},
            [
                "splits.all: train: expected each subject once, found 's000' 2 times",
                "splits.all: validation: expected each subject once, found 's003' 2 times",
            ],
        ),
        (
            {"test": ["s003"]},
            ["splits: subjects ['s003'] are in test and in validation (budget 1, draw 1), and in 2 more"],
        ),
    ],
)
def test_lists_that_repeat_or_do_not_fit_their_budget_are_one_line_each(changes: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        check_lists(lists(**changes))
    assert str(caught.value).split("\n") == said


def test_everything_wrong_with_lists_is_told_at_once() -> None:
    wrong = lists(
        pretrain=["s000", "s000", "s004"],
        test=["s004", "s004"],
        budgets={0: [_draw("s001")], 2: [_draw("s001"), _draw("s003")]},
    )
    with pytest.raises(ConfigError) as caught:
        check_lists(wrong)
    assert len(str(caught.value).split("\n")) == 7


def test_no_list_of_volumes_has_one_twice() -> None:
    for changes, roles in (({"pretrain": ["s000", "s000"]}, ("pretrain",)), ({"test": ["s004", "s004"]}, ("test",))):
        with pytest.raises(ConfigError, match="each subject once in a list"):
            volumes_of(split_spec(lists(**changes), roles), table([1, 2, 1, 1, 2]))  # type: ignore[arg-type]


def test_draws_of_lists_may_come_again() -> None:
    check_lists(lists(budgets={1: [_draw("s000"), _draw("s000")]}))  # which is noted once the data is known


def test_listed_subjects() -> None:
    assert listed_subjects(lists()) == {f"s00{i}" for i in range(5)}
    assert listed_subjects(rule(1, 1, 0)) == set()
