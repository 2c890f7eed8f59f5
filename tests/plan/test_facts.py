"""What a benchmark asks of volumes that are known: problems and notes, all at once, each with what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from test_specs import LISTS, benchmark, card

from glocalseg.config.benchmark import Benchmark
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.lock.file import Lock, LockedCase, how_read, write_lock
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.given import LabelledDraw, SplitLists, SplitRule
from glocalseg.data.splits.lists import split_spec, volumes_of
from glocalseg.methods.catalogue import strategies
from glocalseg.methods.pretraining.batches.pool import Pool, Views
from glocalseg.plan.facts import check_facts, check_readable, whole_budgets
from glocalseg.plan.make import make_plan

METHODS: list[dict[str, Any]] = [{}, {"global": "gd"}]


def facts(subjects: int = 9, **changes: Any) -> pd.DataFrame:
    """One volume a subject, with both structures; ``changes`` are columns."""
    names = [f"v{s}" for s in range(subjects)]
    columns = {"volume": names, "subject": [f"s{s}" for s in range(subjects)], "labelled": True, "slices": 20}
    return pd.DataFrame({**columns, "voxels_1": 50, "voxels_2": 30, **changes})


def bench(**changes: Any) -> Benchmark:
    return benchmark(**{"methods": METHODS, "repeats": 2, **changes})


def volumes(role: str, table: pd.DataFrame, c: Card, budget: int = 1, draw: int = 1) -> list[str]:
    split = volumes_of(split_spec(c.splits, ("pretrain", "train", "validation", "test"), budget, draw), table)
    return list(getattr(split, role))


def without(table: pd.DataFrame, names: list[str], *columns: str) -> pd.DataFrame:
    """The same, with no voxels of these structures in these volumes."""
    found = table.copy()
    found.loc[found["volume"].isin(names), list(columns)] = 0
    return found


def test_nothing_to_say() -> None:
    assert check_facts(bench(), card(), facts()) == ([], [])


# ---------------------------------------------------------------- partitions and batches


def test_more_partitions_than_slices_names_the_first_volumes() -> None:
    table = facts(slices=[3, 20, 3, 3, 2, 3, 3, 3, 3])
    c = card()
    short = [v for v in (*volumes("pretrain", table, c), *volumes("validation", table, c)) if v != "v1"]
    problems, _ = check_facts(bench(), c, table)
    [line] = [p for p in problems if "partitions" in p]
    shown = ", ".join(short[:5]) + (f" and {len(short) - 5} more" if len(short) > 5 else "")
    least = 2 if "v4" in short else 3
    assert line == (
        f"made_up: pretrain_global.partitions: expected at most {least}, as there are slices in {shown}, found 4"
    )


def test_tested_volumes_need_no_partitions() -> None:
    table = facts()
    table.loc[table["volume"].isin(volumes("test", table, card())), "slices"] = 1
    assert check_facts(bench(), card(), table) == ([], [])


def test_partitions_count_where_they_are_read() -> None:
    table = facts(slices=3)
    local = {"steps": 5, "images": 8, "partitions": 3}
    coarse = {"steps": 5, "images": 24, "partitions": 3}
    line = {"global": "gd", "local": "lr", "name": "fine", "set": {"pretrain_local.partitions": 9}}
    assert check_facts(bench(pretrain_global=coarse, methods=[*METHODS, line]), card(), table)[0] == []  # lr reads none
    line = {"global": "gd", "local": "ld", "name": "fine", "set": {"pretrain_local.partitions": 9}}
    found, _ = check_facts(bench(pretrain_global=coarse, pretrain_local=local, methods=[*METHODS, line]), card(), table)
    assert [p.split(": expected")[0] for p in found] == ["made_up: methods: fine: set: pretrain_local.partitions"]


def test_batches_larger_than_the_pool() -> None:
    big = {"steps": 5, "images": 72}
    assert check_facts(bench(pretrain_global={**big, "images": 71}), card(), facts())[0] == []
    [line] = check_facts(bench(pretrain_global=big), card(), facts())[0]
    assert line == (
        "made_up: pretrain_global.images: expected at most 71 for gd, whose batch takes another volume for every 12 images and "
        "has 5 to take, found 72, 6 volumes"
    )
    assert check_facts(bench(pretrain_global=big, methods=[{}, {"global": "gr"}]), card(), facts())[0] == []
    share = {"global": "gd", "name": "few", "set": {"pool": "20%"}}
    [line] = check_facts(bench(methods=[*METHODS, share]), card(), facts())[0]
    assert line == "made_up: methods: few: set: splits: pretrain: expected at least 2 volumes for gd, found 1"


def test_batches_larger_than_asked_for_are_told() -> None:
    partitions = {"steps": 5, "images": 24, "partitions": 22}
    problems, notes = check_facts(bench(pretrain_global=partitions), card(), facts(slices=30))
    assert problems == []
    assert notes == [
        "made_up: pretrain_global.images: gd shows 132 images a step, not 24: 3 views of a slice from each of 22 partitions of 2 "
        "volumes"
    ]


@pytest.mark.parametrize("name", [name for name, entry in strategies().items() if entry.by_partition])
@pytest.mark.parametrize(("partitions", "images"), [(4, 8), (4, 24), (4, 60), (3, 48), (5, 8)])
def test_what_a_strategy_says_of_its_batches_is_so(name: str, partitions: int, images: int) -> None:
    entry = strategies()[name]
    assert entry.by_partition is not None
    least, views = entry.by_partition
    slices = torch.arange(12 * partitions)
    pool = Pool(slices, slices // partitions, slices % partitions, slices / len(slices), partitions, 12)
    drawn = entry.option_class()().draw(pool, images, torch.Generator().manual_seed(0))  # type: ignore[attr-defined]
    batches = (
        [drawn] if isinstance(drawn, Views) else drawn
    )  # one stage shows some views to the encoder, others to the network
    taken = max(least, images // (views * partitions))
    assert sum(map(len, batches)) == taken * views * partitions
    assert [len(batch.volume.unique()) for batch in batches] == [taken] * len(batches)


# ---------------------------------------------------------------- structures


def test_a_structure_in_no_volume() -> None:
    [line] = check_facts(bench(), card(), facts(voxels_2=0))[0]
    assert line == "made_up: structures: expected 'core' in a volume, found it in none"


def test_validation_without_any_structure() -> None:
    table = facts()
    names = volumes("validation", table, card())
    [line] = check_facts(bench(), card(), without(table, names, "voxels_1", "voxels_2"))[0]
    assert line == (
        f"made_up: splits: validation: expected disc, core in one of {', '.join(names)}, which the weights are selected by, "
        "found none of them"
    )
    assert check_facts(bench(), card(), without(table, names[:1], "voxels_1", "voxels_2")) == ([], [])
    assert check_facts(bench(), card(), without(table, names, "voxels_2")) == ([], [])


def test_labelled_volumes_without_any_structure() -> None:
    table = facts()
    [name] = volumes("train", table, card(), draw=2)
    [line] = check_facts(bench(), card(), without(table, [name], "voxels_1", "voxels_2"))[0]
    assert line.startswith(
        f"made_up: splits: budget 1, draw 2: expected labels to learn from, found that {name} has no label of"
    )
    pair = volumes("train", table, card(), 2)
    problems, _ = check_facts(bench(budgets=[2], repeats=1), card(), without(table, pair, "voxels_1", "voxels_2"))
    assert [p for p in problems if f"found that {pair[0]}, {pair[1]} have no label of any structure" in p] == problems
    assert len(problems) == 1


def test_labelled_volumes_without_one_structure_are_told() -> None:
    table = facts()
    [name] = volumes("train", table, card())
    problems, notes = check_facts(bench(repeats=1), card(), without(table, [name], "voxels_2"))
    assert problems == []
    assert notes == [f"made_up: budget 1, draw 1: the labelled volumes, {name}, have no label of 'core'"]


def test_a_structure_that_no_tested_volume_holds_is_told() -> None:
    table = facts()
    problems, notes = check_facts(bench(), card(), without(table, volumes("test", table, card()), "voxels_1"))
    assert problems == []
    assert notes == ["made_up: splits: test: none of the tested volumes holds 'disc', which has no score then"]


def test_fixed_lists_may_validate_each_draw_otherwise() -> None:
    draws = [LabelledDraw(train=["s0"], validation=["s5"]), LabelledDraw(train=["s1"], validation=["s6"])]
    whole = LabelledDraw(train=["s0", "s1"], validation=["s5"])
    splits = SplitLists(kind="lists", pretrain=["s0", "s1", "s2"], test=["s8"], budgets={1: draws}, all=whole)
    table = without(facts(), ["v6"], "voxels_1", "voxels_2")
    [line] = check_facts(bench(), card(splits=splits), table)[0]
    assert "in one of v6" in line


# ---------------------------------------------------------------- budgets and repeats


def test_listed_draws_that_come_again_and_subjects_of_several_volumes_are_told() -> None:
    draws = [LabelledDraw(train=[s], validation=["s5"]) for s in ("s0", "s1", "s0")]
    whole = LabelledDraw(train=["s0", "s1"], validation=["s5"])
    splits = SplitLists(kind="lists", pretrain=["s0", "s1", "s2"], test=["s8"], budgets={1: draws}, all=whole)
    problems, notes = check_facts(bench(budgets=[1], repeats=3), card(splits=splits), facts())
    assert problems == []
    [note] = [n for n in notes if "budget 1" in n]
    assert note.endswith("budget 1: 1 of 3 draws label the volumes of an earlier draw once more: the card lists them so")
    table = facts()
    table.loc[table["volume"] == "v2", "subject"] = "s1"
    table.loc[table["volume"] == "v3", "subject"] = "s2"
    notes = check_facts(bench(budgets=[1], repeats=2), card(splits=splits), table)[1]
    assert [n for n in notes if "lists give" in n] == [
        "made_up: budget 1, draw 2: its lists give 2 labelled volumes, all of each subject"
    ]


def test_draws_that_come_again_are_told() -> None:
    problems, notes = check_facts(bench(budgets=[1, 2], repeats=7), card(), facts())
    assert problems == []
    assert notes == [
        "made_up: budget 1: 2 of 7 draws label the volumes of an earlier draw once more: there are not enough different ones"
    ]


def test_budgets_above_the_pool_with_labels() -> None:
    table = facts(labelled=[True] * 7 + [False] * 2)
    lines = check_facts(bench(budgets=[3, 4, 5]), card(), table)[0]
    assert lines == [
        f"made_up: budgets: expected at most the 3 subjects of the training pool, found {budget}" for budget in (4, 5)
    ]


def test_percentages_are_of_subjects_with_labels() -> None:
    b = bench(budgets=["30%", 3, "60%", "100%", "1%"])
    assert whole_budgets(b, card(subjects=14), None) == [3, 6, 10, 1]
    table = facts(14, labelled=[True] * 9 + [False] * 5)
    assert whole_budgets(b, card(subjects=14), table) == [2, 3, 5, 1]  # 60% of five is three, which is there
    assert whole_budgets(bench(budgets=["50%"]), card(splits=LISTS), None) == [1]


def test_problems_of_lists_and_of_volumes_come_at_once() -> None:
    splits = SplitLists(
        kind="lists", pretrain=["s0"], test=["nobody"], budgets={}, all=LabelledDraw(train=["s0"], validation=["s1"])
    )
    lines = check_facts(bench(budgets=[1]), card(splits=splits), facts(voxels_2=0))[0]
    assert lines == [
        "made_up: structures: expected 'core' in a volume, found it in none",
        "made_up: splits: subjects ['nobody'] are listed in the card but not in the data, or not with a label",
    ]


# ---------------------------------------------------------------- while a verification has problems


def test_nothing_is_said_of_what_is_not_known() -> None:
    table = facts()
    assert check_readable(bench(upper_bound=True), card(), table, complete=True) == []
    for missing in (["v0"], volumes("train", table, card()), volumes("validation", table, card()), list(table["volume"])):
        some = table.astype({"slices": float, "voxels_1": float, "voxels_2": float})
        some.loc[some["volume"].isin(missing), ["slices", "voxels_1", "voxels_2"]] = float("nan")
        for complete in (True, False):
            assert check_readable(bench(upper_bound=True), card(), some, complete=complete) == []
    assert check_readable(bench(), card(), pd.DataFrame(), complete=False) == []


def test_partitions_are_compared_with_the_volumes_that_could_be_read() -> None:
    table = facts(slices=[float("nan"), *[3.0] * 8])
    c = card()
    [line] = check_readable(bench(), c, table, complete=True)
    assert line.startswith("pretrain_global.partitions: expected at most 3, as there are slices in v")
    assert "v0" not in line
    [line] = check_readable(bench(), c, table, complete=False)  # two are tested and two validate: four are left
    assert line == "pretrain_global.partitions: expected at most 3, as there are slices in v5, v6, v7, v8, found 4"


def test_short_volumes_that_may_all_be_tested_are_no_problem_yet() -> None:
    splits = card().splits
    assert isinstance(splits, SplitRule)
    apart = splits.test + splits.validation
    few = facts(slices=[3] * apart + [20] * (9 - apart))
    assert check_readable(bench(), card(), few, complete=False) == []
    more = facts(slices=[2] * apart + [3] + [20] * (8 - apart))
    [line] = check_readable(bench(), card(), more, complete=False)
    assert line == f"pretrain_global.partitions: expected at most 3, as there are slices in v{apart}, found 4"
    lists = card(splits=LISTS)
    named = facts(subject=["a", "b", "c", "t", "d", "e", "f", "g", "h"], slices=3)
    named.loc[~named["subject"].isin(LISTS.pretrain), "slices"] = 20
    [line] = check_readable(bench(), lists, named, complete=False)
    assert line.startswith("pretrain_global.partitions: expected at most 3")


def test_a_batch_larger_than_all_that_can_be_pretrained_on() -> None:
    big = {"steps": 5, "images": 72}
    assert check_readable(bench(pretrain_global=big), card(), facts(4), complete=False) == []
    [line] = check_readable(bench(pretrain_global=big), card(volumes=9), facts(4), complete=False)
    assert "expected at most 71 for gd" in line
    assert check_readable(bench(pretrain_global=big), card(volumes=10), facts(4), complete=False) == []


# ---------------------------------------------------------------- the plan


def lock(folder: Path, c: Card, subjects: int, slices: int) -> None:
    cases = {
        f"v{s}": LockedCase(
            subject=f"s{s}", image=f"{s:064d}", label=f"{s:064d}" if s < subjects - 2 else None, shape=(8, 8, slices),
            spacing=(1.0, 1.0, 2.0), orientation="RAS", values={0: 9, 1: 5, 2: 5} if s < subjects - 2 else {},
        ) for s in range(subjects)
    }  # fmt: skip
    write_lock(folder / f"{c.name}.lock.json", Lock(how_read(c.reading), cases))


def test_a_plan_knows_the_volumes_of_a_lock_file(tmp_path: Path) -> None:
    c = card(labels="some", subjects=11)
    b = bench(budgets=["40%"], repeats=6)
    before = make_plan(b, {"made_up": c}, lock_folder=tmp_path)
    assert before.notes == ()
    assert {job.budget for job in before.of("finetune")} == {3}  # of the seven subjects that the card says
    lock(tmp_path, c, 11, slices=20)
    plan = make_plan(b, {"made_up": c}, lock_folder=tmp_path)
    assert {job.budget for job in plan.of("finetune")} == {2}  # of the five that have labels
    lock(tmp_path, c, 11, slices=3)
    with pytest.raises(ConfigError, match=r"pretrain_global\.partitions: expected at most 3"):
        make_plan(b, {"made_up": c}, lock_folder=tmp_path)


def test_what_is_odd_is_in_the_plan(tmp_path: Path) -> None:
    c = card(labels="some", subjects=11)
    lock(tmp_path, c, 11, slices=20)
    [note] = make_plan(bench(repeats=6), {"made_up": c}, lock_folder=tmp_path).notes
    assert note.startswith("made_up: budget 1: 1 of 6 draws")
