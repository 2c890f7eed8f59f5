"""What a reader does: sort a table, choose what is compared, follow a number to its runs, print the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from opened import MOST_TOLD, SCREEN, Opened, opened, started

pytestmark = pytest.mark.slow  # pages with all their figures take minutes to draw

COLUMN = """([id, column]) => [...document.querySelector(`table[id="${id}"]`).tBodies[0].rows].filter((r) => r.cells[column])
  .map((r) => r.cells[column].dataset.key ?? r.cells[column].textContent.trim())"""
TABLES = """() => [...document.querySelectorAll("table.sortable[id]")].filter((t) => t.tBodies[0].rows.length > 1)
  .map((t) => t.id)"""
EMPTY = """(id) => {
  const cell = document.querySelector(`table[id="${id}"]`).tBodies[0].rows[0].cells[1];
  cell.textContent = "–";
  delete cell.dataset.key;
}"""
HEADS = "() => [...document.querySelectorAll('main :is(h2, h3, h4):not(.unseen), summary')].map((h) => h.textContent)"
SORTED = """(id) => [...document.querySelector(`table[id="${id}"]`).tHead.rows[0].cells]
  .map((c) => c.getAttribute("aria-sort"))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


def numbers(texts: list[str]) -> list[float]:
    """The numbers that cells begin with, in the order of rows, up to the first cell without one."""
    found = []
    for text in texts:
        match = re.match(r"[<>≤]?\s*([+-]?\d+(\.\d+)?(e-?\d+)?)", text.replace("−", "-"))
        if not match:
            break
        found.append(float(match[1]))
    return found


def test_tables_sort_by_click_and_by_keyboard(browser: Any) -> None:
    with opened(browser, "found", (SCREEN, "light")) as shown:
        shown.unfold()
        ids = shown.asked(TABLES)
        assert len(ids) >= 4
        for table in ids:
            buttons = shown.page.locator(f"table[id='{table}'] thead th button")
            titles = shown.page.locator(f"table[id='{table}'] thead th")
            assert buttons.count() == titles.count()
            for column in range(titles.count()):
                before = shown.asked(COLUMN, [table, column])
                buttons.nth(column).click()
                up, marked = shown.asked(COLUMN, [table, column]), shown.asked(SORTED, table)
                assert [i for i, mark in enumerate(marked) if mark] == [column]
                assert marked[column] == "ascending"
                assert sorted(up) == sorted(before)
                buttons.nth(column).focus()
                shown.page.keyboard.press("Enter")
                down = shown.asked(COLUMN, [table, column])
                assert shown.asked(SORTED, table)[column] == "descending"
                assert sorted(down) == sorted(before)
                if len(numbers(before)) == len(before):
                    assert numbers(up) == sorted(numbers(before)), (table, column)
                    assert numbers(down) == sorted(numbers(before), reverse=True), (table, column)


def test_a_column_without_some_numbers_sorts_them_last_either_way(browser: Any) -> None:
    with opened(browser, "missing", (SCREEN, "light")) as shown:
        table = shown.page.locator("#answer table[id$='-main']").first
        name = table.get_attribute("id")
        shown.asked(EMPTY, name)
        for _ in range(2):
            table.locator("thead th button").nth(1).click()
            texts = shown.asked(COLUMN, [name, 1])
            assert texts.index("–") >= len(numbers(texts)) > 0


def chosen(shown: Opened) -> dict[str, float]:
    """The means that the chooser's table shows, by method as the page writes it."""
    rows = shown.page.locator("#explore table.chosen tbody tr").all()
    return {r.locator("th").inner_text(): float(r.locator("td").first.inner_text().replace("−", "-")) for r in rows}


def main_table(folder: Path, dataset: str, budget: str) -> list[float]:
    main = pd.read_csv(folder / "tables/main.csv", dtype={"budget": str})
    own = main[(main["dataset"] == dataset) & ((main["budget"] == budget) | (main["method"] == "upper_bound"))]
    return sorted(float(f"{v:.3g}") for v in own["dice_mean"])


