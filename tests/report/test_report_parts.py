"""Parts of the report by themselves: names, numbers and tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from glocalrun.plans import plan_of
from glocalseg.records.duration import duration
from glocalseg.report.figures.networks import principal_components
from glocalseg.report.tables.recorded.runs import listed_by_cards
from glocalseg.report.tables.table import Block, Entry, Table, number, probability, signed
from glocalseg.report.text.colours import colours, markers
from glocalseg.report.text.names import budget_order, display, html, latex, markdown, mathtext, plain

REPOSITORY = Path(__file__).parents[2]


def test_display_names_in_every_format():
    name = display("gd_minus")
    assert plain(name) == "G^D−"
    assert html(name) == "G<sup>D−</sup>"
    assert latex(name) == r"G\textsuperscript{D$-$}"
    assert mathtext(display("gd+lr")) == r"G$^{\mathrm{D}}$ + L$^{\mathrm{R}}$"
    assert display("random") == "Random init"
    assert display("gd+lr-t05") == "gd+lr-t05", "a name that a person gave stays whole"


def test_special_characters_are_escaped():
    text = "50% & a_b <i> #1 {x} ~ \\ ^ | *"
    assert latex(text) == r"50\% \& a\_b $<$i$>$ \#1 \{x\} \textasciitilde{} \textbackslash{} \textasciicircum{} | *"
    assert html(text) == "50% &amp; a_b &lt;i&gt; #1 {x} ~ \\ ^ | *"
    assert r"a\_b \<i\>" in markdown(text)
    assert r"\| \*" in markdown(text)


def test_colours_do_not_depend_on_the_other_methods_and_are_all_different():
    assert colours(["gd", "random"])["gd"] == colours(["gr", "pcl", "gd"])["gd"]
    many = ["random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld", "new_one", "new_two"]
    assert len(set(colours(many).values())) == len(many) + 1
    assert len(set(markers(many).values())) == len(many) + 1


def test_budgets_sort_by_number_with_all_last():
    assert sorted(["all", "8", "16", "1"], key=budget_order) == ["1", "8", "16", "all"]


def test_numbers_as_a_reader_expects_them():
    assert (number(-0.1234), number(float("nan")), number(None)) == ("−0.123", "–", "–")
    assert number(-0.0001) == "0.000", "no minus in front of nothing"
    assert (signed(0.0123), signed(-0.5, 1), signed(-0.0002)) == ("+0.012", "−0.5", "+0.000")
    assert (probability(0.0004), probability(0.0314)) == ("< 0.001", "0.031")
    times = [duration(s) for s in (3.04, 9.96, 59.4, 59.6, 125, 7500, float("nan"))]
    assert times == ["3.0 s", "10 s", "59 s", "1 min 00 s", "2 min 05 s", "2 h 05 min", "–"]


def test_principal_components_find_the_line_that_features_lie_on():
    rng = np.random.default_rng(1)
    angle = np.linspace(0, 1, 50)[:, None]
    features = (np.cos(angle) * [1, 0, 0] + np.sin(angle) * [0, 1, 0]) * rng.uniform(1, 5, (50, 1))
    points, share = principal_components(features.astype(np.float32))
    assert points.shape == (50, 2)
    assert share[0] > 0.9
    assert sum(share) == pytest.approx(1)
    order = np.argsort(points[:, 0])
    assert order.tolist() in (list(range(50)), list(range(49, -1, -1)))
    single, none = principal_components(np.ones((3, 1), np.float32))
    assert single.shape == (3, 2)
    assert none == (0, 0)


def test_a_table_in_markdown_and_latex():
    row = (Entry("G^{D}"), Entry("0.5", strong=True, interval=("0", "1")), Entry("wide", span=1))
    block = Block("Set_1", ("Method", "a|b", "c"), (row, (Entry("x"), Entry("both", span=2))))
    table = Table("t", "Title", "Caption 5%.", pd.DataFrame({"v": [0.1]}), {"set_1": block})
    assert "| G<sup>D</sup> | **0.5** \\[0,\u00a01\\] | wide |" in table.markdown()
    assert "| x | both |  |" in table.markdown()
    assert r"| Method | a\|b | c |" in table.markdown()
    assert r"G\textsuperscript{D} & \bfseries 0.5 & 0 & 1 & wide \\" in table.latex()
    assert r"x & \multicolumn{4}{c}{both} \\" in table.latex()
    assert table.csv() == "v\n0.1\n"


def test_repeats_that_a_card_lists_are_known_by_budget() -> None:
    listed = listed_by_cards(plan_of(REPOSITORY / "config" / "paper.yaml"))
    of = {n: sorted(r for d, budget, r in listed if (d, budget) == ("acdc", n)) for n in ("1", "8", "all")}
    assert of["1"] == ["r1", "r2", "r3", "r4", "r5"]
    assert of["8"] == ["r1", "r2", "r3"]
    assert len(of["all"]) == 10
    assert not listed_by_cards(plan_of(REPOSITORY / "config" / "hippocampus.yaml"))
