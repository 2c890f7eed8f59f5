"""What the report says of comparisons: families, verdicts or why there are none, failed runs, controls, prices and worth."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import Line, Size, fabricate, without_pictures

from glocalseg.evaluation.statistics.arrays import repeat_means
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.sealed import read_record, seal
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.analysis.failed import failures
from glocalseg.report.analysis.variance import sources
from glocalseg.report.analysis.worth import efficiency, hours, rises, smallest
from glocalseg.report.build import build
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.tables.compared.declared import comparison_tables
from glocalseg.report.tables.table import Table
from glocalseg.report.text.answer.findings import findings
from glocalseg.report.text.answer.headline import headline
from glocalseg.report.text.names import price

AGAIN: Line = {"name": "random_again", "other_seeds": True, "control": True}
LONG: Line = {"name": "random_long", "control": True, "set": {"finetune.steps": 500}}
SIZE = Size(
    methods=("random", "gr", "gd", "gd+lr"), lines=(AGAIN, LONG), subjects=3, repeats=8, failing=("gr n1 r3", "gr n1 r6"),
    rising=("gd n2",),
)  # fmt: skip
LAST: Line = {"global": "gd", "name": "gd_last", "set": {"finetune.selection": "none"}}
ITSELF: Line = {"global": "gd", "name": "gd_self", "set": {"finetune.selection": "labelled"}}
SQUARE = tuple({"draw": i + 1, "pretraining": j, "finetuning": (i + j) % 3} for i in range(3) for j in range(3))


@dataclasses.dataclass(frozen=True)
class Made:
    """Made-up runs, collected and analysed."""

    plan: Plan
    root: Path
    collected: Collected
    analysis: DatasetAnalysis

    @property
    def said(self) -> list[str]:
        return [*headline(self.analysis), *findings(self.analysis, self.collected)]


def analysed(plan: Plan, root: Path) -> Made:
    collected = collect(plan, root)
    return Made(plan, root, collected, analyse(plan, collected)["toy_a"])


def make(root: Path, size: Size) -> Made:
    return analysed(fabricate(root, size), root)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("comparisons"), SIZE)


@pytest.fixture
def few(tmp_path: Path) -> Made:
    """Two repeats of few methods, some without validation."""
    return make(tmp_path, Size(methods=("random", "gd"), lines=(LAST, ITSELF), subjects=2, repeats=2))


def change(made: Made, of: Callable[[Job], bool], how: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Made:
    """The same with the records of some fine-tunings changed."""
    for job in made.plan.of("finetune"):
        if of(job):
            payload = {k: v for k, v in read_record(made.root / job.record).items() if k != "files"}
            seal(made.root / job.record, dict(how(payload)))
    return analysed(made.plan, made.root)


def tables(made: Made) -> dict[str, Table]:
    return {t.name: t for t in comparison_tables({"toy_a": made.analysis}, made.plan.benchmark, {"toy_a": "Toy"})}


# ---------------------------------------------------------------- families and verdicts


def test_every_family_has_the_comparisons_that_are_declared(made: Made):
    a = made.analysis
    pairs = {f: [(c.method, c.other, c.budget) for c in a.family(f)] for f in ("primary", "claims", "random", "controls")}  # type: ignore[arg-type]
    assert pairs["primary"] == [("gd+lr", "random", "1")]
    assert pairs["claims"] == [(m, o, n) for n in "12" for m, o in (("gd", "gr"), ("gd+lr", "gd"))]
    assert pairs["random"] == [(m, "random", n) for n in "12" for m in ("gr", "gd", "gd+lr")]
    assert pairs["controls"] == [
        (m, "random", n) for n in "12" for m in ("random_again", "random_long", "upper_bound")
    ]  # fmt: skip


def test_a_primary_comparison_is_not_corrected_and_a_family_is(made: Made):
    (primary,) = made.analysis.family("primary")
    assert primary.comparison.corrected == primary.comparison.p == pytest.approx(2 / 2**8)
    for c in made.analysis.family("random"):
        assert c.comparison.corrected >= c.comparison.p
    assert any(c.comparison.corrected > c.comparison.p for c in made.analysis.family("random"))


def test_gains_are_paired_by_subject_and_repeat(made: Made):
    a = made.analysis
    own = made.collected.scores.query("metric == 'dice' and budget == '2'")
    means = own.groupby(["method", "repeat"])["value"].mean()  # every subject has two volumes, every volume both structures
    expected = (means["gd"] - means["random"]).mean()
    compared = a.against_random("gd", "2")
    assert compared is not None
    assert compared.comparison.gain.mean.interval.estimate == pytest.approx(expected)
    assert compared.comparison.gain.mean.repeats == 8
    np.testing.assert_allclose(repeat_means(a.scores("gd", "2")), means["gd"][list(a.repeats)])


def test_the_primary_sentence_gives_verdict_gain_and_interval(made: Made):
    (primary,) = made.analysis.family("primary")
    assert primary.verdict == "better"
    gain = primary.comparison.gain.mean.interval
    assert re.fullmatch(
        rf"G\^{{D}} \+ L\^{{R}} scores higher than Random init with 1 labelled volume \(\+ 2 for selection\) \(better\): "
        rf"gain \+{gain.estimate:.3f} \[{gain.low:.3f},\s{gain.high:.3f}\] Dice, p = 0\.008, 8 repeats\.",
        made.said[0],
    )


def test_the_second_sentence_counts_the_verdicts_of_every_method_against_random_weights(made: Made):
    family = made.analysis.family("random")
    (said,) = headline(made.analysis)[1:]
    assert said.startswith(
        "Against Random init, corrected for all 6 comparisons: with 1 labelled volume (+ 2 for selection), "
    )
    at = dict(zip("12", said.split("; with 2 labelled volumes (+ 2 for selection), "), strict=True))
    for budget, text in at.items():
        for verdict in ("better", "worse", "equivalent", "undecided"):
            count = sum(c.budget == budget and c.verdict == verdict for c in family)
            assert (f" {verdict}" in text) == (count > 0), (budget, verdict)


def test_methods_that_share_a_verdict_are_said_in_one_with_the_number_of_labelled_volumes_where_it_is_one(made: Made):
    at_one = [c for c in made.analysis.comparisons if c.family != "random" or (c.method == "gd+lr" and c.budget == "1")]
    (said,) = headline(replace(made.analysis, comparisons=tuple(at_one)))[1:]
    assert said.startswith("With 1 labelled volume (+ 2 for selection), G^{D} + L^{R} is ")
    both = [replace(c, verdict="undecided") if c.family == "random" else c for c in made.analysis.comparisons]
    (said,) = headline(replace(made.analysis, comparisons=tuple(both)))[1:]
    assert said.startswith("Every method is undecided against Random init, whatever the number of labelled volumes (")


def test_an_undecided_primary_comparison_says_what_it_could_have_found(tmp_path: Path):
    found = make(tmp_path, Size(methods=("random", "gd+lr"), budgets=(1,), subjects=2, failing=("gd+lr n1 r3",)))
    (primary,) = found.analysis.family("primary")
    assert primary.verdict == "undecided"
    assert " is undecided: gain " in found.said[0]
    could = smallest(found.analysis, ("gd+lr", "random"), "1").estimate
    assert f"; this run could have found {could:.3f}." in found.said[0]


def test_no_sentence_calls_a_method_better_where_the_numbers_do_not(tmp_path: Path):
    """The same methods without any effect: a method and its double."""
    size = Size(methods=("random",), lines=({"name": "same", "set": {"finetune.steps": 61}},), budgets=(2,), subjects=3)
    found = make(tmp_path, size)
    said = " ".join(found.said)
    assert found.analysis.family("random")[0].verdict in ("equivalent", "undecided")
    assert "better" not in said
    assert "worse" not in said
    assert "No primary comparison" in said


@pytest.mark.parametrize("repeats", [3, SQUARE])
def test_a_run_that_cannot_compare_says_so_and_marks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: int | tuple[Line, ...]
):
    without_pictures(monkeypatch)
    plan = fabricate(tmp_path, Size(subjects=2, repeats=repeats, lines=(AGAIN,)))
    text = build(plan, tmp_path).read_text(encoding="utf-8")
    why = (
        "too small to compare methods: it has 3 repeats, and 6" if repeats == 3 else "its repeats share choices of labelled"
    )
    assert why in text
    assert not set("▲▼") & set(text)
    assert 'class="better' not in text
    assert 'class="worse' not in text
    for word in ("undecided", "equivalent to", ": better.", "1 better", "could have found"):
        assert word not in text.split('id="data"')[0], word
    assert 'strong">' not in text.split('id="data"')[0], "nothing is bold, which would be a ranking"
    folder = tmp_path / "results/toy/tables"
    for name in ("primary", "comparisons", "claims", "controls"):
        data = pd.read_csv(folder / f"{name}.csv")
        assert data[["p", "p_corrected", "verdict"]].isna().all(axis=None), name
        assert data["gain"].notna().all()
    assert pd.read_csv(folder / "main.csv")["against_random"].isna().all()


def test_one_test_subject_is_too_few_for_a_verdict(tmp_path: Path):
    found = make(tmp_path, Size(methods=("random", "gd+lr"), subjects=1, repeats=6))
    assert "too small to compare methods: toy_a has one test subject" in found.said[0]
    assert {c.verdict for c in found.analysis.comparisons} == {None}


def test_where_all_runs_are_missing_nothing_is_said_of_methods(tmp_path: Path):
    found = make(
        tmp_path, Size(methods=("random", "gd+lr"), subjects=2, repeats=6, budgets=(1,), missing={"gd+lr n1 r2": ""})
    )
    assert headline(found.analysis)[1] == "Against Random init everything is left open: runs are missing."


def test_cells_that_nobody_planned_are_not_compared(made: Made):
    part = {r: j for r, j in made.plan.jobs.items() if not (j.phase == "finetune" and j.name == "gd" and j.budget == 2)}
    a = analyse(dataclasses.replace(made.plan, jobs=part), made.collected)["toy_a"]
    assert [(c.method, c.budget) for c in a.family("random")] == [
        ("gr", "1"), ("gd", "1"), ("gd+lr", "1"), ("gr", "2"), ("gd+lr", "2"),
    ]  # fmt: skip
    assert not a.meant("gd", "2")
    assert a.meant("upper_bound", "2")


# ---------------------------------------------------------------- controls


def test_the_same_with_other_seeds_is_held_against_what_it_repeats(tmp_path: Path):
    lines = (AGAIN, {"global": "gd", "name": "gd_again", "other_seeds": True})
    a = make(tmp_path, Size(methods=("random", "gd"), lines=lines, budgets=(1,), subjects=2)).analysis
    assert dict(a.references) == {"random_again": "random", "gd_again": "gd"}
    assert a.candidates == ("gd",)
    assert [(c.method, c.other) for c in a.family("controls")][:2] == [("random_again", "random"), ("gd_again", "gd")]


def test_rows_that_differ_by_seeds_alone_are_told_and_are_no_candidates(made: Made):
    assert "Rows that differ by their seeds alone were not told apart in any of 2 comparisons, as it should be." in made.said
    rows = tables(made)["controls"].blocks["toy_a"].rows
    assert (rows[0][0].text, rows[0][0].note) == ("random_again", "the same with other seeds")
    assert made.analysis.best("1") is not None
    assert "random_again" not in {r[0].text for r in tables(made)["comparisons"].blocks["toy_a"].rows}


def test_a_difference_by_seeds_alone_is_a_warning(made: Made):
    again = made.analysis.family("controls")[0]
    told = dataclasses.replace(again, verdict="better")
    changed = dataclasses.replace(made.analysis, comparisons=(told, *made.analysis.comparisons))
    said = " ".join(findings(changed, made.collected))
    assert "Warning: random_again at 1 + 2 for selection" in said
    assert "came out different from the same method with other seeds" in said


def test_the_upper_bound_has_as_many_repeats_and_is_a_control(made: Made):
    upper = made.analysis.upper
    assert upper is not None
    assert (upper.runs, upper.planned) == (8, 8)
    compared = made.analysis.against_random("upper_bound", "1")
    assert compared is not None
    assert compared.verdict == "better"
    assert compared.comparison.gain.mean.interval.estimate == pytest.approx(
        np.nanmean(upper.scores - made.analysis.scores("random", "1"))
    )


def test_last_weights_stand_beside_selected_ones(made: Made):
    cell = made.analysis.cell("gd", "2")
    assert cell is not None
    assert cell.last is not None
    np.testing.assert_allclose(cell.last - cell.scores, -0.01, atol=1e-6)
    assert set(made.collected.scores["weights"]) == {"selected"}
    assert set(made.collected.last["weights"]) == {"last"}


# ---------------------------------------------------------------- runs that failed, or differ


def test_a_failed_run_is_listed_and_counted(made: Made):
    found = failures(made.analysis)["gr", "1"]
    assert [(made.analysis.repeats[r.repeat], r.reason) for r in found.runs] == [
        ("r3", "lost a structure"), ("r6", "lost a structure"),
    ]  # fmt: skip
    assert found.runs[0].structure is not None
    assert made.analysis.structures[found.runs[0].structure] == "posterior"
    assert found.share.estimate == pytest.approx(2 / 8)
    assert found.share.low < 2 / 8 < found.share.high
    assert found.against is not None
    assert (found.against.method_only, found.against.baseline_only) == (2, 0)
    (said,) = [s for s in made.said if "runs failed" in s]
    assert "2 of 104 runs failed" in said
    assert "G^{R} at 1 + 2 for selection (2 of 8)" in said


def test_conditional_scores_leave_failed_repeats_out_and_all_others_in(made: Made):
    found = failures(made.analysis)["gr", "1"]
    whole, kept = made.analysis.scores("gr", "1"), [0, 1, 3, 4, 6, 7]
    assert found.mean.interval.estimate == pytest.approx(whole[:, kept].mean())
    assert found.mean.interval.estimate > whole.mean() + 0.05
    assert found.gain is not None
    gap = whole - made.analysis.scores("random", "1")
    assert found.gain.mean.interval.estimate == pytest.approx(gap[:, kept].mean())


def test_runs_that_differ_in_precision_or_device_are_marked_and_named(tmp_path: Path):
    base = make(tmp_path, Size(methods=("random", "gd", "gd+lr"), budgets=(1,), subjects=2))
    assert not [s for s in base.said if "precision" in s]
    assert not any(c.mixed for c in base.analysis.comparisons)
    changed = change(
        base,
        lambda job: job.name == "gd" and job.repeat is not None and job.repeat.name in ("r1", "r2"),
        lambda payload: {**payload, "device": {**payload["device"], "type": "cuda", "precision": "float32"}},
    )
    mixed = {(c.method, c.other): c.mixed for c in changed.analysis.comparisons if c.mixed}
    assert mixed == {
        ("gd", "random"): "2 of 7 pairs: float32 on cuda against bfloat16 on cpu",
        ("gd+lr", "gd"): "2 of 7 pairs: bfloat16 on cpu against float32 on cuda",
    }
    (said,) = [s for s in changed.said if "precision" in s]
    assert "2 of 7 pairs: float32 on cuda against bfloat16 on cpu (G^{D} and Random init)" in said
    row = tables(changed)["comparisons"].blocks["toy_a"].rows[0]
    assert row[-1].text.endswith("‡")
    assert row[-1].note == mixed["gd", "random"]


def test_a_control_that_trains_nothing_is_scored_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No log, no curves, no device, nothing that selects weights, no last ones."""
    without_pictures(monkeypatch)
    made = make(tmp_path, Size(methods=("random", "gd"), lines=({"regime": "atlas"},), subjects=2))
    a = made.analysis
    assert a.references == {"atlas": "random"}
    assert a.price("1", "atlas") == "1"
    cell = a.cell("atlas", "1")
    assert cell is not None
    assert cell.complete
    assert cell.last is None
    assert ("atlas", "1") not in rises(a, made.collected.validation)
    compared = a.against_random("atlas", "1")
    assert compared is not None
    assert compared.family == "controls"
    assert compared.verdict is not None
    assert compared.mixed == ""
    text = build(made.plan, tmp_path).read_text(encoding="utf-8")
    assert "Control. No network and no training." in text
    assert "Every other method fine-tunes the same network" in text
    assert "Atlas: a control that trains no network." in text


