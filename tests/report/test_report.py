"""The whole report, built from made-up runs: nothing outside is referred to, nothing is averaged around, bytes are the same."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from fabricated_runs import Size, fabricate, without_pictures

from glocalseg.data.cards.reading import nameable
from glocalseg.data.cards.taken import COLUMNS
from glocalseg.evaluation.metrics import METRICS, Masks, Metric
from glocalseg.methods.catalogue import LEVELS, regimes, strategies
from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import FAILURE, CorruptedError, open_sealed, read_record, seal
from glocalseg.report.build import build
from glocalseg.report.collected.collect import RUN
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.tables.export import curves, dice, metrics
from glocalseg.report.tables.long.claims import FOLDER as CLAIMS
from glocalseg.report.text.names import plain

TABLES = [
    "main", "structures", "subjects", "repeats", "metrics", "primary", "comparisons", "claims", "controls", "pairwise",
    "variants", "power", "failures", "failed", "conditional", "rising", "last", "efficiency", "compute", "components",
    "fairness", "signs", "diagnostics", "ledger", "time", "missing",
]  # fmt: skip
FIGURES = [
    "gain", "forest", "dice", "structures", "subjects", "profile", "repeats", "learning", "variance", "failures", "efficiency",
    "against-n1", "against-n2", "compute", "throughput", "pretraining", "embeddings", "diagnostics",
]  # fmt: skip
PICTURES = ["overlays", "overlays-worst", "overlays-failed"]
DATA = ["data-distributions", "data-intensities"]
ON_PAGES = ["", "-dark", "-narrow", "-narrow-dark"]
AGAIN = {"name": "random_again", "other_seeds": True, "control": True}
SIZE = Size(subjects=4, lines=(AGAIN,), failing=("random n1 r3",), rising=("gd n2",))


class Page(HTMLParser):
    """What a page loads, links to, and says."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.without_alt = 0
        self.said = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.ids += [given["id"]] if given.get("id") else []
        self.loads += [str(given[k]) for k in ("src", "srcset", "data", "poster") if k in given]
        if tag == "a":
            self.links.append(str(given["href"]))
        elif "href" in given:
            self.loads.append(str(given["href"]))
        self.without_alt += tag == "img" and not given.get("alt")

    def handle_data(self, data: str) -> None:
        self.said += data


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    root = tmp_path_factory.mktemp("report")
    plan = fabricate(root, SIZE)
    build(plan, root)
    return plan, root


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    without_pictures(monkeypatch)


def copy(made: tuple[Plan, Path], root: Path) -> Plan:
    shutil.copytree(made[1], root, dirs_exist_ok=True)
    return made[0]


def finetune(plan: Plan, label: str) -> Path:
    return next(j.record for j in plan.of("finetune") if j.label == label)


def said_by(root: Path) -> str:
    return Page((root / "results/toy/report/index.html").read_text(encoding="utf-8")).said


def table(root: Path, name: str) -> pd.DataFrame:
    text = {"budget": str, "method": str, "other": str}
    return pd.read_csv(root / f"results/toy/tables/{name}.csv", dtype=text, keep_default_na=False, na_values=[""])


def score(plan: Plan, label: str) -> Path:
    return next(j.record for j in plan.of("score") if j.label == label)


def test_page_loads_nothing_from_outside(made: tuple[Plan, Path]):
    text = (made[1] / "results/toy/report/index.html").read_text(encoding="utf-8")
    page = Page(text)
    assert page.loads
    assert all(load.startswith("data:") for load in page.loads)
    assert "@import" not in text
    assert "url(" not in text
    assert "fetch(" not in text
    assert "import(" not in text
    assert page.without_alt == 0


def test_every_link_of_the_page_leads_somewhere(made: tuple[Plan, Path]):
    folder = made[1] / "results/toy/report"
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        assert link.removeprefix("#") in page.ids if link.startswith("#") else (folder / link).is_file(), link


