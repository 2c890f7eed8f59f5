"""The first sentences of a benchmark of each kind: the right verdict, and the numbers of the tables."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from fabricated_runs import KINDS, Size, fabricate, without_pictures

from glocalseg.plan.jobs import Plan
from glocalseg.report.build import build
from glocalseg.report.text.names import display, plain

pytestmark = pytest.mark.slow  # twelve benchmarks, a report each

NUMBER = r"[+−-]?\d+\.\d+"
CALLED = re.compile(r"\b(better|worse|equivalent|undecided|higher than|lower than)\b")
VERDICTS = {  # of the primary comparison, by kind and data set
    "undecided": {"toy_a": "undecided"},
    "equivalent": {"toy_a": "equivalent"},
    "found": {"toy_a": "better"},
    "failures": {"toy_a": "undecided"},
    "missing": {"toy_a": "runs missing"},
    "three_datasets": {"toy_a": "better", "toy_b": "better", "toy_c": "undecided"},
    "thirty_methods": {"toy_a": "better"},
    "diagnostics": {"toy_a": "better"},
    "switches": {"toy_a": "better"},
    "controls": {"toy_a": "better"},
}
SILENT = ("too_small", "latin_square")
WORDS = {"better": "better|higher", "equivalent": "equivalent|equal", "undecided": "undecided", "runs missing": "missing"}


class Page(HTMLParser):
    """The words of a page: the sentences of each data set's answer, and all of them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.answers: list[list[str]] = []
        self.said = ""
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        classes = (dict(attrs).get("class") or "").split()
        if tag == "section" and "first" in classes:
            self.answers.append([])
        if "headline" in classes:
            self._open = tag
            self.answers[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._open:
            self._open = ""

    def handle_data(self, data: str) -> None:
        self.said += data
        if self._open:
            self.answers[-1][-1] += data


class Made:
    """A benchmark of a kind, reported without its figures."""

    def __init__(self, root: Path, size: Size) -> None:
        self.plan: Plan = fabricate(root, size)
        self.folder = root / "results/toy"
        build(self.plan, root)
        self.page = Page((self.folder / "report/index.html").read_text(encoding="utf-8"))

    def table(self, name: str) -> pd.DataFrame:
        text = {"budget": str, "verdict": str}
        return pd.read_csv(self.folder / f"tables/{name}.csv", dtype=text, keep_default_na=False, na_values=["", "nan"])

    def answer(self, dataset: str) -> list[str]:
        return self.page.answers[self.plan.benchmark.datasets.index(dataset)]


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Made]:
    with pytest.MonkeyPatch.context() as patch:  # undone before the tests: one of them draws
        without_pictures(patch)
        kind = Made(tmp_path_factory.mktemp("kind"), KINDS[request.param])
    return request.param, kind


def holds(sentence: str, values: list[float]) -> None:
    """Every value is in the sentence, at the digits that it is said with."""
    said = [(float(n.replace("−", "-")), len(n.split(".")[1])) for n in re.findall(NUMBER, sentence)]
    for value in values:
        assert any(digits >= 2 and abs(number - value) <= 0.5001 * 10**-digits for number, digits in said), (value, sentence)


def test_every_data_set_has_one_or_two_sentences(made: tuple[str, Made]) -> None:
    _, kind = made
    assert len(kind.page.answers) == len(kind.plan.benchmark.datasets)
    for sentences in kind.page.answers:
        assert 1 <= len(sentences) <= 2
        assert all(s.strip().endswith((".", "!")) for s in sentences)
        assert "nan" not in " ".join(sentences)


def test_the_first_sentence_says_the_verdict_of_the_primary_comparison_and_its_numbers(made: tuple[str, Made]) -> None:
    name, kind = made
    primary = kind.table("primary").set_index("dataset")
    expected = VERDICTS.get(name, {})
    assert set(expected) == (set() if name in SILENT else set(kind.plan.benchmark.datasets))
    for dataset, verdict in expected.items():
        row, sentence = primary.loc[dataset], kind.answer(dataset)[0]
        assert row["verdict"] == verdict
        assert re.search(WORDS[verdict], sentence), sentence
        others = {w for v, w in WORDS.items() if v != verdict}
        assert not any(re.search(rf"\b({w})\b", sentence) for w in others), sentence
        assert plain(display(row["method"])).replace("^", "") in sentence  # raised letters are marked up
        if verdict != "runs missing":
            holds(sentence, [row["gain"], row["gain_low"], row["gain_high"]])
        if verdict == "undecided":
            holds(sentence, [findable(kind, dataset, row)])


