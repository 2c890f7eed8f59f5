"""Rows with bought-in weights: marked where their scores stand, with licence and what they may have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from fabricated_runs import Size, fabricate

from glocalseg.plan.jobs import Plan
from glocalseg.report.build import build
from glocalseg.report.tables.scored.bought import with_bought
from glocalseg.report.tables.table import Block, Entry, Table, frame
from glocalseg.report.text.about.bought import bought_in, footnote
from glocalseg.report.text.about.methods import methods, what_differs

CARD: dict[str, Any] = {
    "name": "small", "title": "Small & co", "summary": "Drawn from a seed.", "model": "test_resnet",
    "source": {"url": "https://example.org/model.safetensors"}, "licence": "Licence of nobody 1.0", "sha256": "a" * 64,
    "input": {"mean": [0.5], "std": [0.2]}, "may_have_seen": "They may have seen <your> test subjects.",
    "citation": ["Nobody, Weights of nothing, 2020"],
}  # fmt: skip
LINES = (
    {"name": "bought", "set": {"network.weights": "small"}},
    {"name": "bought_slow", "set": {"network.weights": "small", "regimes.supervised.encoder_rate": 0.1}},
)
SIZE = Size(
    methods=("random", "gd"),
    lines=LINES,
    budgets=(1,),
    repeats=6,
    subjects=3,
    more={"network": {"encoder": "timm:test_resnet"}},
)
SAID = (
    "bought and bought_slow start from bought-in weights: Small & co, licence: Licence of nobody 1.0. "
    "They may have seen <your> test subjects."
)


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Path]:
    root = tmp_path_factory.mktemp("bought") / "root"
    (root.parent / "weights").mkdir()
    (root.parent / "weights/small.yaml").write_text(yaml.safe_dump(CARD), encoding="utf-8")
    return fabricate(root, SIZE), root


def test_the_page_and_the_main_table_say_what_is_bought_in(plan: tuple[Plan, Path]) -> None:
    page = build(*plan).read_text(encoding="utf-8")
    folder = plan[1] / "results/toy"
    assert page.count("bought-in weights, Licence of nobody 1.0") == 2
    escaped = SAID.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert escaped in page
    assert "Weights bought in: Small &amp; co; licence: Licence of nobody 1.0." in page
    assert "a" * 64 in page
    assert "Nobody, Weights of nothing, 2020" in page
    assert "bought-in weights, Licence of nobody 1.0" in (folder / "tables/main.md").read_text(encoding="utf-8")
    assert "bought-in weights" in (folder / "tables/main.tex").read_text(encoding="utf-8")


def test_a_method_says_what_it_starts_from(plan: tuple[Plan, Path]) -> None:
    b, bought = plan[0].benchmark, plan[0].bought
    found = {fact.label: fact.value for fact in methods(b, bought)}
    assert found["Random init"] == "Random weights; no pretraining."
    assert found["bought"].startswith(
        "Bought-in weights with network.weights small. Weights bought in: Small & co; licence: "
    )
    assert "andom" not in found["bought"]
    assert "the weights that it starts from" in what_differs(b)
    assert footnote(b, bought) == SAID


def test_weights_without_a_card_say_that_nobody_says_anything(plan: tuple[Plan, Path]) -> None:
    b = plan[0].benchmark
    assert "nobody says its licence" in footnote(b, {})
    assert [fact.value for fact in bought_in(b, {})] == [
        "a file without a card: nobody says its licence, or what it has seen"
    ]
    assert "nobody says its licence" in {fact.label: fact.value for fact in methods(b, {})}["bought"]


def test_without_bought_in_weights_nothing_is_said(tmp_path: Path) -> None:
    plain = fabricate(tmp_path / "root", Size(repeats=6, subjects=3, budgets=(1,)))
    table = Table("main", "t", "c", frame([], ["dataset"]), {"x": Block("x", ("Method",), ((Entry("Random init"),),))})
    assert with_bought(table, plain) is table
    assert bought_in(plain.benchmark, plain.bought) == []
    assert "bought" not in build(plain, tmp_path / "root").read_text(encoding="utf-8")
