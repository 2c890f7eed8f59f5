"""Snakemake's own report of a finished benchmark, whose runs are made up: nothing is trained."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path

import pytest
import yaml
from snakemake_call import snakemake

from conftest import REPOSITORY, copy_code
from glocalrun.tools.reports.captions import described_table, restructured
from glocalseg.report import build as building
from glocalseg.report.figures.figure import Plot

sys.path.insert(0, str(REPOSITORY / "tests/report"))
from fabricated_runs import Size, fabricate, make_benchmark, make_card

SIZE = Size(methods=("random", "gd"), budgets=(1,), repeats=2, subjects=2, grid=(4, 22, 20))
ENDS = (".svg", "-dark.svg", "-narrow.svg", "-narrow-dark.svg", ".png")
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><title>of wide, light pages</title></svg>'


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a made-up benchmark, its runs and its report, figures left out but two."""
    tree = copy_code(tmp_path_factory.mktemp("report") / "tree")
    card = make_card("toy_a", SIZE).model_dump(mode="json", exclude_unset=True)
    (tree / "config/datasets/toy_a.yaml").write_text(yaml.safe_dump(card))
    raw = make_benchmark(SIZE).model_dump(mode="json", by_alias=True, exclude_unset=True)
    (tree / "config/toy.yaml").write_text(yaml.safe_dump(raw))
    plots = [
        Plot("toy_a-gain", "toy_a", "", "", "", {end: SVG if end == ".svg" else b"<svg/>" for end in ENDS}),
        Plot("toy_a-overlays", "toy_a", "", "", "", {end: b"x" for end in (*ENDS, ".webp")}, raster=True),
    ]
    plan = fabricate(tree, SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "_plots", lambda *_: plots)
        patch.setattr(building, "page", lambda *_: "<!doctype html><title>the page</title>")
        building.build(plan, tree)
    return tree


@pytest.mark.slow
def test_snakemakes_report_lists_page_figures_and_tables_with_what_they_are(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "snakemake.html"
    result = snakemake(finished, "--configfile", "config/toy.yaml", "--report", str(page))
    assert result.returncode == 0, result.stdout
    text = page.read_text(encoding="utf-8")
    assert "A made-up benchmark with 100% &lt;invented&gt; numbers" in text
    assert re.search(r"Data.{1,80}Toy &amp; Co_a<", text)  # a row of its own
    for name in ("The whole report", "gain", "overlays", "Dice by method and number of labelled volumes"):
        assert f'"{name}"' in text, name
    _, caption = described_table((finished / "results/toy/tables/main.md").read_text(encoding="utf-8"))
    assert len(caption) > 40
    assert caption[:40] in text
    assert base64.b64encode(SVG).decode() in text
    assert "toy_a-gain-dark" not in text
    assert "toy_a-gain-narrow" not in text
    assert "toy_a-overlays.png" in text
    assert "toy_a-overlays.svg" not in text
    assert "missing.csv" not in text  # has no rows


def test_captions_are_those_of_the_tables_and_no_markup() -> None:
    title, said = described_table("# Dice of G<sup>D</sup>\n\nIn brackets \\[0, 1\\]: a *b* {{ c }}.\n\n## Toy\n")
    assert title == "Dice of G^D"
    assert said == r"In brackets [0, 1]: a \*b\* {\{ c }}."
    assert restructured("a_ |b|\n`c` {% d") == r"a\_ \|b\| \`c\` {\% d"


@pytest.mark.slow
def test_a_benchmark_without_a_report_says_so(finished: Path, tmp_path: Path) -> None:
    page = tmp_path / "snakemake.html"
    result = snakemake(finished, "--configfile", "config/toy.yaml", "--config", "name=nobody", "--report", str(page))
    assert result.returncode == 0, result.stdout
    assert "is not finished, so that there is no result to show yet" in page.read_text(encoding="utf-8")
