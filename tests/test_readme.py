"""The README says what the published report says, and what it points to is there."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pandas as pd
import pytest

from glocalrun.plans import plan_of
from glocalseg.methods.catalogue import regimes

HERE = Path(__file__).resolve().parents[1]
README = (HERE / "README.md").read_text(encoding="utf-8")
OPENING = README.split("## First commands")[0]
SPACED = " ".join(OPENING.split())
PAGES = sorted(
    p.relative_to(HERE).as_posix()
    for p in [HERE / "README.md", HERE / "config" / "README.md", *(HERE / "docs").glob("*.md")]
)


def table(name: str, published: str = "few_labels") -> pd.DataFrame:
    return pd.read_csv(HERE / f"results/published/{published}/tables/{name}.csv", dtype={"budget": str})


def signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")


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


@pytest.mark.parametrize("published", ["few_labels", "hippocampus"])
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


def test_what_it_says_is_not_computed_yet_is_what_the_tables_lack() -> None:
    lacking = {}
    for name in ("few_labels", "quirks", "ablations"):
        planned = len(plan_of(HERE / f"config/{name}.yaml").of("finetune"))
        lacking[name] = planned - len(table("repeats", name))
        assert ("runs missing" in set(table("comparisons", name)["verdict"])) == (lacking[name] > 0)
        assert name != "few_labels" or f"share, {planned} fine-tunings:" in SPACED
    assert [name for name, runs in lacking.items() if runs] == ["ablations"]
    claims = table("claims", "ablations")
    missing = {re.sub(r"\d+$", "", m) for m in claims.loc[claims["verdict"] == "runs missing", "method"]}
    assert missing == {"gd_t", "lr_t", "gd_images"}
    said = "those of the temperatures and of other numbers of images."
    assert f"{lacking['ablations']} of its {planned} fine-tunings are not computed yet: {said}" in SPACED


def test_what_it_says_of_pretrainings_stands_in_the_tables() -> None:
    found = table("comparisons")
    found = found[[not re.search(r"random|atlas|mixup|self_training", method) for method in found["method"]]]
    runs = table("repeats")
    runs = runs[runs["method"].isin(found["method"])]
    means = runs.groupby("budget")["gain"].mean()
    assert set(found["verdict"]) == {"undecided", "equivalent"}
    same = found[found["verdict"] == "equivalent"]
    assert set(same["budget"]) == {"8"}
    assert f"None of the {found['method'].nunique()} pretrainings is found to differ from random weights" in SPACED
    assert f"at any number of labelled volumes: {len(same)} are equivalent at eight, all else is undecided." in SPACED
    one, two, eight = (signed(means[budget]) for budget in ("1", "2", "8"))
    assert f"The mean of their gains is {one} at one volume, {two} at two and {eight} at eight." in SPACED
    without = runs.loc[(runs["budget"] == "2") & (runs["repeat"] != "r8"), "gain"].mean()
    assert f"without it, it is {signed(without)}." in SPACED


def test_what_it_says_of_the_same_place_shortcut_stands_in_the_tables() -> None:
    found = table("diagnostics").groupby("name")[["same_place", "same_place_chance"]].median()
    lr_geo, ld_geo, lr, ld, random = (
        f"{found.loc[name, 'same_place']:.0%}" for name in ("gd+lr_geo", "gd+ld_geo", "gd+lr", "gd+ld", "random")
    )
    assert f"for {lr_geo} and {ld_geo}, beside {lr} and {ld} with" in SPACED
    assert f"({random} in a random network, {found['same_place_chance'].max():.0%} by chance)" in SPACED


@pytest.mark.parametrize("local", ["lr", "ld"])
def test_what_it_says_of_matched_regions_and_dice_stands_in_the_tables(local: str) -> None:
    claims = table("claims").set_index(["method", "baseline", "budget"]).sort_index().loc[(f"gd+{local}_geo", f"gd+{local}")]
    one, two, eight = (
        f"{signed(claims.loc[budget, 'gain'])} at {word} ({claims.loc[budget, 'verdict']})"
        for budget, word in (("1", "one"), ("2", "two"), ("8", "eight"))
    )
    assert f"L<sup>{local[1].upper()}</sup> {'is ' if local == 'lr' else ''}{one}, {two} and {eight}" in SPACED


def test_what_it_says_of_regimes_stands_in_the_tables() -> None:
    found = table("comparisons")
    rows = found[found["method"].isin([f"random+{name}" for name, entry in regimes().items() if entry.unlabelled])]
    assert rows["method"].nunique() == 10
    assert "better" not in set(rows["verdict"])
    assert "No regime with unlabelled slices is found better than random weights at any number" in SPACED
    own = rows[rows["method"] == "random+self_training"].set_index("budget")
    one, two, eight = (
        f"{signed(own.loc[budget, 'gain'])} at {said} ({own.loc[budget, 'verdict']})"
        for budget, said in (("1", "one volume"), ("2", "two"), ("8", "eight"))
    )
    assert f"self-training lies below them at each: {one}, {two}, {eight}." in SPACED


@pytest.mark.parametrize(("published", "what"), [("quirks", "switches"), ("ablations", "choices")])
def test_what_it_says_of_quirks_and_ablations_stands_in_the_tables(published: str, what: str) -> None:
    claims = table("claims", published)
    there = claims[claims["verdict"] != "runs missing"].sort_values("gain")
    counts, least, most = there["verdict"].value_counts(), there.iloc[0], there.iloc[-1]
    assert set(counts.index) <= {"equivalent", "undecided"}
    assert f"Of the {len(claims)} {what} " in SPACED
    said = f"{counts.get('equivalent', 0)} are equivalent and {counts.get('undecided', 0)} undecided"
    assert f"{said}, from {signed(least['gain'])} ({least['method']}) to {signed(most['gain'])} ({most['method']})" in SPACED


def test_what_it_says_of_fewer_unlabelled_volumes_stands_in_the_tables() -> None:
    found = table("comparisons", "ablations").set_index("method")
    gains, verdicts = found["gain"], set()
    for name, rows in (("G<sup>D</sup>", "gd_pool10 gd_pool30 gd"), ("L<sup>R</sup>", "lr_pool10 lr_pool30 gd+lr")):
        ten, thirty, whole = (signed(gains[row]) for row in rows.split())
        assert f"{name} {ten}, {thirty} and {whole}" in SPACED
        verdicts |= set(found.loc[rows.split(), "verdict"])
    assert verdicts == {"undecided"}
    assert "all undecided. Not computed either are" in SPACED


def test_what_it_says_of_all_switches_of_gd_stands_in_the_tables() -> None:
    found = table("claims", "quirks").set_index("method").loc["gd_release"]
    assert f"All five of G<sup>D</sup> at once: {signed(found['gain'])} ({found['verdict']})." in SPACED


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files(page: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", (HERE / page).read_text(encoding="utf-8"))
    assert links or page != "README.md"
    for link in links:
        assert ((HERE / page).parent / link).exists(), f"{page}: {link}"
