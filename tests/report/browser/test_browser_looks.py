"""What a reader sees: nothing outside is asked for, every figure is there, text is large enough, the answer comes first."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from opened import LOOKS, PHONE, SCREEN, Look, combined, opened, started
from PIL import Image

from glocalseg.report.figures.figure import NARROW

pytestmark = pytest.mark.slow  # pages with all their figures take minutes to draw

ABOVE = 800  # pixels of the first screen
SMALLEST = 10  # pixels of text in a figure on a phone
PICTURES = """() => [...document.images].map((i) => {
  const box = i.getBoundingClientRect();
  return {of: i.closest("figure")?.id ?? i.alt, natural: i.naturalWidth, width: box.width, height: box.height,
          shown: i.checkVisibility(), drawn: /^data:image.svg|[.]svg$/.test(i.currentSrc)};
})"""
SIZES = "() => [document.scrollingElement.scrollWidth, document.scrollingElement.clientWidth]"
# what sticks out of the page, but for what a region scrolls
TOO_WIDE = """() => [...document.querySelectorAll("main *, header *, nav *, footer *")].filter((e) =>
  e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !e.closest(".scroll, pre, .chart, .unseen"))
  .slice(0, 5).map((e) => `${e.tagName} ${e.id} ${e.className}`)"""
CUT = (
    """() => [...document.querySelectorAll(".chart text.name")].filter((e) => e.getBBox().x < 0).map((e) => e.textContent)"""
)
TWICE = """() => [...document.querySelectorAll("[id]")].map((e) => e.id)
  .filter((id, i, all) => all.indexOf(id) !== i)"""
FIRST = """() => {
  const bottom = (e) => e.getBoundingClientRect().bottom;
  const answer = document.querySelector("#answer");
  const table = answer.querySelector("table[id$='-main']");
  const [sentence, figure] = [answer.querySelector(".headline"), answer.querySelector("figure[id$='-figure-gain']")];
  const before = (a, b) => Boolean(a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING);
  const set = answer.querySelector("section.first") ?? answer;
  return {
    sentences: [...set.querySelectorAll(".headline")].map(bottom), figure: bottom(figure.querySelector("img")),
    figureTop: figure.getBoundingClientRect().top, row: bottom(table.tBodies[0].rows[0]),
    order: before(sentence, figure) && before(figure, table), earlier: before(answer, document.querySelector("#explore")),
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


@pytest.mark.parametrize(("kind", "look"), combined(LOOKS))
def test_a_page_is_whole(browser: Any, kind: str, look: Look) -> None:
    with opened(browser, kind, look) as shown:
        shown.unfold()
        shown.loaded()
        pictures = shown.asked(PICTURES)
        assert any(p["of"].endswith("-figure-gain") for p in pictures)
        assert [p for p in pictures if not (p["shown"] and p["natural"] > 0 and p["width"] > 0 and p["height"] > 0)] == []
        if look[0] == PHONE:
            points = 72 * NARROW.width
            small = {p["of"]: size for p in pictures if (size := NARROW.small * p["width"] / points) < SMALLEST}
            assert small == {}, "text of figures in pixels"
            wide = [p["of"] for p in pictures if p["drawn"] and p["natural"] > 100 * NARROW.width]
            assert wide == [], "not made for a phone"
        width, seen = shown.asked(SIZES)
        assert width <= seen, shown.asked(TOO_WIDE)
        assert shown.asked(CUT) == [], "names of the chooser's rows"
        assert shown.asked(TWICE) == []
        assert shown.errors == []
        assert shown.outside == []


def test_the_answer_is_on_the_first_screen(browser: Any) -> None:
    with opened(browser, "found", (SCREEN, "light")) as shown:
        shown.loaded()
        first = shown.asked(FIRST)
    assert 1 <= len(first["sentences"]) <= 2
    assert max(first["sentences"]) <= ABOVE
    assert first["figure"] <= ABOVE
    assert first["row"] <= ABOVE, "the start of the main table"
    assert first["order"]
    assert first["earlier"]


@pytest.mark.parametrize("kind", ["found", "missing"])
def test_on_a_phone_sentences_and_the_figure_begin_on_the_first_screen(browser: Any, kind: str) -> None:
    with opened(browser, kind, (PHONE, "light")) as shown:
        shown.loaded()
        first = shown.asked(FIRST)
    assert max(first["sentences"]) <= PHONE[1]
    assert first["figureTop"] <= PHONE[1]
    assert first["order"]


def test_a_dark_page_shows_dark_figures_and_a_phone_narrow_ones(browser: Any) -> None:
    width, grey = {}, {}
    for look in LOOKS:
        with opened(browser, "found", look) as shown:
            shown.loaded()
            image = shown.page.locator("#answer figure img").first
            width[look] = image.evaluate("(i) => i.naturalWidth")
            grey[look] = np.asarray(Image.open(io.BytesIO(image.screenshot())).convert("L")).mean()
    for size in (PHONE, SCREEN):
        assert grey[size, "light"] > 200
        assert grey[size, "dark"] < 80
        assert width[size, "light"] == width[size, "dark"]
    assert width[PHONE, "light"] < 0.6 * width[SCREEN, "light"]


def test_without_script_the_page_says_everything_but_the_chooser(browser: Any) -> None:
    with opened(browser, "found", (SCREEN, "light"), script=False) as shown:
        page = shown.page
        assert page.locator("#answer .headline").first.is_visible()
        assert page.locator("figure[id$='-figure-gain'] img").is_visible()
        assert page.locator("#answer table[id$='-main'] tbody tr").first.is_visible()
        assert page.locator("#answer table[id$='-main'] tbody tr").count() >= 4
        assert page.locator("th button").count() == 0
        assert not page.locator("#explore").is_visible()
        assert page.locator("figure img").evaluate_all("(all) => all.every((i) => i.complete && i.naturalWidth > 0)")
        fold = page.locator("details.fold", has=page.locator("table")).first
        fold.locator("summary").first.click()
        assert fold.locator("table").first.is_visible(), "folding needs no script"
        assert shown.errors == []