# ---------------------------------------------------------------- prices


@pytest.mark.parametrize(
    ("selection", "validation", "said"),
    [
        ("validation", [6], "1 + 6 for selection"), ("validation", [2, 5], "1 + 2 to 5 for selection"),
        ("labelled", [], "1 (selects itself)"), ("none", [], "1 (last weights)"), ("", [], "1"),
    ],
)  # fmt: skip
def test_what_labels_cost_in_words(selection: str, validation: list[int], said: str):
    assert price("1", selection, validation) == said


def test_a_price_is_that_of_the_method(few: Made):
    a = few.analysis
    assert [a.price("1", m) for m in ("random", "gd", "gd_last", "gd_self", "upper_bound")] == [
        "1 + 2 for selection", "1 + 2 for selection", "1 (last weights)", "1 (selects itself)", "all + 2 for selection",
    ]  # fmt: skip
    assert a.own_price("1", "gd") == ""
    assert a.own_price("1", "gd_last") == "1 (last weights)"
    rows = few.collected.ledger.query("budget == '1' and repeat == 'r1'").set_index("selection")
    assert rows.loc["validation", "methods"] == ("random", "gd")
    assert rows.loc["none", "validation"] == ()


def test_prices_stand_in_the_heads_of_tables(few: Made, monkeypatch: pytest.MonkeyPatch):
    without_pictures(monkeypatch)
    text = build(few.plan, few.root).read_text(encoding="utf-8")
    assert '<th scope="col">1 + 2 for selection</th>' in text
    assert "1 (last weights)" in text
    assert "1 (selects itself)" in text


