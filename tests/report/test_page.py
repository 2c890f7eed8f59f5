"""The page around the tables: what the chooser reads, the runs behind a number, its size, and what is published of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import Size, fabricate

from glocalrun.tools.publish import publish
from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import CorruptedError, open_sealed
from glocalseg.report.build import build
from glocalseg.report.page import page as page_module
from glocalseg.report.text.about.cite import PAPER

SIZE = Size(subjects=3, methods=("random", "gd+lr"), budgets=(1, 2), failing=("gd+lr n1 r3",), repeats=6)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    root = tmp_path_factory.mktemp("page")
    plan = fabricate(root, SIZE)
    build(plan, root)
    return plan, root


def text_of(root: Path) -> str:
    return (root / "results/toy/report/index.html").read_text(encoding="utf-8")


def chosen(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="choices">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_chooser_holds_the_numbers_of_the_tables(made: tuple[Plan, Path]) -> None:
    values = chosen(text_of(made[1]))["toy_a"]["metrics"]["dice"]["values"]
    tables = made[1] / "results/toy/tables"
    main = pd.read_csv(tables / "main.csv", dtype={"budget": str}).set_index(["method", "budget"])
    single = pd.read_csv(tables / "structures.csv", dtype={"budget": str}).set_index(["structure", "method", "budget"])
    repeats = pd.read_csv(tables / "repeats.csv", dtype={"budget": str}).set_index(["method", "budget"])
    assert len(values) == 1 + single.index.get_level_values(0).nunique()
    for structure, budgets in values.items():
        for budget, methods in budgets.items():
            for method, (mean, low, high, runs) in methods.items():
                key = (method, "all" if method == "upper_bound" else budget)
                row = main.loc[key] if structure == "all structures" else single.loc[(structure, *key)]
                expected = row[["dice_mean", "dice_mean_low", "dice_mean_high"]].to_numpy(float)
                np.testing.assert_allclose([mean, low, high], expected, rtol=1e-5)
                if structure == "all structures":
                    np.testing.assert_allclose(runs, repeats.loc[[key], "dice"], rtol=1e-5)


def test_every_metric_of_an_average_is_there_with_its_unit(made: tuple[Plan, Path]) -> None:
    metrics = chosen(text_of(made[1]))["toy_a"]["metrics"]
    assert next(iter(metrics)) == "dice"
    assert metrics["hd95"]["title"].endswith("(mm)")
    assert "lost" not in metrics, "a count of cases is no average of subjects"
    for metric in metrics.values():
        for budgets in metric["values"].values():
            for methods in budgets.values():
                for mean, low, high, _ in methods.values():
                    assert low <= mean <= high, "an interval holds its mean, in millimetres too"
    assert max(m[2] for m in metrics["hd95"]["values"]["all structures"]["1"].values()) > 1


def test_a_number_leads_to_its_runs_and_they_to_their_records(made: tuple[Plan, Path]) -> None:
    plan, root = made
    text = text_of(root)
    for job in plan.of("finetune"):
        assert f'href="../../../{job.record.as_posix()}"' in text
    links = set(re.findall(r'class="to-runs" href="#([^"]+)"', text))
    there = set(re.findall(r'<details class="fold runs" id="([^"]+)"', text))
    assert links
    assert links <= there
    failed = re.search(r'id="runs-toy_a-gd\+lr-1".*?</details>', text, re.DOTALL)
    assert failed
    assert failed[0].count("failed: ") == 1


def test_a_page_that_grows_too_large_names_its_figures_instead(
    made: tuple[Plan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_module, "LIMIT", 200_000)
    build(fabricate(tmp_path, SIZE), tmp_path)
    text, folder = text_of(tmp_path), tmp_path / "results/toy/report"
    assert "data:image" not in text
    figures = re.findall(r'(?:srcset|src)="(\.\./figures/[^"]+)"', text)
    assert figures
    assert all((folder / path).is_file() for path in figures)
    assert "data:image" in text_of(made[1])


def test_a_published_report_has_no_link_to_what_is_not_published(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, root = made
    tmp_path = tmp_path / "published" / "toy"
    tmp_path.mkdir(parents=True)
    (tmp_path / "old").write_text("of an earlier report", encoding="utf-8")
    count = publish(root / plan.report.record, tmp_path)
    assert [p.name for p in tmp_path.parent.iterdir()] == ["toy"]
    assert count == sum(p.is_file() for p in tmp_path.rglob("*")) - 1
    assert len(open_sealed(tmp_path / plan.report.record.name)["files"]) == count
    index = tmp_path / "report/index.html"
    text = index.read_text(encoding="utf-8")
    links = re.findall(r'href="([^"#][^"]*)"', text)
    for link in links:
        assert (index.parent / link).is_file(), link
    pages = "".join(p.read_text(encoding="utf-8") for p in (tmp_path / "report").glob("*.html"))
    named = {Path(link).name for link in re.findall(r'href="(\.\./figures/[^"]*)"', pages)}
    assert {p.name for p in (tmp_path / "figures").iterdir()} - named == set(), "what only the page shows, it holds"
    assert plan.of("finetune")[0].record.parent.name in text, "the key of a run is still named"


def test_a_full_disk_leaves_what_was_published_before(
    made: tuple[Plan, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, root = made
    target = tmp_path / "toy"
    publish(root / plan.report.record, target)
    before = {p: p.read_bytes() for p in target.rglob("*") if p.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfile", full)
        with pytest.raises(OSError, match="No space"):
            publish(root / plan.report.record, target)
    assert {p: p.read_bytes() for p in target.rglob("*") if p.is_file()} == before
    publish(root / plan.report.record, target)
    assert [p.name for p in tmp_path.iterdir()] == ["toy"]


def test_an_edited_report_is_not_published(made: tuple[Plan, Path], tmp_path: Path) -> None:
    plan = fabricate(tmp_path, SIZE)
    build(plan, tmp_path)
    (tmp_path / "results/toy/tables/main.csv").write_text("edited", encoding="utf-8")
    with pytest.raises(CorruptedError, match=r"main\.csv"):
        publish(tmp_path / plan.report.record, tmp_path / "published")
    assert not (tmp_path / "published").exists()


def test_the_page_says_how_to_cite_it_and_how_to_make_it_again(made: tuple[Plan, Path]) -> None:
    plan, root = made
    text = text_of(root)
    assert PAPER.split("\n")[0] in text
    assert f"@misc{{glocalseg-{plan.benchmark.name}," in text
    assert plan.report.record.stem in text
    assert f"CONFIG=config/{plan.benchmark.name}.yaml" in text