def test_all_tables_exist_in_three_formats_and_all_figures_for_papers_and_pages(made: tuple[Plan, Path]):
    folder = made[1] / "results/toy"
    assert {p.name for p in (folder / "tables").iterdir()} == {f"{t}.{s}" for t in TABLES for s in ("csv", "md", "tex")}
    ends = {f: [f"{end}.{'webp' if f in PICTURES else 'svg'}" for end in ON_PAGES] for f in (*FIGURES, *PICTURES)}
    expected = {f"toy_a-{f}{end}" for f, own in ends.items() for end in own}
    expected |= {f"toy_a-{f}.{s}" for f in (*ends, *DATA) for s in ("svg", "pdf", "png")}
    assert {p.name for p in (folder / "figures").iterdir()} == expected


def test_no_structure_can_be_called_as_a_column_of_a_table(made: tuple[Plan, Path]):
    tables = list(made[1].rglob("*.csv"))
    # what claims-reloaded reads has a column a method, and none a structure
    tables = [path for path in tables if path.parent.name != CLAIMS]
    columns = {column for path in tables for column in pd.read_csv(path, nrows=1).columns}
    assert {"against_random", "first_slice", "learning_rate", "value"} <= columns
    assert sorted(columns - COLUMNS) == []
    assert not any(nameable(column) for column in columns)


def test_names_that_mean_something_to_a_format_are_escaped(made: tuple[Plan, Path]):
    tables = made[1] / "results/toy/tables"
    latex = (tables / "structures.tex").read_text(encoding="utf-8")
    assert r"Toy \& Co\_a" in latex
    assert r"anterior\_part" in latex
    assert "anterior_part" not in latex
    assert r"anterior\_part" in (tables / "structures.md").read_text(encoding="utf-8")
    page = (made[1] / "results/toy/report/index.html").read_text(encoding="utf-8")
    assert "100% &lt;invented&gt; numbers" in page
    assert "<invented>" not in page