def test_methods_that_select_alike_select_on_the_same_volumes(few: Made):
    of = few.plan.of("finetune")[-1]

    def other(payload: dict[str, Any]) -> dict[str, Any]:
        return {**payload, "split": {**payload["split"], "validation": ["p19_L"]}}

    change(few, lambda job: job.name == "gd_self", other)  # reads no validation: no matter
    with pytest.raises(ReportError, match="different lists: validation"):
        change(few, lambda job: job.name == "gd", other)
    assert of.budget == "all"


# ---------------------------------------------------------------- worth


def test_a_cell_whose_validation_still_rises_is_named(made: Made):
    found = rises(made.analysis, made.collected.validation)
    assert [key for key, rise in found.items() if rise.rising] == [("gd", "2")]
    assert (
        "Validation still rises at the end of training of G^{D} at 2 + 2 for selection: a longer training may give more."
        in made.said
    )


def test_hours_hold_every_pretraining_of_a_run_in_full(made: Made):
    found = hours(made.analysis, made.plan, made.collected)
    assert found["random", "1"].total == pytest.approx(25 / 3600)
    assert found["random", "1"].pretraining == 0
    for budget in ("1", "2"):
        assert found["gd+lr", budget].total == pytest.approx((25 + 50 + 50) / 3600)
        assert found["gd+lr", budget].pretraining == pytest.approx(100 / 3600)
    gain = made.analysis.against_random("gd", "2")
    assert gain is not None
    assert found["gd", "2"].gain is not None
    assert found["gd", "2"].gain.estimate == pytest.approx(gain.comparison.gain.mean.interval.estimate / (50 / 3600))
    assert found["random_long", "1"].gain is None, "it took no more time here"


