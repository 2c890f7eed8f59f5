"""Figures of runs: no mean mixes failed runs with others, and captions, arrows and sizes say and hold what they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fabricated_runs import Size, fabricate

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.analysis.failed import failures
from glocalseg.report.analysis.twoway import twoway
from glocalseg.report.analysis.worth import hours
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.figures.costs import draw_compute
from glocalseg.report.figures.curves import learning_curves, run_plots
from glocalseg.report.figures.figure import ON_DARK, PAPER, Plot, canvas
from glocalseg.report.figures.networks import network_plots
from glocalseg.report.figures.panels import bar, grid
from glocalseg.report.figures.shares import SOURCES, share_plots
from glocalseg.report.text.colours import contrast, dark_partners

Made = tuple[DatasetAnalysis, Any, Collected]


def made(root: Path, size: Size) -> Made:
    plan = fabricate(root, size)
    collected = collect(plan, root)
    return analyse(plan, collected)["toy_a"], plan, collected


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Made:
    size = Size(
        methods=("random", "gd"), budgets=(1, 2), repeats=4, failing=("gd n1 r3", "gd n2 r1"), rising=("random n2",),
        more={"upper_bound": True},
    )  # fmt: skip
    return made(tmp_path_factory.mktemp("some"), size)


@pytest.fixture(scope="module")
def plots(some: Made) -> dict[str, Plot]:
    return {p.name.removeprefix("toy_a-"): p for p in run_plots(*some)}


def test_every_figure_is_there_at_both_widths_for_light_and_dark_pages(plots: dict[str, Plot]):
    assert list(plots) == [
        "learning", "variance", "failures", "efficiency", "compute", "throughput", "pretraining", "embeddings", "diagnostics",
    ]  # fmt: skip
    for plot in plots.values():
        assert {plot.shown(narrow=n, dark=d) for n in (True, False) for d in (True, False)} <= set(plot.files)
        assert max(len(content) for content in plot.files.values()) < 250_000, plot.name


def test_a_mean_curve_holds_the_runs_that_trained_and_no_other(some: Made):
    a, _, collected = some
    curves = learning_curves(a, collected.validation, failures(a))
    assert set(curves) == set(a.cells)
    own = curves["gd", "1"]
    assert list(own.failed) == ["r3"]
    assert "r3" not in own.trained
    rows = collected.validation.query("method == 'gd' and budget == '1' and structure == 'mean' and step == 60")
    trained = rows[rows["repeat"].isin(list(own.trained))]["dice"]
    assert len(trained) + own.failed.shape[1] == 4
    assert own.mean[60] == pytest.approx(trained.mean())
    assert own.mean[60] != pytest.approx(rows["dice"].mean())


def test_the_caption_names_failed_runs_and_unfinished_cells(plots: dict[str, Plot]):
    caption = plots["learning"].caption
    assert "of 20 runs failed (" in caption
    assert "G^{D} with 1 r3" in caption
    assert "G^{D} with 2 r1" in caption
    assert "In 1 of 5 methods and numbers of labelled volumes validation Dice rose" in caption
    assert "their training was not finished (Random init with 2)." in caption


def test_without_failures_there_is_no_figure_of_them_and_nothing_is_said_of_two_curves(tmp_path: Path):
    a, plan, collected = made(tmp_path, Size(methods=("random",), budgets=(2,), repeats=2, subjects=2))
    found = {p.name: p for p in run_plots(a, plan, collected)}
    assert "toy_a-failures" not in found
    assert "toy_a-efficiency" not in found
    assert "is not said of fewer than 3 runs" in found["toy_a-learning"].caption
    assert "0 of " in found["toy_a-learning"].caption
    assert "failed run" not in found["toy_a-variance"].caption


def test_failed_shares_are_counted_and_the_worst_is_in_the_alternative_text(plots: dict[str, Plot], some: Made):
    bad = {key: len(f.runs) for key, f in failures(some[0]).items()}
    assert bad["gd", "1"] >= 1
    assert f"{sum(bad.values())} of 20 runs failed" in plots["failures"].caption
    assert f"{max(bad.values())} of 4." in plots["failures"].alt


def test_components_of_two_subjects_and_two_repeats_by_hand():
    # means of subjects 0.15 and 0.45, of repeats 0.2 and 0.4, all residuals 0.05: mean square of the rest 0.01
    found = twoway(np.array([[0.1, 0.2], [0.3, 0.6]]))
    assert found is not None
    assert [c.source for c in found] == ["subject", "repeat", "rest"]
    assert [c.variance.estimate for c in found] == pytest.approx([0.045 - 0.005, 0.02 - 0.005, 0.01])
    assert [c.share for c in found] == pytest.approx([40 / 65, 15 / 65, 10 / 65])
    assert [c.freedom for c in found] == [1, 1, 1]


def test_components_are_unbiased_so_that_small_ones_fall_below_zero_and_leave_out_what_is_missing():
    none = twoway(np.array([[0.1, 0.2], [0.2, 0.1]]))
    assert none is not None
    assert [c.variance.estimate for c in none] == pytest.approx([-0.005, -0.005, 0.01])
    whole = np.array([[0.1, 0.2], [0.3, 0.6]])
    holes = np.full((3, 3), np.nan)
    holes[:2, :2] = whole
    holes[2, 0] = 0.9  # a subject that lacks a repeat
    assert twoway(holes) == twoway(whole)
    assert twoway(whole[:, :1]) is None
    assert twoway(whole[:1]) is None
    rng = np.random.default_rng(3)
    draws = [twoway(rng.normal(0, 2, (6, 1)) + rng.normal(0, 1, (1, 5)) + rng.normal(0, 1, (6, 5))) for _ in range(400)]
    means = np.mean([[c.variance.estimate for c in d] for d in draws if d], axis=0)
    assert means == pytest.approx([4, 1, 1], rel=0.15)


def test_a_latin_square_is_split_into_its_three_factors(tmp_path: Path):
    square = tuple({"draw": i + 1, "pretraining": j, "finetuning": (i + j) % 3} for i in range(3) for j in range(3))
    a, plan, _ = made(tmp_path, Size(methods=("random",), budgets=(1,), repeats=square, subjects=2))
    variance = next(p for p in share_plots(a, plan) if p.name == "toy_a-variance")
    assert "Latin square" in variance.caption
    assert "test subject" not in variance.alt
    assert " of 1." in variance.alt


def test_numbers_in_bars_stand_out_on_light_and_dark_pages():
    dark = dark_partners() | ON_DARK
    for colour, _ in SOURCES.values():
        assert contrast(colour, PAPER) >= 4.5
        assert contrast(dark[colour], dark[PAPER]) >= 4


def test_an_interval_that_leaves_the_frame_ends_in_an_arrow_there():
    axes = canvas(3, 3).subplots()
    axes.set(xlim=(1, 8), ylim=(0, 1))
    for interval in (Interval(2, 1.5, 3), Interval(2, 0, np.inf), Interval(2, np.nan, np.nan)):
        bar(axes, 0.5, interval, "#1f4fa8", upright=False)
    lines = [(np.asarray(line.get_xdata()).tolist(), line.get_marker()) for line in axes.lines]
    assert lines == [([1.5, 3.0], "None"), ([1.0, 8.0], "None"), ([1.0], "<"), ([8.0], ">")]


def test_compute_has_a_row_a_method_and_a_control_far_off_is_an_arrow_with_its_number(some: Made):
    from glocalseg.report.figures.figure import NARROW, WIDE

    a, plan, collected = some
    far = {k: replace(c, mean=replace(c.mean, interval=Interval(0.12, 0.1, 0.14))) if k[0] == "gd" else c
           for k, c in a.cells.items()}  # fmt: skip
    off = replace(a, cells=far, references={"gd": "random"})
    for shape in (WIDE, NARROW):
        figure = draw_compute(shape, off, hours(a, plan, collected), 60.0, "minutes")
        assert len(figure.axes) == 1 + len(a.budgets)
        bars, *dice = figure.axes
        assert [t.get_text() for t in bars.get_yticklabels()] == ["Random init", "G$^{\\mathrm{D}}$"]
        for axes in dice:
            assert axes.get_xlim()[0] > 0.3
            assert "0.12" in [t.get_text() for t in axes.texts]


@pytest.mark.parametrize(("count", "rows"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_panels_fill_rows_evenly_and_no_empty_one_is_left(count: int, rows: int):
    from glocalseg.report.figures.figure import NARROW, WIDE

    figure, panels = grid(WIDE, count, wide=4, narrow=2, height=1.5)
    assert len(panels) == len(figure.axes) == count
    assert len({axes.get_position().y0 for axes in panels}) == rows
    narrow, _ = grid(NARROW, count, wide=4, narrow=2, height=1.5)
    assert max(axes.get_subplotspec().colspan.start for axes in narrow.axes) <= 1  # type: ignore[union-attr]


def test_embeddings_stay_light_with_many_slices_and_strategies(some: Made):
    a, _, collected = some
    rng = np.random.default_rng(0)
    one = next(e for e in collected.embeddings if e.phase)
    n = 2000
    large = replace(
        one, features=rng.normal(size=(n, 8)).astype(np.float32), partition=np.arange(n) % 4, position=np.linspace(0, 1, n),
        subject=np.repeat("s", n),
    )  # fmt: skip
    many = tuple(replace(large, name=f"own_{i}") for i in range(16))
    shown = network_plots(a, replace(collected, embeddings=many, diagnostics=collected.diagnostics.iloc[:0]))
    assert [p.name for p in shown] == ["toy_a-embeddings"]
    assert max(len(shown[0].files[end]) for end in (".svg", "-narrow.svg")) < 250_000
    assert "thinned out evenly" in shown[0].caption
