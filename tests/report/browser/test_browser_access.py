"""What a reader with a keyboard, a screen reader or weak eyes needs, by axe-core and by computing contrasts ourselves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opened import LOOKS, SCREEN, TABLET, Look, Opened, combined, opened, started

pytestmark = pytest.mark.slow  # pages with all their figures take minutes to draw

TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
CONTRAST = "color-contrast"
SHOWN = 8  # violations that a message holds
TEXTS = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")
REACHABLE = "a[href], button, summary, select, input, textarea, [tabindex='0']"
COUNT = """(what) => {
  const all = [...document.querySelectorAll(what)].filter((e) => e.checkVisibility({visibilityProperty: true}) && !e.disabled);
  all.forEach((e, i) => { e.dataset.stop = i; });
  return all.length;
}"""
FOCUS = """() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e);
  const box = [...e.getClientRects()].find((b) => b.width * b.height > 0) ?? e.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 1;
  const nav = document.querySelector("nav");
  const [sticky, under] = [getComputedStyle(nav).position === "sticky", nav.getBoundingClientRect().bottom];
  const covered = sticky && !e.closest("nav") && !e.matches(".skip") && box.bottom <= under;
  const inside = box.bottom > 0 && box.top < innerHeight;
  return {stop: e.dataset.stop, name: `${e.tagName} ${e.className} ${e.textContent.trim().slice(0, 30)}`,
          seen: outlined || style.boxShadow !== "none", clear: inside && !covered};
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with started() as found:
        yield found


def violations(shown: Opened, *, contrasts: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """What axe-core finds wrong, and what it leaves open."""
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    shown.asked(axe.AXE_SCRIPT)
    only = {
        "runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations", "incomplete"],
        "rules": {CONTRAST: {"enabled": contrasts}},
    }  # fmt: skip
    found = shown.asked(f"() => axe.run(document, {json.dumps(only)})")
    wrong = [
        f"{v['id']} ({len(v['nodes'])}): {' '.join(map(str, v['nodes'][0]['target']))}: {v['nodes'][0]['failureSummary']}"
        for v in found["violations"]
    ]
    return wrong, found["incomplete"]


@pytest.mark.parametrize(("kind", "look"), combined(LOOKS))
def test_axe_finds_nothing_and_contrasts_that_it_leaves_open_suffice(browser: Any, kind: str, look: Look) -> None:
    with opened(browser, kind, look) as shown:
        shown.unfold()
        texts = shown.asked(TEXTS)
        low = {f"{t['of']}: {t['contrast']:.2f}": t["text"] for t in texts if t["contrast"] < t["least"] - 0.005}
        assert len(texts) > 100
        assert low == {}
        # by axe-core, contrasts take ten times as long as all else; ours are of every text in any case
        wrong, incomplete = violations(shown, contrasts=kind == "found" and look[0] == SCREEN)
        assert wrong[:SHOWN] == []
        assert [f"{i['id']}: {i['nodes'][0]['target']}" for i in incomplete if i["id"] != CONTRAST] == []
        targets = [n["target"][0] for i in incomplete for n in i["nodes"]]
        unknown = "(all) => all.filter((t) => document.querySelector(t)?.dataset.contrast !== 'enough')"
        assert shown.asked(unknown, targets)[:SHOWN] == [], "contrasts that neither axe-core nor this test could compute"


@pytest.mark.parametrize("colour", ["#8c8c8c", "#ff0000"])
def test_a_pale_sentence_would_be_found(browser: Any, colour: str) -> None:
    with opened(browser, "found", (SCREEN, "light")) as shown:
        shown.asked(f"() => {{ document.querySelector('.headline').style.color = '{colour}'; }}")
        (sentence, *_) = [t for t in shown.asked(TEXTS) if t["of"].endswith("p.headline")]
    assert sentence["contrast"] < sentence["least"]
    expected = {"#8c8c8c": 3.36, "#ff0000": 4.0}[colour]
    assert sentence["contrast"] == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("look", [(SCREEN, "light"), (TABLET, "dark")], ids=["screen", "tablet"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Any, look: Look) -> None:
    with opened(browser, "found", look) as shown:
        count = shown.asked(COUNT, REACHABLE)
        stops = []
        for _ in range(count + 5):
            shown.page.keyboard.press("Tab")
            at = shown.asked(FOCUS)
            if at is None or (stops and at["stop"] == stops[0]["stop"]):
                break
            stops.append(at)
        missed = sorted(set(map(str, range(count))) - {s["stop"] for s in stops}, key=int)
        names = "(all) => all.map((i) => document.querySelector(`[data-stop='${i}']`).outerHTML.slice(0, 90))"
        assert shown.asked(names, missed) == []
        assert [s["name"] for s in stops if not s["seen"]] == [], "no outline"
        assert [s["name"] for s in stops if not s["clear"]] == [], "not in sight"
        assert count > 20


def test_the_first_stop_leads_past_the_navigation(browser: Any) -> None:
    with opened(browser, "found", (SCREEN, "light")) as shown:
        shown.page.keyboard.press("Tab")
        assert shown.page.locator(":focus").evaluate("(e) => e.getBoundingClientRect().left") >= 0
        shown.page.keyboard.press("Enter")
        shown.page.keyboard.press("Tab")
        assert shown.asked("() => Boolean(document.activeElement.closest('main'))")