def test_the_chooser_shows_the_numbers_of_the_tables(browser: Any) -> None:
    with opened(browser, "three_datasets", (SCREEN, "light")) as shown:
        form = shown.page.locator("#explore form")
        for dataset, budget in (("toy_b", "2"), ("toy_c", "1")):
            form.locator("[name=dataset]").select_option(dataset)
            form.locator("[name=budget]").select_option(budget)
            assert sorted(chosen(shown).values()) == main_table(shown.folder, dataset, budget)
        dice = chosen(shown)
        assert shown.page.locator("#explore .chart svg .mean").count() == len(dice)
        form.locator("[name=metric]").select_option("hd95")
        assert all(value > 1 for value in chosen(shown).values()), "millimetres"
        form.locator("[name=metric]").select_option("dice")
        structures = form.locator("[name=structure] option").evaluate_all("(all) => all.map((o) => o.value)")
        form.locator("[name=structure]").select_option(structures[-1])
        assert chosen(shown).keys() == dice.keys()
        assert chosen(shown) != dice
        box = form.locator(".boxes input").first
        box.focus()
        shown.page.keyboard.press("Space")
        assert len(chosen(shown)) == len(dice) - 1
        assert shown.page.locator("#explore .chart svg .mean").count() == len(dice) - 1
        while form.locator(".boxes input:checked").count():
            form.locator(".boxes input:checked").first.uncheck()
        assert chosen(shown) == {}
        assert shown.errors == []


def test_a_number_leads_to_its_runs_and_they_to_their_records(browser: Any) -> None:
    with opened(browser, "found", (SCREEN, "light")) as shown:
        link = shown.page.locator("#answer table[id$='-main'] a.to-runs").first
        runs = shown.page.locator(f"[id='{link.get_attribute('href').lstrip('#')}']")
        assert not runs.locator("table").is_visible()
        link.click()
        assert runs.locator("table").is_visible()
        assert runs.bounding_box()["y"] < SCREEN[1]
        rows = runs.locator("tbody tr")
        assert rows.count() == 8
        record = shown.folder / "report" / rows.first.locator("a.record").get_attribute("href")
        assert record.resolve().is_file()


def printed(shown: Opened, path: Path) -> list[list[str]]:
    """The lines of each page as it is printed, from top to bottom, without spaces."""
    reading = pytest.importorskip("pypdf", reason="pypdf is not installed")
    shown.page.pdf(path=path, format="A4")
    return [lines_of(page) for page in reading.PdfReader(path).pages]


def lines_of(page: Any) -> list[str]:
    pieces: list[tuple[float, str]] = []

    def note(text: str, matrix: list[float], at: list[float], *_: Any) -> None:
        if text.strip():
            pieces.append((matrix[1] * at[4] + matrix[3] * at[5] + matrix[5], text))

    page.extract_text(visitor_text=note)
    lines: dict[float, str] = {}
    for height, text in sorted(pieces, key=lambda piece: -piece[0]):
        near = next((other for other in lines if abs(other - height) < 5), height)  # raised letters are of the line
        lines[near] = lines.get(near, "") + re.sub(r"\s", "", text)
    return list(lines.values())


@pytest.mark.parametrize("kind", [*MOST_TOLD[:1], *(pytest.param(k, marks=pytest.mark.slow) for k in MOST_TOLD[1:])])
def test_no_printed_page_ends_with_a_heading_or_holds_only_the_footer(browser: Any, kind: str, tmp_path: Path) -> None:
    with opened(browser, kind, (SCREEN, "light")) as shown:
        heads = shown.asked(HEADS)
        footer = shown.asked("() => document.querySelector('footer').textContent")
        pages = printed(shown, tmp_path / "page.pdf")
    bare = {re.sub(r"\s", "", h) for h in heads}
    assert len(pages) > 3
    assert sum(line in bare for lines in pages for line in lines) > 20, "headings are found as they are printed"
    stranded = {number: lines[-1] for number, lines in enumerate(pages, 1) if lines and lines[-1] in bare}
    assert stranded == {}
    assert all(pages), "an empty page"
    assert len("".join(pages[-1])) > 2 * len(re.sub(r"\s", "", footer)), "the last page"
