"""The README says what the published report says, and what it points to is there."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
PAGES = sorted(
    p.relative_to(HERE).as_posix()
    for p in [HERE / "README.md", HERE / "config" / "README.md", *(HERE / "docs").glob("*.md")]
)


def test_the_main_table_stands_as_it_came_out() -> None:
    rows = [
        r
        for r in (HERE / "results/published/hippocampus/tables/main.md").read_text(encoding="utf-8").splitlines()
        if r.startswith("|")
    ]
    assert len(rows) > 7
    for row in rows:
        assert row in README.splitlines()


@pytest.mark.parametrize("published", ["two_volumes", "hippocampus"])
def test_it_opens_with_what_the_pages_say_first(published: str) -> None:
    page = (HERE / f"results/published/{published}/report/index.html").read_text(encoding="utf-8")
    said = [html.unescape(s) for s in re.findall(r'<p class="headline">(.*?)</p>', page)]
    assert said
    for sentence in said:
        assert f"> {sentence}" in README.split("## First commands")[0].splitlines()


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (HERE / page).read_text(encoding="utf-8"))
    assert links or page != "README.md"
    for link in links:
        assert ((HERE / page).parent / link).exists(), f"{page}: {link}"
