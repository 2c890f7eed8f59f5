"""What tables say beyond the declared comparisons, how many digits they say it with, and the long tables for others."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import Size, fabricate

from glocalseg.evaluation.metrics import METRICS
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.analysis.methods.pairwise import pairwise
from glocalseg.report.analysis.methods.variants import variants
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.tables.compared.declared import comparison_tables
from glocalseg.report.tables.compared.pairwise import pairwise_table
from glocalseg.report.tables.compared.variants import variants_table
from glocalseg.report.tables.long.claims import claims_tables
from glocalseg.report.tables.long.package import datapackage
from glocalseg.report.tables.long.rows import COLUMNS, compressed, long_scores
from glocalseg.report.tables.scored.scores import score_tables
from glocalseg.report.tables.table import Digits, Table, digits_of, with_interval

LINES = (
    {"name": "random_long", "control": True, "set": {"finetune.steps": 120}},
    {"name": "gd-slow", "global": "gd", "set": {"finetune.learning_rate": 0.0001, "finetune.steps": 30}},
    {"name": "gr-alone", "global": "gr", "set": {"finetune.steps": 30}},
    {"regime": "atlas", "control": True},
)
TITLES = {"toy_a": "Toy"}


@dataclass(frozen=True)
class Made:
    plan: Plan
    root: Path
    collected: Collected
    analyses: dict[str, DatasetAnalysis]

    @property
    def toy(self) -> DatasetAnalysis:
        return self.analyses["toy_a"]

    @property
    def tables(self) -> dict[str, Table]:
        compared = comparison_tables(self.analyses, self.plan.benchmark, TITLES)
        return {t.name: t for t in (*score_tables(self.analyses, self.collected, TITLES), *compared)}


def analysed(plan: Plan, root: Path) -> Made:
    collected = collect(plan, root)
    return Made(plan, root, collected, analyse(plan, collected))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("tables")
    return analysed(fabricate(root, Size(lines=LINES, subjects=4, failing=("gd n2 r1",))), root)


# ---------------------------------------------------------------- digits and entries


def test_digits_follow_the_width_of_the_intervals_of_the_whole_table():
    wide, middle, narrow = Interval(0.6, 0.4, 0.8), Interval(0.6, 0.55, 0.65), Interval(0.6, 0.59, 0.61)
    assert digits_of([wide, wide, narrow]) == Digits(2, 2)
    assert digits_of([wide, middle, narrow]) == Digits(3, 2)
    assert digits_of([middle, narrow, narrow]) == Digits(3, 3)
    assert digits_of([Interval(0.6, np.nan, np.nan)]) == Digits(3, 3)


def test_a_bound_of_a_difference_is_never_rounded_to_zero_where_another_digit_shows_its_side():
    wide, near = Interval(0.15, 0.02, 0.28), Interval(0.15, 0.003, 0.297)
    assert digits_of([wide, wide], differences=True) == Digits(2, 2)
    digits = digits_of([wide, near], differences=True)
    assert with_interval(near, sign=True, digits=digits).note == "[0.003,\u00a00.297]"


def test_an_entry_is_one_line_of_value_interval_and_word_and_leads_to_its_runs(made: Made):
    block = made.tables["main"].blocks["toy_a"]
    entries = {row[0].text: row[1] for row in block.rows}
    cell = made.toy.cells["gd+lr", "1"]
    entry = entries["G^{D} + L^{R}"]
    assert entry.runs == ("gd+lr", "1")
    assert float(entry.key) == pytest.approx(cell.mean.interval.estimate, abs=1e-5)
    assert entry.text == f"{cell.mean.interval.estimate:.{len(entry.text.split('.')[1])}f}"
    compared = made.toy.against_random("gd+lr", "1")
    assert compared is not None
    said = compared.verdict if compared.verdict in ("better", "worse") else ""
    assert entry.note.split("]")[1].strip() == said
    assert entry.strong == (said == "better")


def test_a_distance_says_how_many_of_its_values_are_those_of_a_lost_structure(made: Made):
    block = made.tables["metrics"].blocks["toy_a"]
    columns = [i for i, title in enumerate(block.header) if title.endswith(", mm")]
    assert [block.header[i] for i in columns] == ["HD95, mm", "ASSD, mm"]
    row = next(r for r in block.rows if (r[0].text, r[1].key, r[2].text) == ("G^{D}", "2", "posterior"))
    assert {row[i].more for i in columns} == {"8 lost"}, "the run that failed, of eight volumes"
    scores = made.collected.scores
    own = scores[(scores["method"] == "gd") & (scores["budget"] == "2") & (scores["structure"] == "posterior")]
    assert float(row[columns[0]].key) == pytest.approx(own[own["metric"] == "hd95"]["value"].median(), rel=1e-5)


# ---------------------------------------------------------------- every method against every other


def test_every_two_methods_are_compared_once_at_each_budget_and_adjusted_together(made: Made):
    duels = pairwise(made.toy)
    count = len(made.toy.methods)
    assert len({(frozenset((d.method, d.other)), d.budget) for d in duels}) == len(duels) == count * (count - 1) // 2 * 2
    declared = {(c.method, c.other, c.budget): c.comparison for c in made.toy.family("random")}
    same = [(d.comparison, declared[key]) for d in duels if (key := (d.method, d.other, d.budget)) in declared]
    assert len(same) == len(declared)
    assert all(a.gain == b.gain and a.p == b.p for a, b in same)
    assert all(a.corrected >= b.corrected for a, b in same), "a larger family is adjusted for"
    assert any(a.corrected > b.corrected for a, b in same)


def test_gains_stand_below_the_diagonal_and_the_other_sides_wins_above(made: Made):
    table = pairwise_table(made.analyses, TITLES)
    block = table.blocks["toy_a"]
    rows = [row for row in block.rows if row[1].key == "1"]
    names = [row[0].text for row in rows]
    assert block.header[2:] == tuple(names)
    random, gd = names.index("Random init"), names.index("G^{D}")
    wins = {(d.method, d.other): d.comparison.gain for d in pairwise(made.toy) if d.budget == "1"}["gd", "random"]
    assert float(rows[gd][2 + random].key) == pytest.approx(wins.mean.interval.estimate, rel=1e-4)
    assert rows[random][2 + gd].text == f"{1 - wins.wins:.0%}"
    assert all(rows[i][2 + i].text == "" for i in range(len(rows)))
    assert table.caption.startswith("Exploratory")


def test_where_a_benchmark_says_nothing_pairs_have_no_verdict_and_no_p(tmp_path: Path):
    few = analysed(fabricate(tmp_path, Size(repeats=2, subjects=2)), tmp_path)
    table = pairwise_table(few.analyses, TITLES)
    assert table.data["p"].isna().all()
    assert set(table.data["verdict"]) == {""}
    assert not any(entry.strong or entry.tone for row in table.blocks["toy_a"].rows for entry in row)
    assert "Bold" not in table.caption


# ---------------------------------------------------------------- variants, subjects


def test_a_variant_stands_beside_the_method_without_its_change(made: Made):
    found = {(v.method, v.budget): v for v in variants(made.toy, made.plan.benchmark)}
    assert {m for m, _ in found} == {"random_long", "gd-slow", "gr-alone"}
    assert (found["random_long", "1"].twin, found["gd-slow", "2"].twin) == ("random", "gd")
    assert (found["gr-alone", "1"].twin, found["gr-alone", "1"].gain) == (None, None)
    gain = found["gd-slow", "2"].gain
    assert gain is not None
    expected = np.nanmean(made.toy.scores("gd-slow", "2") - made.toy.scores("gd", "2"))
    assert gain.mean.interval.estimate == pytest.approx(expected)
    rows = {(r[0].text, r[1].key): r for r in made.tables["variants"].blocks["toy_a"].rows}
    assert [e.text for e in rows["gd-slow", "1"][2:4]] == ["2 settings", "G^{D}"]
    assert rows["gd-slow", "1"][2].more == "finetune.learning_rate 0.001 → 0.0001; finetune.steps 60 → 30"
    assert rows["gr-alone", "1"][3].text == "no such method"


def test_without_variants_there_is_no_such_table(tmp_path: Path):
    none = analysed(fabricate(tmp_path, Size(methods=("random", "gd"), budgets=(1,), repeats=1, subjects=2)), tmp_path)
    table = variants_table(none.analyses, none.plan.benchmark, TITLES)
    assert table.blocks == {}
    assert len(table.data) == 0


def test_subjects_are_listed_worst_first_by_their_own_scores(made: Made):
    table = made.tables["subjects"]
    block = table.blocks["toy_a"]
    place = block.header.index("G^{D}")
    scores = made.collected.scores
    own = scores[(scores["metric"] == "dice") & (scores["method"] == "gd") & (scores["budget"] == "1")]
    expected = own.groupby("subject")["value"].mean()  # every volume has both structures, every subject two
    found = {row[0].text: float(row[place].key) for row in block.rows}
    assert found == pytest.approx(expected.to_dict(), abs=1e-5)
    shown = [np.mean([float(e.key) for e in row[1:-1]]) for row in block.rows]
    assert shown == sorted(shown)
    assert set(table.data["budget"]) == {"1", "2", "all"}
    assert set(table.data["subject"]) == set(expected.index)


# ---------------------------------------------------------------- long tables


@pytest.fixture(scope="module")
def rows(made: Made) -> pd.DataFrame:
    return long_scores(made.plan, made.collected)


@pytest.fixture(scope="module")
def package(made: Made, rows: pd.DataFrame) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(datapackage(made.plan, rows, claims_tables(made.analyses, made.collected)))
    return found


def read(rows: pd.DataFrame, package: dict[str, Any]) -> pd.DataFrame:
    """The long table as somebody reads it who has nothing but its file and the data package."""
    resource = package["resources"][0]
    types = {"string": "string", "integer": "Int64", "number": "Float64"}
    schema = resource["schema"]
    assert resource["compression"] == "gz"
    return pd.read_csv(
        BytesIO(gzip.decompress(compressed(rows))), keep_default_na=False, na_values=schema["missingValues"],
        dtype={f["name"]: types[f["type"]] for f in schema["fields"]},
    )  # fmt: skip


def test_the_dictionary_describes_the_columns_that_there_are_and_their_values_lie_in_it(
    rows: pd.DataFrame, package: dict[str, Any]
):
    table, schema = read(rows, package), package["resources"][0]["schema"]
    assert [f["name"] for f in schema["fields"]] == list(table.columns) == COLUMNS
    for f in schema["fields"]:
        column, must = table[f["name"]], f.get("constraints", {})
        there = column.dropna()
        assert f["description"].endswith(".")
        assert len(there) == len(column) or not must.get("required"), f["name"]
        assert len(there), f["name"]
        assert "enum" not in must or set(there) == set(must["enum"]), f["name"]
        assert "minimum" not in must or (there >= must["minimum"]).all(), f["name"]
        assert "pattern" not in must or there.str.fullmatch(must["pattern"]).all(), f["name"]
    assert not table.duplicated(schema["primaryKey"]).any()


def test_every_metric_is_explained_with_a_range_that_its_values_lie_in(rows: pd.DataFrame, package: dict[str, Any]):
    assert set(package["metrics"]) == set(METRICS) == set(rows["metric"])
    for key, said in package["metrics"].items():
        values = rows.loc[rows["metric"] == key, "value"].dropna()
        assert (values >= said["minimum"]).all(), key
        assert (values <= said.get("maximum", np.inf)).all(), key
    assert package["metrics"]["hd95"]["unit"] == "mm"
    assert package["metrics"]["hd95"]["where the structure is lost"] == "the diagonal of the volume"


def test_no_score_is_lost_on_the_way_and_runs_say_what_they_are_made_of(made: Made, rows: pd.DataFrame):
    assert len(rows) == len(made.collected.scores) + len(made.collected.last)
    assert rows["value"].sum() == pytest.approx(made.collected.scores["value"].sum() + made.collected.last["value"].sum())
    first = rows[(rows["method"] == "gd") & (rows["budget"] == "2") & (rows["repeat"] == "r3")].iloc[0]
    said = (first["label_price"], first["draw"], first["pretraining_seed"], first["finetuning_seed"])
    assert said == ("2 + 2 for selection", 3, 3, 3)
    assert (first["precision"], first["device"]) == ("bfloat16", "cpu")
    random = rows[rows["method"] == "random"]
    assert random["pretraining_seed"].isna().all()
    assert random["finetuning_seed"].notna().all()
    atlas = rows[rows["method"] == "atlas"]
    assert atlas[["pretraining_seed", "finetuning_seed", "precision", "device"]].isna().all().all()
    assert set(rows[rows["budget"] == "all"]["label_price"]) == {"all + 2 for selection"}


def test_equal_scores_are_equal_bytes(made: Made, rows: pd.DataFrame):
    assert compressed(rows) == compressed(long_scores(made.plan, made.collected))


def test_claims_reloaded_gets_a_row_a_subject_and_a_column_a_method(made: Made, package: dict[str, Any]):
    tables = claims_tables(made.analyses, made.collected)
    assert set(tables) == {"claims-reloaded/toy_a-n1.csv", "claims-reloaded/toy_a-n2.csv"}
    for path, table in tables.items():
        assert list(table.columns) == ["case_id", *(f"alg_{m}" for m in made.toy.methods)]
        assert table["case_id"].is_unique
        values = table.drop(columns="case_id").to_numpy()
        assert np.isfinite(values).all()
        assert ((values >= 0) & (values <= 1)).all()
        budget = path[-len("1.csv")]
        expected = made.toy.cells["gd", budget].mean.interval.estimate
        assert table["alg_gd"].mean() == pytest.approx(expected)
        fields = next(r for r in package["resources"] if r["path"] == path)["schema"]["fields"]
        assert [f["name"] for f in fields] == list(table.columns)


def test_a_method_that_lacks_runs_is_kept_from_claims_reloaded(tmp_path: Path):
    plan = fabricate(tmp_path, Size(budgets=(1,), repeats=2, subjects=2))
    record = next(j.record for j in plan.of("score") if j.label == "toy_a gd n1 r2")
    (tmp_path / record).unlink()
    left = analysed(plan, tmp_path)
    (table,) = claims_tables(left.analyses, left.collected).values()
    assert list(table.columns) == ["case_id", "alg_random", "alg_gd+lr"]