def findable(kind: Made, dataset: str, row: pd.Series) -> float:
    """The gain that the primary comparison could have found."""
    power = kind.table("power")
    own = power[(power["dataset"] == dataset) & (power["budget"] == row["budget"]) & (power["comparisons"] == 1)]
    (found,) = own.loc[own["method"] == row["method"], "smallest_gain"]
    return float(found)


def test_what_cannot_compare_says_so_and_calls_nothing(made: tuple[str, Made]) -> None:
    name, kind = made
    why = {"too_small": r"too small to compare", "latin_square": r"not made to compare"}
    if name not in SILENT:
        assert not any(re.search(w, kind.page.said) for w in why.values())
        return
    first, *rest = kind.answer("toy_a")
    assert re.search(why[name], first)
    assert not CALLED.search(" ".join([first, *rest]))
    gains = kind.table("comparisons")["gain"]
    for sentence in rest:
        holds(sentence, [gains.min(), gains.max()])
    for table in ("primary", "comparisons", "controls"):
        assert kind.table(table)["verdict"].isna().all()
        assert kind.table(table)["p"].isna().all()


def test_the_second_sentence_counts_the_verdicts_of_the_table(made: tuple[str, Made]) -> None:
    name, kind = made
    compared = kind.table("comparisons")
    for dataset in VERDICTS.get(name, {}):
        own, sentence = compared[compared["dataset"] == dataset], kind.answer(dataset)[1]
        there = set(own["verdict"])
        for verdict in ("better", "worse", "equivalent", "undecided"):
            assert (verdict in sentence) == (verdict in there), (verdict, sentence)
        assert str(len(own)) in re.findall(r"\d+", sentence), "what it was corrected for"
        for verdict in there & {"better", "worse", "equivalent"}:
            some = own[own["verdict"] == verdict]
            # one verdict throughout is said once, with the gains of all numbers of labelled volumes
            for _, gains in [("", some["gain"])] if len(there) == 1 else some.groupby("budget")["gain"]:
                holds(sentence, [gains.min(), gains.max()])


def test_failed_runs_are_counted_on_the_page(made: tuple[str, Made]) -> None:
    name, kind = made
    failed = kind.table("failed")
    if name == "failures":
        assert len(failed) >= len(KINDS[name].failing)
        assert re.search(rf"\b{len(failed)} of \d+ runs failed", kind.page.said)
        assert re.search(r"still rises.*Random init at 1 ", kind.page.said)
    elif name == "found":
        assert len(failed) == 0
        assert re.search(r"None of \d+ runs failed", kind.page.said)


def test_missing_runs_are_named_with_their_reason(made: tuple[str, Made]) -> None:
    name, kind = made
    if name != "missing":
        assert not re.search(r"\bruns? (is|are) missing", kind.page.said.split("What else came out")[0])
        return
    for label, reason in KINDS[name].missing.items():
        assert f"toy_a {label}" in kind.page.said
        assert reason in kind.page.said
    missing = kind.table("missing")
    assert set(missing["failure"].dropna()) == set(KINDS[name].missing.values()) - {""}
    assert f"{len(missing)} runs are missing" in kind.page.said
    gains = kind.table("comparisons")
    assert (gains["verdict"] == "runs missing").sum() == 2, "gd+lr with one volume, gd with two"


def test_controls_stand_beside_what_they_are_held_against(made: tuple[str, Made]) -> None:
    name, kind = made
    if name == "controls":
        controls = kind.table("controls")
        assert {"atlas", "random_again", "random_long"} <= set(controls["method"])
        assert not set(kind.table("comparisons")["method"]) & {"atlas", "random_again", "random_long"}
        again = controls[controls["method"] == "random_again"]
        assert not set(again["verdict"]) & {"better", "worse"}
        assert "not told apart" in kind.page.said


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_every_kind_has_its_figures(name: str, tmp_path: Path) -> None:
    build(plan := fabricate(tmp_path, KINDS[name]), tmp_path)
    for dataset in plan.benchmark.datasets:
        for figure in ("gain", "dice"):
            for end in (".svg", "-dark.svg", "-narrow.svg", "-narrow-dark.svg", ".pdf", ".png"):
                assert (tmp_path / f"results/toy/figures/{dataset}-{figure}{end}").stat().st_size > 1000