def test_a_second_build_writes_the_same_bytes_and_removes_what_an_older_one_left(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    folder = tmp_path / "results/toy"
    before = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    (folder / "report-0000000000.json").write_text("{}", encoding="utf-8")
    (folder / "tables/old.csv").write_text("", encoding="utf-8")
    build(plan, tmp_path, workers=2)
    after = {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert sorted(before) == sorted(after)
    assert [str(p) for p in before if before[p] != after[p]] == []


@pytest.mark.parametrize("part", ["page", "_long", "data_pages"])
def test_a_report_that_cannot_be_made_leaves_the_earlier_one_as_it_was(
    made: tuple[Plan, Path], tmp_path: Path, no_figures: None, monkeypatch: pytest.MonkeyPatch, part: str
):
    def broken(*_: object) -> None:
        raise ReportError("not today")

    plan = copy(made, tmp_path)
    monkeypatch.setattr(f"glocalseg.report.build.{part}", broken)
    with pytest.raises(ReportError, match="not today"):
        build(plan, tmp_path)
    assert open_sealed(tmp_path / plan.report.record)["files"]


def test_record_names_every_file_and_finds_an_edited_one(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    folder = tmp_path / "results/toy"
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {plan.report.record.name}
    assert set(open_sealed(tmp_path / plan.report.record)["files"]) == there
    (folder / "tables/main.csv").write_text("edited", encoding="utf-8")
    with pytest.raises(CorruptedError, match=r"main\.csv"):
        open_sealed(tmp_path / plan.report.record)


def test_main_table_holds_the_mean_of_the_score_rows(made: tuple[Plan, Path]):
    folder = made[1] / "results/toy"
    scores = pd.read_csv(folder / "scores.csv.gz", dtype={"budget": str})
    own = scores[(scores["method"] == "gd") & (scores["budget"] == "2") & (scores["metric"] == "dice")]
    own = own[own["weights"] == "selected"]
    table = pd.read_csv(folder / "tables/main.csv", dtype={"budget": str}).set_index(["method", "budget"])
    row = table.loc[("gd", "2")]
    assert row["dice_mean"] == pytest.approx(own["value"].mean())  # every volume has both structures, every subject two
    assert row["dice_mean_low"] < row["dice_mean"] < row["dice_mean_high"]
    assert (row["runs"], row["runs_planned"], row["subjects"]) == (7, 7, 4)
    assert ("upper_bound", "all") in table.index


def test_lost_structures_are_counted_and_have_the_worst_distance(made: tuple[Plan, Path]):
    folder = made[1] / "results/toy"
    scores = pd.read_csv(folder / "scores.csv.gz", dtype={"budget": str})
    scores = scores[scores["weights"] == "selected"]
    table = pd.read_csv(folder / "tables/metrics.csv").set_index("metric")
    lost = scores[(scores["metric"] == "lost") & (scores["value"] == 1)]
    assert len(lost) > 0
    assert table.loc["lost", "sum"].sum() == len(lost)
    assert table.loc["hd95", "values"].sum() == (scores["metric"] == "hd95").sum(), "no case is left out of a distance"
    merged = lost.merge(scores[scores["metric"] == "hd95"], on=[*RUN, "volume", "structure"])
    assert (merged["value_y"] > 30).all()


def test_main_table_and_dvc_hold_every_metric(made: tuple[Plan, Path]):
    path = made[1] / "results/toy/tables/main.csv"
    row = metrics(path)["gd"]["2"]
    assert set(row) == {"dice_mean", "dice_mean_low", "dice_mean_high", "nsd_mean", "hd95_median", "assd_median",
                         "lost_sum", "stray_sum", "runs"}  # fmt: skip
    scores = pd.read_csv(made[1] / "results/toy/scores.csv.gz", dtype={"budget": str})
    own = scores[(scores["method"] == "gd") & (scores["budget"] == "2") & (scores["metric"] == "hd95")]
    own = own[own["weights"] == "selected"]["value"]
    assert row["hd95_median"] == pytest.approx(own.median(), abs=1e-4)
    assert "upper_bound" in metrics(path)


def test_a_new_metric_is_in_table_page_and_export_by_its_entry_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
):
    def volume_error(masks: Masks) -> float:
        """Difference of the volumes, as a share of the truth's <volume>."""
        return 0.0

    monkeypatch.setitem(METRICS, "vole", Metric("Volume error", "", "low", "mean", 1.0, volume_error))
    plan = fabricate(tmp_path, Size(methods=("random", "gd"), budgets=(1,), repeats=1))
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    tables = tmp_path / "results/toy/tables"
    assert "Volume error: difference of the volumes, as a share of the truth's <volume> (mean; lower is better)." in said
    assert "Volume error on the native grid" in said
    assert "| Lost | Stray | Volume error |" in (tables / "metrics.md").read_text(encoding="utf-8")
    assert set(pd.read_csv(tables / "metrics.csv")["metric"]) == set(METRICS) - {"dice"}
    assert metrics(tables / "main.csv")["gd"]["1"]["vole_mean"] == 0.5


def test_ledger_counts_validation_labels(made: tuple[Plan, Path]):
    ledger = pd.read_csv(made[1] / "results/toy/tables/ledger.csv", dtype={"budget": str}).set_index(["budget", "repeat"])
    assert ledger.loc[("1", "r1"), "labelled_total"] == 3
    assert ledger.loc[("all", "r1"), "labelled_total"] == 22
    assert ledger.loc[("2", "r2"), "train"] == "p06_L p07_L"


def test_page_says_which_loss_was_used(made: tuple[Plan, Path]):
    assert "soft Dice plus cross-entropy" in said_by(made[1])


def test_an_edited_byte_of_a_run_is_an_error_that_names_the_file(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    scores = tmp_path / score(plan, "toy_a gd n1 r2").parent / "scores.csv"
    scores.write_bytes(scores.read_bytes().replace(b"selected", b"selecteD", 1))
    with pytest.raises(CorruptedError, match=r"score/toy_a/gd/n1/r2/.*/scores\.csv"):
        build(plan, tmp_path)


def test_an_edited_byte_of_the_slice_store_is_an_error_that_names_the_file(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    path = tmp_path / plan.of("data")[0].record.parent / "images.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(CorruptedError, match=r"images\.npy"):
        build(plan, tmp_path)


def test_a_missing_run_is_named_and_its_cell_and_comparisons_say_so(
    made: tuple[Plan, Path], tmp_path: Path, no_figures: None
):
    plan = copy(made, tmp_path)
    (tmp_path / finetune(plan, "toy_a gd+lr n1 r2")).unlink()
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    assert "1 run is missing." in said
    assert "toy_a gd+lr n1 r2" in said
    assert "6 of 7 runs" in said
    assert "the primary comparison, is left open: runs are missing." in said
    tables = tmp_path / "results/toy/tables"
    main = pd.read_csv(tables / "main.csv", dtype={"budget": str}).set_index(["method", "budget"])
    assert main.loc[("gd+lr", "1"), "against_random"] == "runs missing"
    assert main.loc[("gd", "1"), "against_random"] != "runs missing"
    assert pd.read_csv(tables / "primary.csv")["verdict"].tolist() == ["runs missing"]
    claims = pd.read_csv(tables / "claims.csv").set_index("budget")["verdict"]
    assert claims[1] == "runs missing"
    assert claims[2] != "runs missing"
    scores = pd.read_csv(tmp_path / "results/toy/scores.csv.gz")
    assert not ((scores["method"] == "gd+lr") & (scores["budget"] == "1") & (scores["repeat"] == "r2")).any()
    assert len(pd.read_csv(tables / "missing.csv")) == 1
    partial = tmp_path / plan.partial_report
    lost = finetune(plan, "toy_a gd+lr n1 r2")
    (scores_of_it,) = (job.record for job in plan.of("score") if job.start == lost)
    assert read_record(partial)["missing"] == [str(lost), str(scores_of_it)], "the page names the fine-tuning alone"
    assert not (tmp_path / plan.report.record).exists(), "a report that lacks runs must not look finished"


def test_a_run_that_stopped_with_an_error_says_why(made: tuple[Plan, Path], tmp_path: Path, no_figures: None):
    plan = copy(made, tmp_path)
    for repeat, said in ((1, '{"error": "DivergedError", "message": "step 3: <nan>"}'), (2, "not JSON")):
        record = tmp_path / finetune(plan, f"toy_a gd n1 r{repeat}")
        record.unlink()
        (record.parent / FAILURE).write_text(said, encoding="utf-8")
    page = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    assert "toy_a gd n1 r1 DivergedError: step 3: <nan>" in page
    rows = pd.read_csv(tmp_path / "results/toy/tables/missing.csv").set_index("repeat")["failure"]
    assert rows["r1"] == "DivergedError: step 3: <nan>"
    assert pd.isna(rows["r2"])


def test_a_cell_without_its_hard_repeat_is_not_the_best(made: tuple[Plan, Path], tmp_path: Path, no_figures: None):
    plan = copy(made, tmp_path)
    (tmp_path / finetune(plan, "toy_a gd+lr n1 r2")).unlink()
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    main = pd.read_csv(tmp_path / "results/toy/tables/main.csv", dtype={"budget": str}).set_index(["method", "budget"])
    assert main.loc[("gd+lr", "1"), "dice_mean"] > main.loc[("gd", "1"), "dice_mean"]
    assert "Highest mean Dice at 1 + 2 for selection: GD 0." in said
    lines = (tmp_path / "results/toy/tables/main.md").read_text(encoding="utf-8").split("\n")
    assert "**" not in next(line for line in lines if line.startswith("| G<sup>D</sup> + L<sup>R</sup> |")).split("|")[2]


def test_a_whole_method_and_the_slice_store_may_be_missing(made: tuple[Plan, Path], tmp_path: Path, no_figures: None):
    plan = copy(made, tmp_path)
    for job in [*plan.of("finetune"), *plan.of("data")]:
        if job.phase == "data" or job.name == "gd":
            (tmp_path / job.record).unlink()
    page = Page(build(plan, tmp_path).read_text(encoding="utf-8"))
    assert "no run" in page.said
    done = sum(j.phase.startswith(("pretrain", "diagnose")) or (j.phase == "finetune" and j.name != "gd") for j in
               plan.jobs.values())  # fmt: skip
    assert f"{done} of {done + 14}" in page.said


def test_without_any_run_there_is_no_report(made: tuple[Plan, Path], tmp_path: Path):
    with pytest.raises(ReportError, match="at least one finished fine-tuning"):
        build(made[0], tmp_path)


@pytest.mark.parametrize("find", [finetune, score])
def test_a_folder_of_another_specification_is_refused(
    made: tuple[Plan, Path], tmp_path: Path, find: Callable[[Plan, str], Path]
):
    plan = copy(made, tmp_path)
    here, there = find(plan, "toy_a gd n1 r1"), find(plan, "toy_a gd n1 r2")
    shutil.rmtree(tmp_path / here.parent)
    shutil.copytree(tmp_path / there.parent, tmp_path / here.parent)
    with pytest.raises(CorruptedError, match=f"expected the specification of key {here.parent.name}, found one of key"):
        build(plan, tmp_path)


def test_score_rows_with_other_columns_are_refused(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    record = tmp_path / score(plan, "toy_a gd n1 r1")
    path = record.parent / "scores.csv"
    pd.read_csv(path).drop(columns="subject").to_csv(path, index=False)
    seal(record, read_record(record))
    with pytest.raises(CorruptedError, match=r"scores\.csv: expected columns \['subject', 'volume'"):
        build(plan, tmp_path)


def test_a_missing_score_is_named_and_its_fine_tuning_counts_as_unfinished(
    made: tuple[Plan, Path], tmp_path: Path, no_figures: None
):
    plan = copy(made, tmp_path)
    done = [j for j in plan.jobs.values() if j.phase.startswith(("pretrain", "diagnose", "finetune"))]
    (tmp_path / score(plan, "toy_a gd n1 r2")).unlink()
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    assert "1 run is missing." in said
    assert "Scores: toy_a gd n1 r2" in said
    assert f"{len(done) - 1} of {len(done)}" in said
    assert "6 of 7 runs" in said
    assert pd.read_csv(tmp_path / "results/toy/tables/missing.csv")["phase"].tolist() == ["score"]


def test_methods_trained_on_different_volumes_are_refused(made: tuple[Plan, Path], tmp_path: Path):
    plan = copy(made, tmp_path)
    record = tmp_path / finetune(plan, "toy_a gd n1 r1")
    payload = read_record(record)
    seal(record, {**payload, "split": {**payload["split"], "train": ["p19_L"]}})
    with pytest.raises(ReportError, match="different lists: train"):
        build(plan, tmp_path)


def test_methods_may_read_different_unlabelled_volumes_and_the_ledger_shows_who_read_which(
    made: tuple[Plan, Path], tmp_path: Path, no_figures: None
):
    plan = copy(made, tmp_path)
    assert "20: " not in (made[1] / "results/toy/tables/ledger.md").read_text(encoding="utf-8")
    for job in plan.of("pretrain_local"):
        payload = read_record(tmp_path / job.record)
        seal(tmp_path / job.record, {**payload, "pool": payload["pool"][:7]})
    build(plan, tmp_path)
    ledger = (tmp_path / "results/toy/tables/ledger.md").read_text(encoding="utf-8")
    assert "20 / 7 20: G<sup>D</sup>; 7: G<sup>D</sup> + L<sup>R</sup>" in ledger


def test_without_a_baseline_nothing_is_compared_and_the_page_says_so(
    made: tuple[Plan, Path], tmp_path: Path, no_figures: None
):
    plan = copy(made, tmp_path)
    methods = [m for m in plan.benchmark.methods if m.id != "random"]
    jobs = {r: j for r, j in plan.jobs.items() if not (j.phase == "finetune" and j.name == "random")}
    plan = dataclasses.replace(plan, benchmark=plan.benchmark.model_copy(update={"methods": methods}), jobs=jobs)
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    assert "Nothing was compared with random weights" in said


def test_two_data_sets_one_repeat(tmp_path: Path, no_figures: None):
    plan = fabricate(tmp_path, Size(datasets=("toy_a", "toy_b"), methods=("random", "gd"), budgets=(1,), repeats=1))
    page = Page(build(plan, tmp_path).read_text(encoding="utf-8"))
    assert {"toy_a", "toy_b"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "too small to compare methods: it has 1 repeat, and 6 are the fewest that can tell" in page.said
    assert table(tmp_path, "main")["dataset"].unique().tolist() == ["toy_a", "toy_b"]


def test_of_many_cells_with_failed_runs_the_first_are_named_and_the_others_counted(tmp_path: Path, no_figures: None):
    methods = ("random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld")
    failing = tuple(f"{m} n{n} r1" for m in methods for n in (1, 2))[:13]
    plan = fabricate(tmp_path, Size(methods=methods, repeats=6, subjects=2, failing=failing))
    said = Page(build(plan, tmp_path).read_text(encoding="utf-8")).said
    sentence = re.search(r"[0-9]+ of 90 runs failed[^:]*: (.*?)\.", said)
    assert sentence
    assert sentence[1].count(" of 6)") == 12
    assert sentence[1].endswith(" of 6) and 1 more")


def test_losses_and_dice_as_tables_to_plot(made: tuple[Plan, Path]):
    plan, root = made
    losses = pd.read_csv(StringIO(curves(plan, root)))
    assert list(losses.columns) == ["step", "run", "loss"]
    assert set(losses["run"]) == {
        "Global pretraining gd", "Local pretraining gd+lr", "Fine-tuning random nall",
        *(f"Fine-tuning {m} n{n}" for m in ("random", "gd", "gd+lr", "random_again") for n in (1, 2)),
    }  # fmt: skip
    rows = pd.read_csv(StringIO(dice(root / "results/toy/tables/main.csv")))
    assert rows["labelled"].tolist() == [1, 2] * 4


def test_losses_of_several_optimisers_are_added_and_other_columns_are_not(tmp_path: Path):
    plan = fabricate(tmp_path, Size(methods=("random",), budgets=(1,), repeats=1))
    for job in plan.of("finetune"):
        text = "step,loss_net,loss_judge,lossless,learning_rate\n1,0.5,0.25,9,1e-3\n2,,,9,1e-3\n"
        (tmp_path / job.record).with_name("log.csv").write_text(text)
    losses = pd.read_csv(StringIO(curves(plan, tmp_path)))
    assert set(losses["run"]) == {"Fine-tuning random n1", "Fine-tuning random nall"}
    assert losses.loc[losses["step"] == 1, "loss"].tolist() == [0.75, 0.75]
    assert losses.loc[losses["step"] == 2, "loss"].isna().all(), "a loss that was not written down is none, not 0"


def test_a_benchmark_without_any_pretraining_has_a_report(tmp_path: Path):
    plan = fabricate(tmp_path, Size(methods=("random",), budgets=(1,), repeats=1))
    assert build(plan, tmp_path).is_file()


def test_every_strategy_and_regime_there_is_has_a_report(tmp_path: Path, no_figures: None):
    """Variants share a pretraining, which is shown once; a regime that reads unlabelled volumes is in the ledger."""
    ways = {name: entry for name, entry in regimes().items() if not entry.frozen}  # those have a test of their own
    lines = (
        *({"global": name} for name, entry in strategies().items() if entry.part in LEVELS["global"] and name != "gd"),
        {"global": "gd", "name": "gd-short", "set": {"finetune.steps": 30}},
        {"global": "gd", "local": "lr", "name": "gd+lr-t05", "set": {"pretrain_global.temperature": 0.5}},
        *(
            {"global": "gd", "local": name}
            for name, entry in strategies().items()
            if entry.part == "decoder" and name != "lr"
        ),
        *({"regime": name} for name in ways if name != "supervised"),
    )
    size = Size(methods=("random", "gd", "gd+lr"), lines=lines, budgets=(1,), repeats=1, subjects=2)
    plan = fabricate(tmp_path, size)
    page = Page(build(plan, tmp_path).read_text(encoding="utf-8"))
    diagnostics = pd.read_csv(tmp_path / "results/toy/tables/diagnostics.csv")
    assert diagnostics["name"].tolist().count("gd") == 1
    assert diagnostics["name"].tolist().count("gd+lr-t05") == 2  # its global and its local pretraining
    assert len(page.ids) == len(set(page.ids))
    assert "gd+lr-t05after local pretraining" in page.said
    for entry in [*strategies().values(), *(e for e in ways.values() if e.name != "supervised")]:
        assert plain(entry.sentence)[1:].replace("^", "") in page.said, entry.name
