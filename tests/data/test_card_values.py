"""Structures and label values of a card: what no card can say is refused when it is loaded, in one line."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from nifti_layouts import make_card, mmwhs_card

from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import load_card
from glocalseg.data.cards.taken import COLUMNS


def refused(folder: Path, **changes: Any) -> str:
    """The line with which a card is refused."""
    raw = make_card().model_dump(mode="json", exclude_defaults=True)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**raw, **changes}, allow_unicode=True), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_card(path)
    (line,) = str(caught.value).split("\n")
    assert line.startswith(str(path))
    return line


@pytest.mark.parametrize(
    "names",
    [("Ring", "ring"), ("LEFT", "left"), ("caf\u00e9", "cafe\u0301"), ("Caf\u00c9", "cafe\u0301"), ("ma\u00df", "MASS")],
)
def test_names_that_are_alike_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    assert "differ in more than letter case" in refused(tmp_path, structures=dict(enumerate(names, 1)))


@pytest.mark.parametrize(
    "name",
    ["file", "File", "step", "subject", "volume", "Volume", "structure", "metric", "value", "dice", "slice", "mean", "NA"],
)
def test_names_of_columns_are_refused(tmp_path: Path, name: str) -> None:
    assert f"step, subject; found {name!r}" in refused(tmp_path, structures={1: "one", 2: name})


@pytest.mark.parametrize("name", ["left ventricle", "Ring 2", "volume 1", "é", "files", "p1"])
def test_other_names_are_fine(name: str) -> None:
    assert make_card(structures={1: "one", 2: name}).structures[2] == name


def test_a_class_is_no_stray_value(tmp_path: Path) -> None:
    line = refused(tmp_path, stray_values=[2])
    assert "stray_values: expected values of no class, found those of classes by structures: 2 ('two')" in line
    line = refused(tmp_path, label_values={10: 1, 20: 2}, stray_values=[20, 30])
    assert "found those of classes by label_values: 20 ('two')" in line
    assert make_card(label_values={10: 1, 20: 2, 5: 0}, stray_values=[2, 5]).stray_values == [2, 5]


def test_zero_is_background(tmp_path: Path) -> None:
    line = refused(tmp_path, label_values={0: 1, 1: 2})
    assert "label_values: expected 0 to be background or not listed, found class 1 ('one') for it" in line
    assert mmwhs_card().label_values[0] == 0


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("glocalseg.stages.score", "COLUMNS"),
        ("glocalseg.report.collected.collect", "SCORE_COLUMNS"),
        ("glocalseg.report.tables.recorded.runs", "MISSING_COLUMNS"),
        ("glocalseg.data.slices.store", "SLICE_COLUMNS"),
        ("glocalseg.data.slices.store", "VOLUME_COLUMNS"),
    ],
)
def test_columns_that_are_written_are_known(module: str, name: str) -> None:
    assert set(getattr(importlib.import_module(module), name)) <= COLUMNS
