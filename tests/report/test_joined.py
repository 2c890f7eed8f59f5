"""Reports of several folders: joined where they fit, refused in a line where they do not, and compared."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from fabricated_runs import Size, fabricate, make_benchmark, make_card
from scipy.stats import ttest_ind

from glocalrun.tools.publish import publish
from glocalrun.tools.reports.diff import compare
from glocalrun.tools.reports.diff import main as diff_main
from glocalrun.tools.reports.merge import main as merge_main
from glocalseg.config.benchmark import load_benchmark
from glocalseg.evaluation.predictions import PREDICTIONS
from glocalseg.evaluation.statistics.intervals import mean_of
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.digest import sha256_file
from glocalseg.records.sealed import seal, write_record
from glocalseg.report import build as building
from glocalseg.report.collected.collect import collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined import bring
from glocalseg.report.joined.archive import NAME
from glocalseg.report.joined.diff import Difference, difference
from glocalseg.report.joined.merge import SOURCES, Joined, merge
from glocalseg.report.joined.shown import verdict
from glocalseg.report.joined.side import read_side
from glocalseg.report.joined.source import Source, read_source

SMALL = Size(methods=("random", "gd"), budgets=(1,), repeats=2, subjects=2, grid=(4, 22, 20))


def site(root: Path, size: Size, **changes: Any) -> Plan:
    """Fabricated runs with the record of a report, as ``build`` leaves it; ``changes`` are of its benchmark."""
    size = replace(size, more={**size.more, **changes})
    plan = fabricate(root, size)
    write_record(root / plan.report.record, {"spec": plan.report.spec.dump(), "missing": [], "files": {}})
    return plan


def joined(tmp_path: Path, *names: str) -> Joined:
    return merge([read_source(tmp_path / name) for name in names], tmp_path / "out", lock_folder=tmp_path)


def refused(tmp_path: Path, *names: str) -> list[str]:
    """The lines of a refusal; nothing may have been brought."""
    with pytest.raises(ReportError) as caught:
        joined(tmp_path, *names)
    assert not (tmp_path / "out").exists()
    return str(caught.value).splitlines()


def test_methods_that_were_split_over_sites_are_one_benchmark_as_if_made_at_one(tmp_path: Path) -> None:
    site(tmp_path / "a", replace(SMALL, methods=("random", "gd")))
    site(tmp_path / "b", replace(SMALL, methods=("random", "gd+lr")))
    got = joined(tmp_path, "a", "b")
    whole = fabricate(tmp_path / "whole", replace(SMALL, methods=("random", "gd", "gd+lr")))
    assert got.plan.report.record == whole.report.record  # the plan, and so the report, is that of one site
    pd.testing.assert_frame_equal(collect(got.plan, tmp_path / "out").scores, collect(whole, tmp_path / "whole").scores)
    assert not collect(got.plan, tmp_path / "out").missing
    again = load_benchmark(got.configuration)
    assert make_plan(again, got.plan.cards, lock_folder=tmp_path).report.record == whole.report.record


def test_repeats_that_were_split_over_sites_are_counted_on(tmp_path: Path) -> None:
    own = [{"draw": n, "pretraining": n, "finetuning": n} for n in (3, 4, 5)]
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, repeats=tuple(own)))
    got = joined(tmp_path, "a", "b")
    assert got.plan.benchmark.repeats == 5
    assert set(collect(got.plan, tmp_path / "out").scores["repeat"]) == {"r1", "r2", "r3", "r4", "r5"}


def test_benchmarks_of_several_data_sets_keep_their_own_budgets(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, datasets=("toy_b",), budgets=(2,)), name="other")
    got = joined(tmp_path, "a", "b")
    assert got.plan.benchmark.name == "toy_and_other"
    tuned = got.plan.of("finetune")
    assert {(job.dataset, job.budget) for job in tuned} == {("toy_a", 1), ("toy_a", "all"), ("toy_b", 2), ("toy_b", "all")}
    assert got.further == 8  # two methods in two repeats at the budget that each lacks
    runs = collect(got.plan, tmp_path / "out")
    assert not runs.missing
    assert runs.finished == runs.runs


def test_who_gave_what_is_said_and_a_run_that_both_have_counts_once(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, methods=("random", "gd", "gr")))
    got = joined(tmp_path, "a", "b")
    first, second = (json.loads((tmp_path / "out" / SOURCES).read_text())["sources"][f"From {tmp_path / n}"] for n in "ab")
    assert first.startswith("12 trainings and diagnoses of toy: Toy processor, Toy, commit c0ffee")
    assert second.startswith("6 trainings")  # gr: two pretrainings, two diagnoses, two fine-tunings
    assert [fact.label for fact in got.origins] == [f"From {tmp_path / n}" for n in "ab"]


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
    site(tmp_path / "a", SMALL)
    plan = fabricate(tmp_path / "b", replace(SMALL, methods=("random", "gd", "gr")))
    cards = tmp_path / "b/config/datasets"
    cards.mkdir(parents=True)
    (cards / "toy_a.yaml").write_text(yaml.safe_dump(make_card("toy_a", SMALL).model_dump(mode="json", exclude_unset=True)))
    raw = make_benchmark(replace(SMALL, methods=("random", "gd", "gr"))).model_dump(mode="json", by_alias=True)
    (tmp_path / "b/config/toy.yaml").write_text(yaml.safe_dump(raw))
    assert set(read_source(tmp_path / "b/config/toy.yaml").runs) == set(plan.jobs) - {plan.report.record}
    got = joined(tmp_path, "a", "b/config/toy.yaml")
    assert not collect(got.plan, tmp_path / "out").missing


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
    with pytest.raises(ReportError, match=r"card of toy_a: structures.2: expected 'posterior' as in .*a, found 'behind'"):
        merge([a, other], tmp_path / "out", lock_folder=tmp_path)


def test_other_data_of_the_same_name_is_refused(tmp_path: Path) -> None:
    for name in "ab":
        site(tmp_path / name, SMALL)
    a, b = (read_source(tmp_path / name) for name in "ab")
    other = replace(b, identities={"toy_a": "f" * 64})
    with pytest.raises(
        ReportError, match=r"b: toy_a: expected data of identity not verifi as in .*found ffffffffff: other images"
    ):
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
        (lambda p: (p.mkdir(), (p / "scores.csv.gz").write_bytes(b"")), "found no record of a report"),
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
    with pytest.raises(ReportError, match=r"expected one report, found 2: name one of .*results/other, .*results/toy"):
        read_source(tmp_path / "a")
    assert read_source(tmp_path / "a/results/toy").benchmark.name == "toy"


def test_what_was_brought_stays_when_its_folder_is_gone(tmp_path: Path) -> None:
    for name in "ab":
        plan = site(tmp_path / name, SMALL)
    joined(tmp_path, "a", "b")
    run = plan.of("finetune")[0].record
    for name in "ab":
        shutil.rmtree((tmp_path / name / run).parent)
    again = joined(tmp_path, "a", "b")
    assert not collect(again.plan, tmp_path / "out").missing
    assert again.origins[-1].label == "From an earlier call"


def test_bringing_a_run_writes_into_no_file_of_another_folder(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
    (tmp_path / "target").hardlink_to(tmp_path / "b")
    bring._link(tmp_path / "a", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "a"
    assert (tmp_path / "b").read_text() == "b"


def test_a_primary_comparison_is_not_moved_to_another_number_of_volumes(tmp_path: Path) -> None:
    declared = {"statistics": {"primary": ["gd", "random"]}}
    site(tmp_path / "a", replace(SMALL, budgets=(2,)), **declared)
    site(tmp_path / "b", replace(SMALL, budgets=(1,)))
    (line,) = refused(tmp_path, "a", "b")
    assert "statistics.primary: expected 1 labelled volumes of toy_a as the smallest number" in line
    assert "found 2" in line


def test_a_published_report_without_its_runs_is_no_source(tmp_path: Path) -> None:
    plan = site(tmp_path / "a", SMALL)
    publish(tmp_path / "a" / plan.report.record, tmp_path / "published/toy")
    (tmp_path / "published/toy" / NAME).unlink()
    with pytest.raises(ReportError, match="found a report without its runs"):
        read_source(tmp_path / "published/toy")


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


# ---------------------------------------------------------------- what changed


def rows_of(
    values: np.ndarray, *, method: str = "gd", metric: str = "dice", structures: Iterable[str] = ("a",), **more: Any
) -> pd.DataFrame:
    """Score rows of a (subjects, repeats) array; ``subjects`` and ``repeats`` name its levels."""
    people = more.get("subjects", [f"s{i}" for i in range(values.shape[0])])
    repeats = more.get("repeats", [f"r{i + 1}" for i in range(values.shape[1])])
    return pd.DataFrame([
        {"dataset": "toy", "method": method, "budget": "1", "repeat": r, "draw": more.get("draw", j + 1), "subject": s,
         "volume": f"{s}_L", "structure": name, "metric": metric, "weights": "selected", "value": values[i, j]}
        for i, s in enumerate(people) for j, r in enumerate(repeats) for name in structures
    ])  # fmt: skip


def published(folder: Path, *tables: pd.DataFrame, verdicts: str = "") -> Path:
    """The folder of a report without a record."""
    (folder / "tables").mkdir(parents=True)
    pd.concat(tables).to_csv(folder / "scores.csv.gz", index=False)
    (folder / "tables/comparisons.csv").write_text(f"dataset,family,method,baseline,budget,verdict\n{verdicts}")
    return folder


def found(tmp_path: Path, first: pd.DataFrame, second: pd.DataFrame) -> Difference:
    sides = [published(tmp_path / name, table) for name, table in (("a", first), ("b", second))]
    return difference(*map(read_side, sides))


RNG = np.random.default_rng(3)
NOISE = RNG.normal(0.8, 0.01, (4, 7))


def test_equal_reports_are_equal_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(tmp_path / "a", rows_of(NOISE))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert compare(tmp_path / "a", tmp_path / "b", None)
    said = capsys.readouterr().out
    assert "All scores are equal, byte for byte." in said
    assert "All 2 files are equal, byte for byte." in said
    assert "7 runs are in both, their scores equal." in said
    assert "settings, keys and commits are not compared" in said


def test_a_structure_that_is_gone_is_no_noise(tmp_path: Path) -> None:
    d = found(tmp_path, rows_of(NOISE, structures=("a", "b")), rows_of(NOISE + 0.001, structures=("a",)))
    assert d.changed[0].within is None
    assert d.changed[0].how == "other structures"
    assert not d.within_noise


def test_a_paired_change_is_judged_by_the_interval_of_the_difference(tmp_path: Path) -> None:
    """Much smaller than what repeats and subjects vary by, and seen all the same, because both have them in common."""
    spread = RNG.normal(0.7, 0.1, (4, 7))
    shifted = spread + 0.004 + RNG.normal(0, 0.001, (4, 7))
    d = found(tmp_path, rows_of(spread), rows_of(shifted))
    (change,) = d.changed
    assert (change.how, change.within, d.within_noise) == ("paired", False, False)
    assert change.difference == mean_of(shifted - spread, confidence=0.95, bounds=(-np.inf, np.inf)).interval
    assert (change.first, change.second) == pytest.approx((spread.mean(), shifted.mean()))
    assert verdict(d) == "1 of 1 means changed: 1 beyond noise."


def test_a_paired_change_that_goes_both_ways_is_noise(tmp_path: Path) -> None:
    d = found(tmp_path, rows_of(NOISE), rows_of(NOISE + np.resize([0.01, -0.011], (4, 7))))
    assert [c.within for c in d.changed] == [True]
    assert d.within_noise
    assert verdict(d) == "1 of 1 means changed: all of them within noise."
    assert (d.runs, d.rescored) == (7, 7)


def test_other_repeats_are_compared_by_welch(tmp_path: Path) -> None:
    own = RNG.normal(0.8, 0.01, (4, 6))
    d = found(tmp_path, rows_of(NOISE), rows_of(own, repeats=[f"r{i}" for i in range(8, 14)]))
    (change,) = d.means
    test = ttest_ind(own.mean(axis=0), NOISE.mean(axis=0), equal_var=False).confidence_interval(0.95)
    assert change.how == "Welch"
    assert (change.difference.low, change.difference.high) == pytest.approx((test.low, test.high))
    assert ("repeats", tuple(f"r{i}" for i in range(8, 14)), True) in d.levels
    assert d.runs == 0


def test_repeats_of_one_name_with_other_choices_are_not_paired(tmp_path: Path) -> None:
    d = found(tmp_path, rows_of(NOISE), rows_of(NOISE, draw=1))
    assert [c.how for c in d.means] == ["Welch"]


def test_other_subjects_bring_their_own_error(tmp_path: Path) -> None:
    """People who differ by 0.2 are no change of the method, whatever few repeats say."""
    levels = np.array([[0.9], [0.7], [0.5], [0.8]])
    d = found(tmp_path, rows_of(levels + NOISE - 0.8), rows_of(levels[::-1] - 0.1 + NOISE - 0.8, subjects=list("wxyz")))
    (change,) = d.changed
    assert (change.how, change.within) == ("Welch, other subjects", True)
    same = found(
        tmp_path / "same", rows_of(levels + NOISE - 0.8), rows_of(levels - 0.1 + NOISE - 0.8, repeats=list("abcdefg"))
    )
    assert [(c.how, c.within) for c in same.changed] == [("Welch", False)]


def test_one_repeat_cannot_tell_and_is_no_agreement(tmp_path: Path) -> None:
    d = found(tmp_path, rows_of(NOISE[:, :1]), rows_of(NOISE[:, :1] + 0.1))
    assert [c.within for c in d.changed] == [None]
    assert not d.within_noise
    assert verdict(d) == "1 of 1 means changed: 1 that cannot be judged."


def test_intervals_are_corrected_for_the_number_of_means(tmp_path: Path) -> None:
    """Of 60 methods of which none changed, some leave zero out at 95% by chance."""
    noise = [RNG.normal(0.8, 0.01, (2, 4, 7)) for _ in range(60)]
    first, second = (pd.concat([rows_of(n[side], method=f"m{i}") for i, n in enumerate(noise)]) for side in (0, 1))
    d = found(tmp_path, first, second)
    alone = [mean_of(n[1] - n[0], confidence=0.95, bounds=(-1, 1)).interval for n in noise]
    assert any(i.low > 0 or i.high < 0 for i in alone)
    assert d.within_noise


def test_cells_and_levels_that_are_only_in_one_are_named(tmp_path: Path) -> None:
    both = pd.concat([rows_of(NOISE), rows_of(NOISE, method="gr")])
    d = found(tmp_path, both, pd.concat([rows_of(NOISE), rows_of(NOISE, metric="nsd"), rows_of(NOISE, method="pcl")]))
    assert d.gone == (("toy", "gr", "1"),)
    assert d.added == (("toy", "pcl", "1"),)
    assert set(d.levels) == {("methods", ("gr",), False), ("methods", ("pcl",), True), ("metrics", ("nsd",), True)}
    assert not d.within_noise
    assert verdict(d) == "None of 1 means in both reports changed. 1 cell added, 1 cell gone."


def test_means_of_structures_are_compared_beside_those_of_all(tmp_path: Path) -> None:
    first, second = (rows_of(NOISE, structures=("a", "b")) for _ in range(2))
    second.loc[second["structure"] == "b", "value"] += 0.02
    d = found(tmp_path, first, second)
    assert [(c.structure, c.changed, c.within) for c in d.means] == [
        ("all structures", True, False), ("a", False, True), ("b", True, False)
    ]  # fmt: skip


def test_verdicts_that_changed_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(tmp_path / "a", rows_of(NOISE), verdicts="toy,random,gd,random,1,undecided\ntoy,random,gr,random,1,worse\n")
    published(tmp_path / "b", rows_of(NOISE), verdicts="toy,random,gd,random,1,better\ntoy,random,gr,random,1,worse\n")
    assert compare(tmp_path / "a", tmp_path / "b", tmp_path / "d.md")
    assert "| toy | random | gd | random | 1 | undecided | better |" in (tmp_path / "d.md").read_text()
    assert "worse" not in capsys.readouterr().out


def test_settings_keys_and_commits_of_reports_with_records(tmp_path: Path) -> None:
    for name, steps in (("a", 60), ("b", 70)):
        plan = site(tmp_path / name, replace(SMALL, steps=steps))
        folder = (tmp_path / name / plan.report.record).parent
        rows_of(NOISE).to_csv(folder / "scores.csv.gz", index=False)
        files = {"scores.csv.gz": sha256_file(folder / "scores.csv.gz")}
        write_record(tmp_path / name / plan.report.record, {"spec": plan.report.spec.dump(), "files": files, "missing": []})
    d = difference(*(read_side(tmp_path / name / "results/toy/report/index.html") for name in "ab"))
    assert ("finetune.steps", "60", "70") in d.settings
    said = " ".join(d.facts)
    assert "other keys: 2 of diagnostics, 6 of fine-tuning, 2 of global pretraining, 6 of scores" in said
    assert "Commits of the runs: c0ffee (18)" in said


def test_a_table_that_was_changed_after_the_report_is_refused(tmp_path: Path) -> None:
    plan = site(tmp_path, SMALL)
    folder = (tmp_path / plan.report.record).parent
    rows_of(NOISE).to_csv(folder / "scores.csv.gz", index=False)
    write_record(tmp_path / plan.report.record, {"spec": plan.report.spec.dump(), "files": {"scores.csv.gz": "0" * 64}})
    with pytest.raises(ReportError, match=r"scores.csv.gz: expected the file that the report was sealed with"):
        read_side(folder)


def test_a_file_holds_what_the_terminal_shows_and_names_are_no_markup(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = rows_of(NOISE, method="<b>|*x*"), rows_of(NOISE + 0.01, method="<b>|*x*")
    published(tmp_path / "a", first)
    published(tmp_path / "b", second)
    for end in ("html", "md", "txt"):
        assert not compare(tmp_path / "a", tmp_path / "b", tmp_path / f"d.{end}")
    said = capsys.readouterr().out
    assert (tmp_path / "d.txt").read_text() * 3 == said
    page = (tmp_path / "d.html").read_text()
    assert "&lt;b&gt;|*x*" in page
    assert "<b>" not in page
    assert "http" not in page
    assert r"\<b\>\|\*x\*" in (tmp_path / "d.md").read_text()


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "nothing": (lambda p: None, "expected the folder of a report"),
    "no gzip": (lambda p: (p / "scores.csv.gz").write_bytes(b"dataset,method"), "expected a table of scores as gzipped CSV"),
    "torn": (
        lambda p: (p / "scores.csv.gz").write_bytes((p / "scores.csv.gz").read_bytes()[:-30]),
        "expected a table of scores as gzipped CSV",
    ),
    "other columns": (
        lambda p: pd.DataFrame({"dataset": ["a"], "seed": [1]}).to_csv(p / "scores.csv.gz", index=False),
        "found none called method, budget, repeat",
    ),
    "no numbers": (
        lambda p: rows_of(NOISE).assign(value="high").to_csv(p / "scores.csv.gz", index=False),
        "value: expected numbers, found 'high'",
    ),
    "twice": (
        lambda p: pd.concat([rows_of(NOISE)] * 2).to_csv(p / "scores.csv.gz", index=False),
        "expected every score once, found 28 twice: toy, gd, 1, r1",
    ),
    "two records": (
        lambda p: [(p / f"report-{n}.json").write_text("{}") for n in (1, 2)],
        "expected one record of a report, found report-1.json, report-2.json",
    ),
    "torn record": (lambda p: (p / "report-1.json").write_text("{"), "expected JSON with a 'files' entry"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_report_is_one_line_and_two(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, said = BAD[kind]
    good, bad = published(tmp_path / "good", rows_of(NOISE)), tmp_path / "bad"
    if kind != "nothing":
        published(bad, rows_of(NOISE))
        spoil(bad)
    monkeypatch.setattr(sys, "argv", ["report_diff", str(good), str(bad)])
    with pytest.raises(SystemExit) as caught:
        diff_main()
    line = capsys.readouterr().err
    assert caught.value.code == 2
    assert said in line
    assert line.count("\n") == 1
    assert str(bad) in line


@pytest.mark.parametrize(("shift", "code"), [(0.0, 0), (0.01, 1)])
def test_the_exit_code_says_whether_anything_is_beyond_noise(
    tmp_path: Path, shift: float, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides = [published(tmp_path / n, rows_of(NOISE + s)) for n, s in (("a", 0.0), ("b", shift))]
    monkeypatch.setattr(sys, "argv", ["report_diff", *map(str, sides)])
    with pytest.raises(SystemExit) as caught:
        diff_main()
    assert caught.value.code == code


def test_folders_that_do_not_fit_end_the_program_with_their_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", SMALL, statistics={"margin": 0.02})
    monkeypatch.setattr(sys, "argv", ["report_merge", "a", "b", "--out", "out"])
    with pytest.raises(SystemExit) as caught:
        merge_main()
    assert caught.value.code == "b: statistics.margin: expected 0.01 as in a, found 0.02"
    monkeypatch.setattr(sys, "argv", ["report_merge", "a"])
    with pytest.raises(SystemExit, match='expected two folders or more, FOLDERS="a b", found 1'):
        merge_main()


def test_a_joined_report_is_built_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(building, "_plots", lambda *_: [])
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, datasets=("toy_b",), budgets=(2,)))
    monkeypatch.setattr(sys, "argv", ["report_merge", "a", "b", "--out", "out"])
    merge_main()
    said = capsys.readouterr().out
    assert "From a: 12 trainings and diagnoses of toy: Toy processor, Toy, commit c0ffee" in said
    assert "8 fine-tunings of the whole grid are in no folder's benchmark" in said
    table = pd.read_csv("out/results/toy/tables/main.csv", dtype=str)
    cells = set(zip(table["dataset"], table["budget"], strict=True))
    assert cells == {("toy_a", "1"), ("toy_a", "all"), ("toy_b", "2"), ("toy_b", "all")}
    assert read_source(Path("out")).benchmark.datasets == ["toy_a", "toy_b"]  # which may be joined with more


def test_many_clashes_are_one_line(tmp_path: Path) -> None:
    site(tmp_path / "a", SMALL)
    site(tmp_path / "b", replace(SMALL, gains=2.0))
    (line,) = refused(tmp_path, "a", "b")
    assert ", and in 3 runs more; remove them from " in line
