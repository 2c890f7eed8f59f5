"""The README says what the published report says, and what it points to is there."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pandas as pd
import pytest

HERE = Path(__file__).resolve().parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
OPENING = README.split("## First commands")[0]
PAGES = sorted(
    p.relative_to(HERE).as_posix()
    for p in [HERE / "README.md", HERE / "config" / "README.md", *(HERE / "docs").glob("*.md")]
)


def table(name: str) -> pd.DataFrame:
    return pd.read_csv(HERE / f"results/published/two_volumes/tables/{name}.csv")


def plain(text: str) -> str:
    return html.unescape(text).replace("\u00a0", " ").strip()


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
        assert f"> {sentence}" in OPENING.splitlines()
    findings = re.search(r'class="findings".*?</ul>', page, re.DOTALL)
    assert findings
    items = re.findall(r"<li>(.*?)</li>", findings[0], re.DOTALL)
    assert len(items) >= 5
    for item in items:
        assert f"- {plain(re.sub(r'</?(?!sup)[a-z][^>]*>', '', item))}" in plain(OPENING).splitlines()


def test_what_it_says_of_pretraining_at_two_volumes_stands_in_the_tables() -> None:
    gains = table("comparisons").set_index("method")["gain"]
    gains = gains[[not re.search(r"random|atlas|mixup|self_training", method) for method in gains.index]]
    runs = table("repeats")
    runs = runs[runs["method"].isin(gains.index)]
    without = runs.loc[runs["repeat"] != "r8", "gain"].mean()
    assert set(table("comparisons").set_index("method").loc[gains.index, "verdict"]) == {"undecided"}
    assert (
        f"All {len(gains)} pretrainings are undecided, their gains {gains.min():+.3f} to {gains.max():+.3f}. "
        f"The mean of all is {runs['gain'].mean():+.3f}, and {without:+.3f} without repeat 8" in OPENING
    )
    means = table("main").set_index("method")["dice_mean"].drop("atlas")  # the control
    assert means.idxmin() == "random+self_training"


def test_what_it_says_of_the_same_place_shortcut_stands_in_the_tables() -> None:
    found = table("diagnostics").groupby("name")[["same_place", "same_place_chance"]].median()
    lr_geo, ld_geo, lr, ld, random = (
        f"{found.loc[name, 'same_place']:.0%}" for name in ("gd+lr_geo", "gd+ld_geo", "gd+lr", "gd+ld", "random")
    )
    assert f"{lr_geo} and {ld_geo}, beside {lr} and {ld} with" in OPENING
    assert f"({random} in a random network, {found['same_place_chance'].max():.0%} by chance)" in OPENING
    claims = table("claims").set_index(["method", "baseline"])
    assert claims.loc[("gd+lr_geo", "gd+lr"), "verdict"] == "equivalent"
    undecided = claims.loc[("gd+ld_geo", "gd+ld")]
    assert undecided["verdict"] == "undecided"
    gain, low, high = (f"{undecided[c]:.3f}".replace("-", "−") for c in ("gain", "gain_low", "gain_high"))
    assert rf"undecided, {gain} \[{low}, {high}\]" in OPENING


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (HERE / page).read_text(encoding="utf-8"))
    assert links or page != "README.md"
    for link in links:
        assert ((HERE / page).parent / link).exists(), f"{page}: {link}"