def test_a_candidate_is_worth_more_labels_than_it_has(made: Made):
    found = efficiency(made.analysis)
    assert set(found) == {(m, n) for m in ("gr", "gd", "gd+lr") for n in "12"}
    assert 1 < found["gd+lr", "1"].low < found["gd+lr", "1"].estimate < found["gd+lr", "1"].high < 2
    assert np.isinf(found["gd", "2"].estimate)


def test_a_smaller_family_finds_smaller_gains(made: Made):
    data = tables(made)["power"].data
    own = data[data["method"] == "gd+lr"].set_index(["budget", "comparisons"])["smallest_gain"]
    assert own["1", 1] < own["1", 6]
    assert data["smallest_gain"].between(0, 0.5).all()


def test_a_latin_square_says_where_the_variance_comes_from(tmp_path: Path):
    size = Size(methods=("random", "gd"), budgets=(1,), subjects=2, repeats=SQUARE)
    made = make(tmp_path, size)
    found = {(s.method, s.of_gain): s.components for s in sources(made.analysis, made.plan.benchmark)}
    assert set(found) == {("random", False), ("gd", False), ("gd", True)}
    components = found["gd", False]
    assert components is not None
    share = {c.source: c.share for c in components}
    assert share["draw"] > 0.8, "the second choice of volumes is a bad one, by far the largest difference here"
    gain = found["gd", True]
    assert gain is not None
    assert gain[0].variance.estimate < components[0].variance.estimate / 10, "paired: what a choice shifts in both is gone"
    (job,) = [j for j in made.plan.of("score") if j.label == "toy_a gd n1 c2-p0-f1"]
    (tmp_path / job.record).unlink()
    left = analysed(made.plan, tmp_path)
    assert {(s.method, s.of_gain): s.components is None for s in sources(left.analysis, left.plan.benchmark)} == {
        ("random", False): False, ("gd", False): True, ("gd", True): True,
    }  # fmt: skip


def test_repeats_that_go_together_have_no_table_of_variance(made: Made):
    assert sources(made.analysis, made.plan.benchmark) == []
