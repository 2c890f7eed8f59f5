"""Parts of the report by themselves: names, numbers, frames put back, findings that say no more than the statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fabricated_runs import Size, fabricate

from glocalseg.data.slices.geometry import fit
from glocalseg.evaluation.statistics import Comparison, Interval, Summary
from glocalseg.records.duration import duration
from glocalseg.report.analysis import Cell, Compared, DatasetAnalysis, analyse, draw_means
from glocalseg.report.collect import Collected, collect
from glocalseg.report.figures.overlays import choose, overlay_plot, unframe
from glocalseg.report.figures.runs import principal_components
from glocalseg.report.names import budget_order, colours, display, html, latex, markdown, markers, mathtext, plain
from glocalseg.report.tables.table import Block, Entry, Table, number, probability, signed
from glocalseg.report.text.findings import findings


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
    assert (signed(0.0123), signed(-0.5, 1)) == ("+0.012", "−0.5")
    assert (probability(0.0004), probability(0.0314)) == ("< 0.001", "0.031")
    times = [duration(s) for s in (3.04, 9.96, 59.4, 59.6, 125, 7500, float("nan"))]
    assert times == ["3.0 s", "10 s", "59 s", "1 min 00 s", "2 min 05 s", "2 h 05 min", "–"]


@pytest.mark.parametrize("native", [(22, 20), (30, 12), (16, 16), (9, 41), (17, 15)])
def test_unframe_puts_a_frame_back_where_it_was_cut_out(native: tuple[int, int]):
    image = np.random.default_rng(0).random((1, *native), np.float32)
    whole = unframe(fit(image, (16, 16))[0], native)
    there = np.isfinite(whole)
    assert whole.shape == native
    assert there.sum() == min(native[0], 16) * min(native[1], 16)
    np.testing.assert_array_equal(whole[there], image[0][there])


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
    row = (Entry("G^{D}"), Entry("0.5", strong=True, note="[0, 1]"), Entry("wide", span=1))
    block = Block("Set_1", ("Method", "a|b", "c"), (row, (Entry("x"), Entry("both", span=2))))
    table = Table("t", "Title", "Caption 5%.", pd.DataFrame({"v": [0.1]}), {"set_1": block})
    assert "| G<sup>D</sup> | **0.5** \\[0, 1\\] | wide |" in table.markdown()
    assert "| x | both |  |" in table.markdown()
    assert r"| Method | a\|b | c |" in table.markdown()
    assert r"G\textsuperscript{D} & \textbf{0.5} {\scriptsize [0, 1]} & wide \\" in table.latex()
    assert r"x & \multicolumn{2}{c}{both} \\" in table.latex()
    assert table.csv() == "v\n0.1\n"


def test_no_overlay_where_there_is_no_slice_store_and_the_middle_draw_where_there_is_one(tmp_path: Path):
    plan = fabricate(tmp_path, Size(methods=("random", "gd"), budgets=(1,), draws=3, seeds=(0, 1), subjects=2))
    collected = collect(plan, tmp_path)
    toy = analyse(plan, collected)["toy_a"]
    choice = choose(toy, plan, collected)
    assert choice is not None
    means = draw_means(toy).query("method == 'gd' and budget == '1'").sort_values("dice")["draw"].tolist()
    assert (choice.method, choice.budget, choice.draw, choice.seed) == ("gd", "1", means[1], 0)
    ranks, _, dice = zip(*choice.cases, strict=True)
    assert ranks == ("best", "median", "worst")
    assert dice[0] > dice[1] > dice[2]
    scored = next(j for j in plan.of("score") if j.start == choice.folder / "run.json")
    (tmp_path / scored.record).unlink()
    left = choose(toy, plan, collect(plan, tmp_path))
    assert left is not None
    assert (left.draw, left.seed) == (choice.draw, 1), "a run without scores has no best case"
    (tmp_path / plan.of("data")[0].record).unlink()
    assert overlay_plot(toy, plan, collected, tmp_path) is None


# ---------------------------------------------------------------- findings


def analysis(gain: float, verdict: str) -> DatasetAnalysis:
    cells = {}
    for method, level in (("random", 0.6), ("gd", 0.6 + gain)):
        interval = Interval(level, level - 0.05, level + 0.05)
        scores = np.full((4, 5, 4), level)
        scores[:, 0] -= 0.2
        summary = Summary(interval, interval, 4, 5, 4, 20)
        cells[method, "1"] = Cell("d", method, "1", summary, {}, scores, (1, 2, 3, 4, 5), (0, 1, 2, 3), 20)
    comparison = Comparison(Interval(gain, gain - 0.01, gain + 0.01), 0.01, 0.7, 5, 5)
    compared = Compared("d", "gd", "1", comparison, 0.01, verdict)  # type: ignore[arg-type]
    return DatasetAnalysis("d", ("random", "gd"), ("1",), ("a",), cells, (compared,))


def nothing_else() -> Collected:
    run = pd.DataFrame(columns=["dataset", "method", "budget", "draw", "seed", "phase"])
    diagnostics = pd.DataFrame(columns=["dataset", "name", "phase", "decoder", "position_r2", "same_place"])
    return Collected(run, run, run, run, run, run, run, diagnostics, (), {}, {}, (), {}, 0, 0)


def test_findings_claim_nothing_that_was_not_distinguishable():
    said = " ".join(findings(analysis(0.03, "not distinguishable"), nothing_else()))
    assert "No method was distinguishable from random initialisation in any of 1 corrected comparisons." in said
    assert "not distinguishable" in said.split("Highest mean Dice")[1]
    assert "better" not in said


def test_findings_name_what_was_better_and_what_was_worse():
    assert (
        "1 of 1 comparisons with random initialisation came out better"
        in findings(analysis(0.03, "better"), nothing_else())[0]
    )
    worse = findings(analysis(-0.03, "worse"), nothing_else())
    assert "came out worse after correction: with 1 labelled volume G^{D} (−0.030)" in worse[0]
    assert "Highest mean Dice with 1 labelled volume: Random init 0.600" in worse[1]


def test_findings_weigh_the_choice_of_the_volume_against_the_gain():
    said = " ".join(findings(analysis(0.03, "better"), nothing_else()))
    assert "from 0.40 to 0.60 over 5 draws: more than the largest mean difference" in said


def test_findings_say_when_one_seed_hardly_trains():
    made = analysis(0.03, "better")
    assert "seed" not in " ".join(findings(made, nothing_else())).split("Highest")[0]
    made.cells["random", "1"].scores[:, :, 2] -= 0.3
    said = " ".join(findings(made, nothing_else()))
    assert (
        "The random seed decides much: random initialisation with 1 labelled volume reaches 0.26 with seed 2 and 0.56 with seed 0"
        in said
    )
