"""Rows of a benchmark beside each other: what they have in common and take, what their switches bring, how they fail."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import KINDS, Size, fabricate

from glocalseg.config.benchmark import Method
from glocalseg.data.cards.taken import COLUMNS as TAKEN
from glocalseg.methods.catalogue import regimes, strategies
from glocalseg.methods.described import description
from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import read_record
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.analysis.methods.fairness import Departure, departures
from glocalseg.report.analysis.methods.signs import declared_signs
from glocalseg.report.analysis.methods.spent import spent
from glocalseg.report.analysis.methods.variants import number_of, series, value_of, variants
from glocalseg.report.analysis.worth import hours
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.figures.costs import by_compute
from glocalseg.report.figures.networks import network_plots
from glocalseg.report.figures.scores.against import against_plots, grouped, kind_of
from glocalseg.report.figures.scores.values import values_plot
from glocalseg.report.figures.signs import signs_plot
from glocalseg.report.tables.compared.fairness import fairness_table
from glocalseg.report.tables.compared.variants import variants_table
from glocalseg.report.tables.recorded.runs import record_tables
from glocalseg.report.tables.recorded.signs import brief, signs_table
from glocalseg.report.tables.worth import worth_tables
from glocalseg.report.text.about.fairness import not_alike

TITLES = {"toy_a": "Toy"}
OTHERS = (
    {"name": "random_long", "control": True, "set": {"finetune.steps": 500}},
    {"name": "gd_last", "global": "gd", "set": {"finetune.selection": "none"}},
    {"name": "gd_slow", "global": "gd", "set": {"network.batchnorm_momentum": 0.1}},
    {"name": "gd_pool", "global": "gd", "local": "lr", "set": {"pool": "10%"}},
    {"name": "uamt_pool", "regime": "uamt", "set": {"pool": "10%"}},
    {"name": "random_pool", "set": {"pool": "10%", "finetune.batch": 10}},
    {"regime": "atlas", "control": True},
)


@dataclass(frozen=True)
class Made:
    plan: Plan
    root: Path
    collected: Collected
    toy: DatasetAnalysis

    @property
    def all(self) -> dict[str, DatasetAnalysis]:
        return {"toy_a": self.toy}


def make(root: Path, size: Size) -> Made:
    plan = fabricate(root, size)
    collected = collect(plan, root)
    return Made(plan, root, collected, analyse(plan, collected)["toy_a"])


@pytest.fixture(scope="module")
def unlike(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("unlike"), Size(lines=OTHERS, budgets=(1,), repeats=2, subjects=2))


@pytest.fixture(scope="module")
def alike(tmp_path_factory: pytest.TempPathFactory) -> Made:
    lines = ({"regime": "mixup"}, {"regime": "atlas", "control": True})
    return make(tmp_path_factory.mktemp("alike"), Size(lines=lines, budgets=(1, 2), repeats=2, subjects=2))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("failing"), replace(KINDS["diagnostics"], repeats=2, subjects=2))


@pytest.fixture(scope="module")
def switches(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp("switches"), replace(KINDS["switches"], subjects=2))


# ---------------------------------------------------------------- what rows have in common


def test_every_row_that_departs_from_most_rows_is_found_with_both_values(unlike: Made):
    assert departures(unlike.plan, "toy_a") == [
        Departure("random_long", "labelled gradient steps", "finetune.steps", "500", "60"),
        Departure("gd_last", "evaluation", "finetune.selection", "none", "validation"),
        Departure("gd_slow", "network", "network.batchnorm_momentum", "0.1", "0.01"),
        Departure("gd_pool", "pool", "pool", "10%", "100%"),
        Departure("uamt_pool", "pool", "pool", "10%", "100%"),
        Departure("random_pool", "labelled batch", "finetune.batch", "10", "20"),  # it reads no pool that could differ
    ]
    rows = fairness_table(unlike.all, unlike.plan, TITLES).blocks["toy_a"].rows
    assert [e.text for e in rows[0]] == ["random_long", "labelled gradient steps", "finetune.steps", "500", "60"]


def test_a_sentence_names_who_departs_in_what(unlike: Made):
    said = not_alike(departures(unlike.plan, "toy_a"))
    assert said[0] == "Labelled gradient steps (finetune.steps): 60, but 500 in random_long."
    assert "Pool: 100%, but 10% in gd_pool and uamt_pool." in said
    many = [Departure(f"gd_{i}", "labelled batch", "finetune.batch", str(i), "20") for i in range(13)]
    assert not_alike(many) == ["Labelled batch (finetune.batch): 20, but 13 other values in 13 rows, which the table lists."]


def test_where_all_rows_agree_nothing_is_said(alike: Made):
    assert departures(alike.plan, "toy_a") == []
    assert not_alike([]) == []
    assert fairness_table(alike.all, alike.plan, TITLES).blocks == {}


# ---------------------------------------------------------------- what rows take


def test_images_and_steps_are_those_of_the_records(alike: Made):
    found = spent(alike.toy, alike.plan, alike.collected)
    assert ("atlas", "1") not in found, "it trains no network"
    own = found["random", "1"]
    assert (own.steps, own.before, own.pretraining) == (60, 0, 0)
    assert own.finetuning == pytest.approx(280 * 25 * 0.8)
    rates = [
        read_record(alike.root / j.record)["timing"]["images_per_second"]
        for j in (*alike.plan.of("pretrain_global"), *alike.plan.of("pretrain_local"))
    ]
    assert found["gd+lr", "2"].pretraining == pytest.approx(sum(rates) / 2 * 50 * 0.8), "both levels, mean over two repeats"


def test_steps_of_a_stage_before_are_counted_apart(alike: Made, tmp_path: Path):
    timings = alike.collected.timings.assign(steps=lambda t: t["steps"].where(t["method"] != "random+mixup", 90.0))
    own = spent(alike.toy, alike.plan, replace(alike.collected, timings=timings))["random+mixup", "1"]
    assert (own.steps, own.before) == (60, 30)


def test_the_table_of_compute_has_labels_steps_images_and_time(alike: Made):
    table = next(t for t in worth_tables(alike.all, alike.plan, alike.collected, TITLES) if t.name == "compute")
    rows = {(r[0].text, r[1].key): [e.text for e in r[1:6]] for r in table.blocks["toy_a"].rows}
    assert rows["Random init", "1"] == ["1 + 2 for selection", "60", "0.0", "5.6", "0.4"]
    assert rows["Atlas", "1"][1:4] == ["–", "–", "–"]
    own = table.data.set_index(["method", "budget"]).loc[("random", "2")]
    assert (own["labelled_steps"], own["images_finetuning"]) == (60, pytest.approx(5600))


def test_compute_is_ordered_by_what_a_run_takes_in_all(alike: Made):
    found = by_compute(alike.toy, hours(alike.toy, alike.plan, alike.collected))
    assert next(iter(found)) == "atlas"
    assert list(found)[-2:] == ["gd", "gd+lr"]
    assert found["gd+lr"] == pytest.approx((25 / 3600, 100 / 3600))


# ---------------------------------------------------------------- diagnostics


def test_only_columns_that_the_catalogue_declares_count(failing: Made):
    assert set(failing.collected.signs["sign"]) == {
        *regimes()["uamt"].diagnostics, *regimes()["fixmatch"].diagnostics, *strategies()["vicreg"].diagnostics,
        *strategies()["lr_geo"].diagnostics,
    }  # fmt: skip
    found = declared_signs(failing.collected.signs, "toy_a")
    assert [(s.name, s.sign) for s in found[:2]] == [("vicreg", "deviation"), ("vicreg", "rank")]
    assert {s.budget for s in found if s.phase == "finetune"} == {"1", "2"}
    assert found[0].sentence == strategies()["vicreg"].diagnostics["deviation"]


def test_beginning_and_end_are_means_of_tenths_over_runs_with_their_range():
    steps = np.arange(1, 21)
    first, second = steps / 10, steps / 10 + 1  # 20 rows: a tenth is two of them
    rows = [
        {"dataset": "toy_a", "phase": "finetune", "name": "random+uamt", "entry": "uamt", "budget": "1", "run": run,
         "step": step, "sign": "mask_rate", "value": value}
        for run, values in (("r1", first), ("r2", second)) for step, value in zip(steps, values, strict=True)
    ]  # fmt: skip
    (own,) = declared_signs(pd.DataFrame(rows), "toy_a")
    assert vars(own.first) == pytest.approx({"mean": 0.65, "low": 0.15, "high": 1.15})
    assert vars(own.last) == pytest.approx({"mean": 2.45, "low": 1.95, "high": 2.95})
    assert own.runs == 2
    assert own.course[1] == pytest.approx(0.6)
    assert declared_signs(pd.DataFrame(rows), "toy_b") == []


def test_the_table_of_diagnostics_has_the_methods_own_sentence(failing: Made):
    table = signs_table(failing.all, failing.collected, TITLES)
    row = next(r for r in table.blocks["toy_a"].rows if r[2].text == "mask_rate" and r[1].key == "2")
    assert row[2].more == regimes()["uamt"].diagnostics["mask_rate"]
    assert row[3].text == "0.100", "as it begins in every made-up run"
    assert row[5].text == "2"
    assert [brief(v) for v in (0, 0.01234, 1.5, 123.4, 1e5, -0.5)] == ["0", "0.0123", "1.50", "123", "1.0e+05", "−0.500"]


def test_without_declared_diagnostics_there_is_no_table_and_no_figure(alike: Made):
    bare = replace(alike, collected=replace(alike.collected, signs=alike.collected.signs.iloc[:0]))
    assert signs_table(bare.all, bare.collected, TITLES).blocks == {}
    assert signs_plot(bare.toy, bare.collected) is None
    assert len(alike.collected.signs) == 0, "mixup declares none"


def test_the_figure_of_diagnostics_says_where_each_begins(failing: Made):
    plot = signs_plot(failing.toy, failing.collected)
    assert plot is not None
    assert "VICReg deviation from 0.134" in plot.alt, "the mean of the first tenth of its 60 steps"
    assert "Fine-tuning: with 1 + 2 for selection." in plot.caption


def test_one_seed_in_which_the_probe_is_thrown_off_says_nothing_of_the_others(failing: Made):
    own = failing.collected.diagnostics
    row = own[own["phase"] != ""].iloc[[0]]
    seeds = pd.concat([row.assign(position_r2=r2) for r2 in (0.93, 0.91, 0.92, -4.65)])
    thrown = replace(failing.collected, diagnostics=pd.concat([own[own["name"] != row["name"].item()], seeds]))
    table = next(t for t in record_tables(failing.plan, thrown, TITLES) if t.name == "diagnostics")
    line = next(r for r in table.blocks["toy_a"].rows if r[1].more == "−4.65 to 0.93")
    assert line[1].text in {"0.91", "0.92"}  # the median lies between these two
    plot = next(p for p in network_plots(failing.toy, thrown) if p.name == "toy_a-diagnostics")
    assert "-" not in plot.alt.split("R² of position from")[1].split(";")[0].split("(")[1]


def test_no_structure_can_be_called_as_a_column_of_these_tables(failing: Made, unlike: Made):
    tables = (
        signs_table(failing.all, failing.collected, TITLES),
        fairness_table(unlike.all, unlike.plan, TITLES),
        *worth_tables(unlike.all, unlike.plan, unlike.collected, TITLES),
    )
    assert not {column for table in tables for column in table.data.columns} - TAKEN


# ---------------------------------------------------------------- switches and values


def test_a_setting_is_described_where_it_is_defined():
    assert description("pretrain_global.views.scalars").startswith("D6: ")
    assert description("strategies.gd.cross_views").startswith("D4, the release")
    assert description("regimes.uamt.threshold").startswith("whose largest entropy")
    assert (description("pretrain_global.images"), description("nothing.here"), description("regimes.none.x")) == (
        "",
        "",
        "",
    )


def test_a_switch_has_the_verdict_of_its_declared_comparison(switches: Made):
    table = variants_table(switches.all, switches.plan.benchmark, TITLES)
    rows = {r[0].text: r for r in table.blocks["toy_a"].rows}
    claim = next(c for c in switches.toy.family("claims") if c.method == "gd_scalars")
    row = rows["gd_scalars"]
    assert row[2].text == "scalars paper → release"
    assert row[2].more.startswith("pretrain_global.views.scalars: D6: ")
    assert row[3].text == "G^{D}"
    assert row[7].text == claim.verdict
    data = table.data.set_index("method")
    assert data.loc["gd_scalars", "p_corrected"] == claim.comparison.corrected
    assert data.loc["gd_scalars", "family"] == "claims"
    assert rows["gd_release"][2].text == "2 settings"
    assert "(D6: " in rows["gd_release"][2].more
    assert "(D4, " in rows["gd_release"][2].more
    assert rows["gd_pool10"][2].text == "pool 100% → 10%"
    assert rows["random_half"][2].text == "batch 20 → 10"
    assert rows["random_half"][2].more == "finetune.batch"
    assert rows["gd_pool10"][2].more.startswith("share of ")
    assert data.loc["random_half", "family"] == "random", "compared with random weights as every method is"
    assert [e.text for e in rows["lr_blocks2"][6:8]] == ["–", "–"], "nobody declared it"


def test_values_of_one_number_make_a_line_with_the_row_that_has_the_usual_one(switches: Made):
    found = {(s.twin, s.setting): s for s in series(switches.toy, switches.plan.benchmark)}
    assert {k: list(s.points) for k, s in found.items()} == {
        ("gd", "pool"): [10, 30, 100], ("gd", "pretrain_global.partitions"): [3, 4, 6, 8],
        ("gd+lr", "pretrain_local.blocks"): [1, 2], ("random", "finetune.batch"): [10, 20],
    }  # fmt: skip
    assert found["gd", "pool"].points[100].method == "gd"
    assert found["gd+lr", "pretrain_local.blocks"].usual is None, "chosen by the frame"
    assert len(variants(switches.toy, switches.plan.benchmark)) == len(KINDS["switches"].lines)
    plot = values_plot(switches.toy, switches.plan.benchmark)
    assert plot is not None
    assert "Dotted" in plot.caption


def test_numbers_of_settings():
    assert [number_of("pool", v) for v in (None, "10%")] == [100, 10]
    assert [number_of("finetune.batch", v) for v in (None, "paper", True, 3)] == [None, None, None, 3]


def test_an_option_that_nobody_sets_has_the_default_of_its_class(switches: Made):
    b = switches.plan.benchmark
    assert value_of(b, "strategies.gd.views") == "release", "as the made-up benchmark sets it"
    assert value_of(b, "strategies.gd.cross_views") == "paper"
    assert value_of(b, "regimes.uamt.passes") == 8


def test_without_variants_there_is_no_figure_of_values(alike: Made):
    assert values_plot(alike.toy, alike.plan.benchmark) is None


# ---------------------------------------------------------------- against random weights


def test_one_forest_a_budget_holds_every_method_by_kind_and_controls_last(unlike: Made):
    groups = grouped(unlike.toy, unlike.plan.benchmark, "1")
    assert {head: [c.method for c in own] for head, own in groups.items()} == {
        "Pretraining": ["gd", "gd+lr"],
        "With settings of their own": ["gd_last", "gd_slow", "gd_pool", "uamt_pool", "random_pool"],
        "Controls": ["random_long", "atlas", "upper_bound"],
    }
    assert list(groups)[-1] == "Controls"
    kinds = [kind_of(Method.model_validate(line)) for line in ({"regime": "uamt"}, {"global": "gd", "regime": "mixup"})]
    assert kinds == ["Regimes of fine-tuning", "Pretraining, then another regime"]


def test_a_forest_of_each_budget_is_a_figure_of_its_own(alike: Made):
    plots = against_plots(alike.toy, alike.plan.benchmark)
    assert [p.name for p in plots] == ["toy_a-against-n1", "toy_a-against-n2"]
    assert {".svg", "-dark.svg", ".png", ".pdf", "-narrow.svg", "-narrow-dark.svg"} <= set(plots[0].files)
    gain = alike.toy.against_random("gd+lr", "2")
    assert gain is not None
    assert f"G^D + L^R {gain.comparison.gain.mean.interval.estimate:+.3f}" in plots[1].alt
