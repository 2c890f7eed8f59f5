"""The table of codes that are known to give the same bits: safe for what it does not know."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from glocalseg.plan.entries import entries
from glocalseg.records import generations
from glocalseg.records.generations import TABLE, enter, generation


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty table in place of the committed one."""
    path = tmp_path / "generations.json"
    path.write_text("{}", encoding="utf-8")
    monkeypatch.setattr(generations, "TABLE", path)
    generations.load.cache_clear()
    yield path
    monkeypatch.undo()
    generations.load.cache_clear()


def test_an_unknown_code_stands_for_itself(table: Path) -> None:
    assert generation("pretrain/gd", "a") == "a"
    enter("pretrain/gd", code="b", same_as="a", table=table)
    assert generation("pretrain/gd", "c") == "c"
    assert generation("pretrain/gr", "b") == "b"  # another entry's code


def test_generations_are_handed_on(table: Path) -> None:
    enter("pretrain/gd", code="b", same_as="a", table=table)
    enter("pretrain/gd", code="c", same_as="b", table=table)
    enter("pretrain/gd", code="d", same_as="c", table=table)
    assert {generation("pretrain/gd", code) for code in "abcd"} == {"a"}


def test_a_code_that_comes_back_keeps_its_generation(table: Path) -> None:
    enter("score", code="b", same_as="a", table=table)
    enter("score", code="a", same_as="b", table=table)
    assert generation("score", "a") == generation("score", "b") == "a"


def test_the_order_of_entering_does_not_show(tmp_path: Path, table: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text("{}", encoding="utf-8")
    rows = [("score", "b", "a"), ("data/msd", "y", "x"), ("score", "c", "a")]
    for path, order in ((table, rows), (other, rows[::-1])):
        for entry, code, same_as in order:
            enter(entry, code=code, same_as=same_as, table=path)
    assert table.read_bytes() == other.read_bytes()


def test_the_committed_table_has_its_shape() -> None:
    content = json.loads(TABLE.read_text(encoding="utf-8"))
    hexadecimal = re.compile("[0-9a-f]{64}")
    assert set(content) <= set(entries())
    for entry, rows in content.items():
        for code, same_as in rows.items():
            assert hexadecimal.fullmatch(code), entry
            assert hexadecimal.fullmatch(same_as), entry
            assert rows.get(same_as, same_as) == same_as, f"{entry}: {same_as} is no first of its generation"
