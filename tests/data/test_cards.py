"""The cards of this repository: they load, their lists are those of docs/method.md 2.3, and no subject is in two lists."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from glocalseg.config.benchmark import parse_benchmark
from glocalseg.data.cards.card import Card, load_card
from glocalseg.data.readers.acdc import Acdc
from glocalseg.data.readers.base import SubjectNames
from glocalseg.data.splits.given import ROLES, Budget, SplitLists, check_lists
from glocalseg.data.splits.lists import Split, split_spec, volumes_of
from glocalseg.plan.make import make_plan

FOLDER = Path(__file__).parents[2] / "config" / "datasets"
PAPER = ["acdc", "mmwhs", "prostate"]
VOLUMES = {
    "acdc": [f"patient{i:03d}_ED" for i in range(1, 101)],
    "mmwhs": [f"mr_train_{i}" for i in range(1001, 1021)],
    # MSD's labelled cases: the numbers between belong to its test part
    "prostate": [
        f"prostate_{i:02d}"
        for i in (*range(3), 4, 6, 7, 10, 13, 14, *range(16, 19), 20, 21, 24, 25, 28, 29, 31, 32, 34, 35, *range(37, 45), 46, 47)
    ],
}  # fmt: skip


def _card(name: str) -> Card:
    return load_card(FOLDER / f"{name}.yaml")


def _volumes(name: str) -> pd.DataFrame:
    names = SubjectNames(_card(name).subject, Path())
    return pd.DataFrame({"volume": VOLUMES[name], "subject": [names.of(v) for v in VOLUMES[name]], "labelled": True})


def _split(card: Card, volumes: pd.DataFrame, budget: Budget, draw: int) -> Split:
    return volumes_of(split_spec(card.splits, ROLES, budget, draw), volumes)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_card_loads_and_names_licence_and_source(path: Path) -> None:
    card = load_card(path)
    assert card.licence
    assert all(len(c) > 10 for c in card.citation)
    assert card.percentiles == (1.0, 99.0)


@pytest.mark.parametrize("name", PAPER)
def test_subjects_come_out_of_the_file_names(name: str) -> None:
    volumes = _volumes(name)
    assert volumes["subject"].nunique() == len(volumes) == _card(name).subjects


@pytest.mark.parametrize("name", PAPER)
def test_every_list_names_real_subjects_and_keeps_the_test_apart(name: str) -> None:
    card, volumes = _card(name), _volumes(name)
    splits = card.splits
    assert isinstance(splits, SplitLists)
    check_lists(splits)
    for budget, draws in {**splits.budgets, "all": [splits.all]}.items():
        for draw in range(1, len(draws) + 1):
            split = _split(card, volumes, budget, draw)  # checks existence and hygiene
            for part in (split.pretrain, split.train, split.validation, split.test):
                assert len(set(part)) == len(part)
            assert len(split.validation) == 2
            assert budget == "all" or len(split.train) == budget


@pytest.mark.parametrize(
    ("name", "pretrain", "test", "everything", "draws"),
    [
        ("acdc", 52, 20, 77, {1: 5, 2: 5, 8: 3}),  # D14: 78 less patient011
        ("prostate", 17, 15, 15, {1: 5, 2: 5, 8: 3}),  # D12, D13
        ("mmwhs", 10, 10, 8, {1: 5, 2: 4, 8: 3}),
    ],
)
def test_sizes_are_those_of_the_release(name: str, pretrain: int, test: int, everything: int, draws: dict[int, int]) -> None:
    splits = _card(name).splits
    assert isinstance(splits, SplitLists)
    assert (len(splits.pretrain), len(splits.test), len(splits.all.train)) == (pretrain, test, everything)
    assert {budget: len(listed) for budget, listed in splits.budgets.items()} == draws


@pytest.mark.parametrize(("name", "sets"), [("acdc", 12), ("prostate", 10), ("mmwhs", 8)])
def test_repeats_beyond_the_papers_lists_label_others_of_its_pool(name: str, sets: int) -> None:
    card, volumes = _card(name), _volumes(name)
    splits = card.splits
    assert isinstance(splits, SplitLists)
    for budget, listed in splits.budgets.items():
        found = [splits.draw(budget, draw) for draw in range(1, sets + 1)]
        assert found[: len(listed)] == listed
        for number in range(len(listed) + 1, sets + 1):
            assert set(splits.draw(budget, number).train) <= set(splits.all.train)
            assert len(_split(card, volumes, budget, number).train) == budget
        if budget < len(splits.all.train):  # of all there is one set
            assert len({frozenset(d.train) for d in found}) == sets, (budget, [d.train for d in found])


def _numbers(subjects: list[str]) -> list[int]:
    return [int("".join(c for c in s if c.isdigit())) for s in subjects]


def test_spot_checks_against_the_release() -> None:
    acdc, prostate, mmwhs = (_card(n).splits for n in ("acdc", "prostate", "mmwhs"))
    assert isinstance(acdc, SplitLists)
    assert isinstance(prostate, SplitLists)
    assert isinstance(mmwhs, SplitLists)
    assert _numbers(acdc.budgets[8][1].train) == [2, 22, 42, 62, 95, 63, 94, 43]
    assert _numbers(acdc.budgets[2][0].validation) == [31, 72]
    assert _numbers(acdc.all.validation) == [11, 71]
    assert 11 not in _numbers(acdc.all.train)
    assert not {94, 95} & set(_numbers(acdc.pretrain))  # D15
    assert _numbers(acdc.test) == [d + i for d in (0, 20, 40, 60, 80) for i in (7, 8, 9, 10)]
    assert _numbers(prostate.budgets[2][4].train) == [0, 7]
    assert _numbers(prostate.budgets[2][4].validation) == [25, 28]
    assert {0, 1} < set(_numbers(prostate.all.train))  # D13: the missing comma
    assert set(_numbers(prostate.pretrain)) == {*_numbers(prostate.all.train), 13, 14}
    assert _numbers(mmwhs.budgets[2][3].validation) == [1004, 1008]
    assert mmwhs.all == mmwhs.budgets[8][0]
    assert _numbers(mmwhs.test) == list(range(1011, 1021))


def test_grids_and_labels_are_those_of_the_release() -> None:
    acdc, prostate, mmwhs = (_card(n) for n in ("acdc", "prostate", "mmwhs"))
    assert (acdc.frame.spacing, acdc.frame.size, acdc.classes) == ((1.36719, 1.36719), (192, 192), 4)
    assert (prostate.frame.spacing, prostate.frame.size, prostate.classes) == ((0.625, 0.625), (192, 192), 3)
    assert (mmwhs.frame.spacing, mmwhs.frame.size, mmwhs.classes) == ((1.5, 1.5), (160, 160), 8)
    assert list(mmwhs.label_values) == [0, 205, 420, 500, 550, 600, 820, 850]
    assert list(mmwhs.label_values.values()) == list(range(8))
    assert mmwhs.stray_values == [421]
    assert acdc.reader == Acdc(phases=["ED"])  # D17
    assert {c.bias_correction for c in (acdc, prostate, mmwhs)} == {True}  # D18: all or none


def test_hippocampus_splits_by_person() -> None:
    """260 volumes, 90 people with both sides: as in the archive, without it."""
    numbers = [i for i in range(1, 261) if i <= 180 or i % 2]
    numbers += [2 * k - 1 for k in range(131, 171)]
    people = [f"subject_{(i + 1) // 2:03d}" for i in numbers]
    volumes = pd.DataFrame({"volume": [f"hippocampus_{i:03d}" for i in numbers], "subject": people, "labelled": True})
    card = _card("hippocampus")
    assert volumes["subject"].nunique() == card.subjects
    subject = dict(zip(volumes["volume"], volumes["subject"], strict=True))
    before: set[str] = set()
    for budget in (1, 2, 8):
        split = _split(card, volumes, budget, 3)
        assert len({subject[v] for v in split.test}) == 60
        assert len(split.train) == len({subject[v] for v in split.train}) == budget
        assert before < set(split.train)
        before = set(split.train)


def test_the_paper_can_be_planned_without_data(tmp_path: Path) -> None:
    raw = {
        "name": "paper_test",
        "title": "Paper",
        "datasets": PAPER,
        "methods": [{}, {"global": "gd"}, {"global": "gd", "local": "lr"}],
        "budgets": [1, 2, 8],
        "repeats": 5,
        "pretrain_global": {"steps": 1, "images": 8},
        "pretrain_local": {"steps": 1, "images": 8},
        "finetune": {"steps": 1},
    }
    benchmark = parse_benchmark(raw, where="test")
    plan = make_plan(benchmark, {n: _card(n) for n in PAPER}, lock_folder=tmp_path)
    assert len(plan.of("finetune")) == 3 * (3 * 3 * 5 + 5)  # and the upper bound of each data set in each repeat
    assert len(plan.of("data")) == 3
    assert len(plan.of("pretrain_global")) == 3 * 5
    assert {job.spec.config.partitions for job in plan.of("pretrain_global")} == {4}  # S, for every data set
