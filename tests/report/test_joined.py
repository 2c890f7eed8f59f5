"""Reports of several folders: joined where they fit, refused in a line where they do not, and compared."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import Size, fabricate, make_benchmark, make_card

from glocalseg.config.benchmark import parse_benchmark
from glocalseg.config.model import ConfigError
from glocalseg.evaluation.predictions import PREDICTIONS
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.sealed import seal, write_record
from glocalseg.report.collected.collect import collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.merge import SOURCES, Joined, merge
from glocalseg.report.joined.source import Source, read_source

SMALL = Size(methods=("random", "gd"), budgets=(1,), repeats=2, subjects=2, grid=(4, 22, 20))


def site(root: Path, size: Size, **changes: Any) -> Plan:
    """Fabricated runs with the record of a report, as ``build`` leaves it; ``changes`` are of its benchmark."""
    size = replace(size, more={**size.more, **changes})
    plan = fabricate(root, size)
    write_record(root / plan.report.record, {"spec": plan.report.spec.dump(), "files": {}})
    return plan


def joined(tmp_path: Path, *names: str) -> Joined:
    return merge([read_source(tmp_path / name) for name in names], tmp_path / "out", lock_folder=tmp_path)


def refused(tmp_path: Path, *names: str) -> list[str]:
    """The lines of a refusal; nothing may have been brought."""
    with pytest.raises(ReportError) as caught:
        joined(tmp_path, *names)
    assert not (tmp_path / "out/results").exists()
    return str(caught.value).splitlines()


def test_methods_that_were_split_over_sites_are_one_benchmark_as_if_made_at_one(tmp_path: Path) -> None:
    site(tmp_path / "a", replace(SMALL, methods=("random", "gd")))
    site(tmp_path / "b", replace(SMALL, methods=("random", "gd+lr")))
    found = joined(tmp_path, "a", "b")
    whole = fabricate(tmp_path / "whole", replace(SMALL, methods=("random", "gd", "gd+lr")))
    assert found.plan.report.record == whole.report.record  # the plan, and so the report, is that of one site
    pd.testing.assert_frame_equal(
        collect(found.plan, tmp_path / "out").scores, collect(whole, tmp_path / "whole").scores
    )
    assert not collect(found.plan, tmp_path / "out").missing
    again = parse_benchmark(make_plan_raw(found), where="joined")
    assert make_plan(again, found.plan.cards, lock_folder=tmp_path).report.record == whole.report.record


def make_plan_raw(found: Joined) -> dict[str, Any]:
    from glocalseg.config.model import read_yaml

    return read_yaml(found.configuration)


def test_repeats_that_were_split_over_sites_are_counted_on(tmp_path: Path) -> None:
    own = [{"draw": n, "pretraining": n, "finetuning": n} for n in (3, 4, 5)]
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, repeats=tuple(own)))
    found = joined(tmp_path, "a", "b")
    assert found.plan.benchmark.repeats == 5
    assert set(collect(found.plan, tmp_path / "out").scores["repeat"]) == {"r1", "r2", "r3", "r4", "r5"}


def test_benchmarks_of_several_data_sets_keep_their_own_budgets(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, datasets=("toy_b",), budgets=(2,)), name="other")
    found = joined(tmp_path, "a", "b")
    assert found.plan.benchmark.name == "toy_and_other"
    tuned = found.plan.of("finetune")
    assert {(job.dataset, job.budget) for job in tuned} == {("toy_a", 1), ("toy_a", "all"), ("toy_b", 2), ("toy_b", "all")}
    assert found.further == 8  # two methods in two repeats at the budget that each lacks
    got = collect(found.plan, tmp_path / "out")
    assert not got.missing
    assert got.finished == got.runs


def test_who_gave_what_is_said_and_a_run_that_both_have_counts_once(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, methods=("random", "gd", "gr")))
    found = joined(tmp_path, "a", "b")
    first, second = (json.loads((tmp_path / "out" / SOURCES).read_text())["sources"][f"From {tmp_path / n}"] for n in "ab")
    assert first.startswith("12 trainings and diagnoses of toy: Toy processor, Toy, commit c0ffee")
    assert second.startswith("6 trainings")  # gr: two pretrainings, two diagnoses, two fine-tunings
    assert [fact.label for fact in found.origins] == [f"From {tmp_path / n}" for n in "ab"]


def test_runs_are_links_where_that_is_possible(tmp_path: Path) -> None:
    plan = site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, datasets=("toy_b",)))
    joined(tmp_path, "a", "b")
    record = plan.of("finetune")[0].record
    assert os.path.samefile(tmp_path / "a" / record, tmp_path / "out" / record)


def test_joining_again_takes_what_changed(tmp_path: Path) -> None:
    site(tmp_path / "a", replace(SMALL, missing={"gd n1 r2": "OutOfMemoryError: no memory"}))
    site(tmp_path / "b", replace(SMALL, datasets=("toy_b",)))
    before = collect(joined(tmp_path, "a", "b").plan, tmp_path / "out")
    assert list(before.failures.values()) == ["OutOfMemoryError: no memory"]
    assert len(before.missing) == 1
    shutil.rmtree(tmp_path / "a")
    site(tmp_path / "a", SMALL)
    after = collect(joined(tmp_path, "a", "b").plan, tmp_path / "out")
    assert not after.missing
    assert not after.failures


def test_a_folder_without_a_report_is_named_by_its_configuration(tmp_path: Path) -> None:
    import yaml

    site(tmp_path / "a", SMALL)
    plan = fabricate(tmp_path / "b", replace(SMALL, methods=("random", "gd", "gr")))
    cards = tmp_path / "b/config/datasets"
    cards.mkdir(parents=True)
    (cards / "toy_a.yaml").write_text(yaml.safe_dump(make_card("toy_a", SMALL).model_dump(mode="json", exclude_unset=True)))
    raw = make_benchmark(replace(SMALL, methods=("random", "gd", "gr"))).model_dump(mode="json", by_alias=True)
    (tmp_path / "b/config/toy.yaml").write_text(yaml.safe_dump(raw))
    assert set(read_source(tmp_path / "b/config/toy.yaml").runs) == set(plan.jobs) - {plan.report.record}
    found = joined(tmp_path, "a", "b/config/toy.yaml")
    assert not collect(found.plan, tmp_path / "out").missing


# ---------------------------------------------------------------- refused


Change = Callable[[Source], Source]


def card_with(**changes: Any) -> Change:
    def change(source: Source) -> Source:
        cards = {name: card.model_copy(update=changes) for name, card in source.cards.items()}
        return replace(source, cards=cards)

    return change


@pytest.mark.parametrize(
    ("size", "changes", "line"),
    [
        (SMALL, {"finetune": {"steps": 61, "loss": "dice_ce"}}, "{b}: finetune.steps: expected 60 as in {a}, found 61"),
        (SMALL, {"strategies": {}}, "{b}: strategies.gd.views: expected 'release' as in {a}, found nothing"),
        (SMALL, {"statistics": {"margin": 0.02}}, "{b}: statistics.margin: expected 0.01 as in {a}, found 0.02"),
        (
            replace(SMALL, lines=({"name": "gd_fast", "global": "gd", "set": {"finetune.learning_rate": 0.1}},)),
            {"statistics": {"primary": ["gd_fast", "random"]}},
            "{b}: statistics.primary: expected ['gd', 'random'] as in {a}, found ['gd_fast', 'random']",
        ),
        (
            replace(SMALL, lines=({"name": "gd_k", "global": "gd", "set": {"finetune.learning_rate": 0.1}},)),
            {},
            "{b}: methods: gd_k: set.finetune.learning_rate: expected 0.2 as in {a}, found 0.1",
        ),
        (
            replace(SMALL, subjects=3), {},
            "{b}: card of toy_a: splits.test: expected 2 as in {a}, found 3",
        ),
    ],
    ids=["settings", "options", "margin", "primary", "one name, two methods", "test subjects"],
)  # fmt: skip
def test_what_does_not_fit_is_a_line_with_folder_expected_and_found(
    tmp_path: Path, size: Size, changes: dict[str, Any], line: str
) -> None:
    lines = ({"name": "gd_k", "global": "gd", "set": {"finetune.learning_rate": 0.2}},)
    site(tmp_path / "a", replace(SMALL, lines=lines), statistics={"primary": ["gd", "random"]})
    site(tmp_path / "b", size, **{"statistics": {"primary": ["gd", "random"]}, **changes})
    assert refused(tmp_path, "a", "b") == [line.format(a=tmp_path / "a", b=tmp_path / "b")]


def test_other_structures_are_refused(tmp_path: Path) -> None:
    for name in "ab":
        site(tmp_path / name, SMALL)
    a, b = (read_source(tmp_path / name) for name in "ab")
    other = card_with(structures={1: "anterior_part", 2: "behind"})(b)
    with pytest.raises(ReportError, match="card of toy_a: structures.2: expected 'posterior' as in .*a, found 'behind'"):
        merge([a, other], tmp_path / "out", lock_folder=tmp_path)


def test_other_data_of_the_same_name_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        site(tmp_path / name, SMALL)
    a, b = (read_source(tmp_path / name) for name in "ab")
    other = replace(b, identities={"toy_a": "f" * 64})
    with pytest.raises(ReportError, match=r"b: toy_a: expected data of identity not verifi as in .*found ffffffffff: other images"):
        merge([a, other], tmp_path / "out", lock_folder=tmp_path)


def test_scores_of_other_metrics_are_refused_with_what_made_them(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    plan = site(tmp_path / "b", SMALL)
    report = json.loads((tmp_path / "b" / plan.report.record).read_text())
    for job in plan.of("score"):
        old = job.record.parent.with_name("0123456789") / "run.json"
        (tmp_path / "b" / job.record).parent.rename((tmp_path / "b" / old).parent)
        payload = json.loads((tmp_path / "b" / old).read_text())
        payload["spec"] |= {"code": "before", "key": "0123456789"}
        seal(tmp_path / "b" / old, payload)
        report["spec"]["runs"] = [str(old) if run == str(job.record) else run for run in report["spec"]["runs"]]
    write_record(tmp_path / "b" / plan.report.record, report)
    (line,) = refused(tmp_path, "a", "b")
    assert line.startswith(f"{tmp_path / 'b'}: results/score/toy_a/")
    assert f"(and {len(plan.of('score')) - 1} more): code: expected '" in line
    assert line.endswith("found 'before': other code made it, which may give other numbers")


def test_one_specification_with_two_results_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        plan = site(tmp_path / name, SMALL)
    record = tmp_path / "b" / plan.of("finetune")[0].record
    record.with_name(PREDICTIONS).write_bytes(b"of another machine")
    seal(record, json.loads(record.read_text()))
    (line,) = refused(tmp_path, "a", "b")
    assert line.startswith(f"{tmp_path / 'b'}: {plan.of('finetune')[0].record.parent / PREDICTIONS}: expected sha256 ")
    assert "Toy processor, bfloat16, torch 2.13.0, Toy" in line


def test_runs_of_two_machines_may_differ_in_speed(tmp_path: Path) -> None:
    for name in "ab":
        plan = site(tmp_path / name, SMALL)
    record = tmp_path / "b" / plan.of("pretrain_global")[0].record
    log = pd.read_csv(record.with_name("log.csv")).assign(images_per_second=1.5)
    log.to_csv(record.with_name("log.csv"), index=False)
    seal(record, json.loads(record.read_text()))
    assert not collect(joined(tmp_path, "a", "b").plan, tmp_path / "out").missing


def test_an_edited_byte_is_named(tmp_path: Path) -> None:
    for name in "ab":
        plan = site(tmp_path / name, SMALL)
    path = (tmp_path / "b" / plan.of("score")[0].record).with_name("scores.csv")
    path.write_text(path.read_text().replace("0.", "1.", 1))
    (line,) = refused(tmp_path, "a", "b")
    assert line.startswith(f"{path}: expected sha256 ")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda p: None, "found nothing there"),
        (lambda p: p.mkdir(), "found no record of a report"),
        (lambda p: (p.mkdir(), (p / "scores.csv.gz").write_bytes(b"")), "found a published report, which holds no runs"),
        (lambda p: p.write_text("hello"), "found a file"),
        (lambda p: (p.mkdir(), (p / "report-1.json").write_text("{")), "expected JSON with a 'files' entry"),
        (lambda p: (p.mkdir(), write_record(p / "report-1.json", {"files": {}})), "expected the record of a report"),
    ],
    ids=["nothing", "empty", "published", "file", "torn", "other record"],
)  # fmt: skip
def test_a_folder_that_is_no_source_is_a_line(tmp_path: Path, make: Callable[[Path], object], said: str) -> None:
    make(tmp_path / "a")
    with pytest.raises((ReportError, RuntimeError)) as caught:
        read_source(tmp_path / "a")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_checkout_with_two_reports_has_to_be_told_apart(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", SMALL, name="other")
    shutil.copytree(tmp_path / "b/results/other", tmp_path / "a/results/other")
    with pytest.raises(ReportError, match="expected one report, found 2: name one of .*results/other, .*results/toy"):
        read_source(tmp_path / "a")
    assert read_source(tmp_path / "a/results/toy").benchmark.name == "toy"


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    for name in "ab":
        site(tmp_path / name, SMALL)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("")
    with pytest.raises(ReportError, match="OUT: expected a new folder"):
        joined(tmp_path, "a", "b")
    with pytest.raises(ReportError, match="OUT: expected another folder than those that are joined"):
        merge([read_source(tmp_path / n) for n in "ab"], tmp_path / "a", lock_folder=tmp_path)
    with pytest.raises(ReportError, match="expected every folder once"):
        joined(tmp_path, "a", "a")
