"""Figures of scores: what their marks stand for, what is left out of them, and what they say where runs are few or missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fabricated_runs import Size, fabricate
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETRIGHT
from matplotlib.text import Annotation, Text

from glocalseg.evaluation.statistics.arrays import repeat_means
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.analysis.subjects import worst_subjects
from glocalseg.report.collected.collect import collect
from glocalseg.report.figures.figure import NARROW, PAPER, WIDE, Shape, style
from glocalseg.report.figures.panels import by_rows
from glocalseg.report.figures.scores import dice, forest, gain, profile, repeats, subjects
from glocalseg.report.figures.scores.frame import brief, dots, frame, parts
from glocalseg.report.text.colours import colours, markers, repeat_styles
from glocalseg.report.text.names import BASELINE, UPPER_BOUND

AGAIN = {"name": "random_again", "other_seeds": True, "control": True}
SIX = ("random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld")
Draw = Callable[[DatasetAnalysis], Any]
FIGURES: dict[str, tuple[ModuleType, Draw]] = {
    "gain": (gain, gain.gain_plot), "forest": (forest, forest.forest_plot), "dice": (dice, dice.dice_plot),
    "structures": (dice, dice.structures_plot), "subjects": (subjects, subjects.subjects_plot),
    "profile": (profile, profile.profile_plot), "repeats": (repeats, repeats.repeats_plot),
}  # fmt: skip


def analysed(root: Path, size: Size) -> DatasetAnalysis:
    plan = fabricate(root, size)
    return analyse(plan, collect(plan, root))["toy_a"]


@pytest.fixture(scope="module")
def a(tmp_path_factory: pytest.TempPathFactory) -> DatasetAnalysis:
    return analysed(tmp_path_factory.mktemp("six"), Size(methods=SIX, lines=(AGAIN,), repeats=6, subjects=4))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> DatasetAnalysis:
    return analysed(tmp_path_factory.mktemp("few"), Size(budgets=(1,), repeats=2, subjects=2))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Figure, dict[str, str]]]:
    """A figure as its draw function makes it, not saved, with its texts."""

    def of(name: str, of_: DatasetAnalysis, shape: Shape = WIDE) -> tuple[Figure, dict[str, str]]:
        module, draw = FIGURES[name]
        made: list[tuple[Figure, dict[str, str]]] = []

        def plot(draw: Callable[[Shape], Figure], name: str, **texts: str) -> None:
            with style(shape):
                made.append((draw(shape), texts))

        monkeypatch.setattr(module, "plot", plot)
        draw(of_)
        return made[0]

    return of


def marked(axes: Axes, mark: object) -> list[tuple[float, float]]:
    """Where marks of a kind are."""
    return [
        (float(x), float(y))
        for line in axes.lines if line.get_marker() == mark
        for x, y in zip(np.atleast_1d(line.get_xdata()), np.atleast_1d(line.get_ydata()), strict=True)
    ]  # fmt: skip


def said(figure: Figure) -> list[str]:
    return [t.get_text() for t in figure.findobj(Text) if t.get_text()]


def test_a_frame_shows_all_points_and_as_much_of_the_intervals_as_leaves_them_apart():
    low, high = frame([0.5, 0.6], [Interval(0.55, 0.54, 0.62)], bounds=(0.0, 1.0))
    assert low < 0.5 < 0.62 < high < 0.7
    low, high = frame([0.5, 0.6], [Interval(0.55, 0.0, 1.0)], bounds=(0.0, 1.0))
    assert 0.4 < low < 0.5 < 0.6 < high < 0.7, "an interval ten times as long makes the picture twice as large"
    assert frame([0.99], least=0.1, bounds=(0.0, 1.0))[1] < 1.02, "no axis goes far beyond the largest Dice"
    steady = list(np.linspace(0.01, 0.03, 60))
    assert frame([*steady, -0.15])[0] < -0.15, "a failed run is seen"
    assert frame([*steady, -0.9])[0] > -0.2, "one that leaves nothing of the others is not"
    assert frame([np.nan], bounds=(0.0, 1.0)) == (0.0, 1.0)


def test_a_point_outside_becomes_an_arrow_at_the_edge():
    axes = Figure().subplots()
    axes.set_xlim(0.0, 1.0)
    dots(axes, [0.5, -3.0, 2.0], [1, 2, 3], "#000000", "s", size=4)
    assert marked(axes, "s") == [(0.5, 1.0)]
    assert marked(axes, CARETLEFT) == [(0.0, 2.0)]
    assert marked(axes, CARETRIGHT) == [(1.0, 3.0)]


def test_a_dot_of_the_gain_figure_is_the_gain_of_a_repeat(a: DatasetAnalysis, drawn: Any):
    figure, _ = drawn("gain", a)
    assert len(figure.axes) == len(a.budgets)
    style_of = repeat_styles(a.repeats)
    for axes, budget in zip(figure.axes, a.budgets, strict=True):
        for repeat, (colour, mark) in style_of.items():
            place = a.repeats.index(repeat)
            expected = [float(repeat_means(a.scores(m, budget) - a.scores(BASELINE, budget))[place]) for m in a.candidates]
            found = [
                float(x)
                for line in axes.lines
                if line.get_marker() == mark and line.get_color() == colour
                for x in line.get_xdata()
            ]
            assert found == pytest.approx(expected)


def test_six_methods_fit_into_the_first_screen_and_controls_are_left_out(a: DatasetAnalysis, drawn: Any):
    figure, _ = drawn("gain", a)
    assert figure.get_size_inches()[1] <= 3.1
    assert [t.get_text() for t in figure.axes[0].get_yticklabels() if "again" in t.get_text()] == []
    assert len(figure.axes[0].get_yticks()) == 6
    assert len({axes.get_xlim() for axes in figure.axes}) == 1, "one scale"
    narrow, _ = drawn("gain", a, NARROW)
    lefts = {round(axes.get_position().x0, 3) for axes in narrow.axes}
    assert len(lefts) == 1, "panels below each other"


def test_means_are_filled_where_a_difference_was_found_and_only_there(a: DatasetAnalysis, drawn: Any):
    figure, texts = drawn("gain", a)
    for axes, budget in zip(figure.axes, a.budgets, strict=True):
        means = [line for line in axes.lines if line.get_marker() == "D" and len(line.get_xdata()) == 1 and line.zorder == 4]
        filled = [to_hex(line.get_markerfacecolor()) != PAPER for line in means]
        assert filled == [c.held for m in a.candidates if (c := a.against_random(m, budget))]
    held = [c.held for c in a.family("random")]
    assert any(held)
    assert not all(held)
    assert f"found in {sum(held)} of {len(held)} comparisons" in texts["alt"]
    first = a.family("random")[0].comparison.gain.mean.interval
    assert f"{first.estimate:+.3f}".replace("-", "−") in texts["alt"], "the main numbers are told"


def test_a_benchmark_that_is_too_small_has_no_marks_of_verdicts(few: DatasetAnalysis, drawn: Any):
    assert few.silent
    figure, texts = drawn("gain", few)
    words = " ".join([*said(figure), *texts.values()])
    assert "found" not in words
    assert not [line for axes in figure.axes for line in axes.lines if line.zorder == 4 and line.get_marker() == "D"]
    figure, texts = drawn("forest", few)
    words = " ".join([*said(figure), *texts.values()])
    for word in ("verdict", "better", "undecided", "found", "None", "p:"):
        assert word not in words.split(), word


@pytest.mark.filterwarnings("error:constrained_layout not applied")
def test_a_legend_of_many_repeats_takes_no_room_from_the_panels(tmp_path: Path, drawn: Any):
    """As many and as long names of repeats as config/variance.yaml has."""
    square = tuple({"draw": d, "pretraining": p, "finetuning": (d + p) % 5} for d in range(1, 6) for p in range(5))
    many = analysed(tmp_path, Size(methods=("random", "gd"), budgets=(1, 2), repeats=square, subjects=2))
    for name in ("gain", "repeats"):
        for shape in (WIDE, NARROW):
            figure, _ = drawn(name, many, shape)
            figure.draw_without_rendering()
            below = figure.legends[-1].get_window_extent()
            assert below.y0 >= 0
            for axes in figure.axes:
                assert axes.get_window_extent().height > 0.4 * figure.dpi
                assert axes.get_window_extent().y0 > below.y1


def test_few_methods_have_room_for_their_dots(few: DatasetAnalysis, a: DatasetAnalysis, drawn: Any):
    def row(of: DatasetAnalysis) -> float:
        figure, _ = drawn("gain", of)
        figure.draw_without_rendering()
        axes = figure.axes[0]
        return float(axes.get_window_extent().height / abs(np.diff(axes.get_ylim())[0]) / figure.dpi)

    assert row(few) > 1.3 * row(a)


def test_a_method_without_runs_and_one_that_lacks_some_say_so(a: DatasetAnalysis, drawn: Any):
    short = a.cells["gd", "2"]
    scores = short.scores.copy()
    scores[:, 4] = np.nan
    left = {k: c for k, c in a.cells.items() if k != ("gr", "1")} | {("gd", "2"): replace(short, scores=scores)}
    figure, _ = drawn("gain", replace(a, cells=left))
    assert said(figure).count("no run") == 1
    assert said(figure).count("5 of 6 repeats") == 1
    figure.draw_without_rendering()  # only then is everything where it stays
    note = next(t for t in figure.findobj(Annotation) if t.get_text() == "5 of 6 repeats")
    dots = [
        note.axes.transData.transform(at)
        for mark in set(repeat_styles(a.repeats).values())
        for at in marked(note.axes, mark[1])
    ]
    assert len(dots) >= 5 * len(SIX[1:-1])
    assert not any(note.get_window_extent().contains(*at) for at in dots)
    for name in FIGURES:
        drawn(name, replace(a, cells=left), NARROW)


def test_without_random_weights_there_is_no_gain_to_draw(a: DatasetAnalysis):
    bare = replace(a, methods=("gd", "pcl"), comparisons=())
    assert gain.gain_plot(bare) is None
    assert forest.forest_plot(bare) is None


def test_the_forest_holds_every_comparison_with_its_number(a: DatasetAnalysis, drawn: Any):
    for shape in (WIDE, NARROW):
        figure, _ = drawn("forest", a, shape)
        words = said(figure)
        for c in a.comparisons:
            estimate = c.comparison.gain.mean.interval.estimate
            number = f"{estimate:+.3f}".replace("-", "−")
            assert any(t.startswith(number) for t in words), f"{c.family} {c.method} {c.budget}"
        assert len(figure.axes[0].get_yticks()) == len(a.comparisons)
    assert {"Primary comparison", "Claims", "Controls"} <= set(words)


def test_all_volumes_are_the_last_point_and_no_band(a: DatasetAnalysis, drawn: Any):
    figure, _ = drawn("dice", a)
    (axes,) = figure.axes
    assert a.upper is not None
    labels = [t.get_text() for t in axes.get_xticklabels()]
    assert labels[-1].startswith("all")
    assert [label.split("\n")[0] for label in labels[:-1]] == [a.price(n).removesuffix(" for selection") for n in a.budgets]
    assert not axes.patches
    at = marked(axes, markers(a.methods)[UPPER_BOUND])
    assert at == [(len(a.budgets), pytest.approx(a.upper.mean.interval.estimate))]


def test_methods_stand_beside_each_other_with_one_mark_everywhere(a: DatasetAnalysis, drawn: Any):
    figure, _ = drawn("dice", a)
    places = [x for m in a.methods for x, _ in marked(figure.axes[0], markers(a.methods)[m])]
    assert len(set(np.round(places, 4))) == len(a.methods) * len(a.budgets)
    for name in ("dice", "structures", "profile", "forest"):
        for axes in drawn(name, a)[0].axes:
            for line in axes.lines:
                method = next((m for m in a.methods if markers(a.methods)[m] == line.get_marker()), None)
                if method and line.get_marker() not in "v^<>":  # which arrows have, too
                    assert to_hex(line.get_color()) == colours(a.methods)[method], name
    hollow = [li for li in figure.axes[0].lines if li.get_marker() == "o"]
    assert {to_hex(li.get_markerfacecolor()) for li in hollow} == {PAPER}, "random weights are hollow"


def test_a_control_that_lies_far_off_does_not_stretch_an_axis(a: DatasetAnalysis, drawn: Any):
    """As the atlas may: its mean becomes an arrow at the frame, its gain one with its number beside it."""
    far = Interval(0.12, 0.1, 0.14)
    cells = {
        key: replace(c, mean=replace(c.mean, interval=far)) if c.method == "random_again" else c
        for key, c in a.cells.items()
    }
    compared = tuple(
        replace(c, comparison=replace(c.comparison, gain=replace(
            c.comparison.gain, mean=replace(c.comparison.gain.mean, interval=Interval(-0.6, -0.62, -0.58)))))
        if c.method == "random_again" else c for c in a.comparisons
    )  # fmt: skip
    off = replace(a, cells=cells, comparisons=compared)
    usual, stretched = (drawn("dice", of)[0].axes[0] for of in (a, off))
    assert stretched.get_ylim() == pytest.approx(usual.get_ylim(), abs=0.02)
    assert len(marked(stretched, CARETDOWN)) == len(a.budgets)
    figure, _ = drawn("forest", off)
    assert figure.axes[0].get_xlim()[0] > -0.2
    assert len(marked(figure.axes[0], CARETLEFT)) == len(a.budgets)
    assert any(t.startswith("−0.600") for t in said(figure))


def test_an_interval_that_leaves_the_figure_of_dice_ends_in_an_arrow(few: DatasetAnalysis, drawn: Any):
    figure, _ = drawn("dice", few)
    (axes,) = figure.axes
    leaving = [c for c in few.cells.values() if c.mean.interval.low < axes.get_ylim()[0]]
    assert leaving
    assert len(marked(axes, "v")) == len(leaving)


def test_nothing_is_smaller_than_the_smallest_size_and_panels_are_as_wide_as_the_page(a: DatasetAnalysis, drawn: Any):
    for name in FIGURES:
        for shape in (WIDE, NARROW):
            figure, texts = drawn(name, a, shape)
            small = [t.get_text() for t in figure.findobj(Text) if t.get_text() and t.get_fontsize() < shape.small]
            assert not small, f"{name}: {small}"
            assert figure.get_size_inches()[0] == shape.width
            figure.draw_without_rendering()
            for legend in figure.legends:
                around = legend.get_window_extent()
                assert around.x0 >= 0, f"{name}: a legend is cut off"
                assert around.x1 <= figure.bbox.x1, f"{name}: a legend is cut off"
            assert len(texts["caption"]) > 60
            assert any(letter.isdigit() for letter in texts["alt"]), f"{name} tells no number"


def test_hardest_subjects_are_those_with_the_lowest_mean_over_methods(a: DatasetAnalysis):
    hard = a.people[2]
    cells = {}
    for (m, n), cell in a.cells.items():
        scores = np.full(cell.scores.shape, 0.8)
        scores[2] = 0.5 if m in (BASELINE, *a.candidates) else 0.9
        scores[1] = 0.1 if (m, n) == ("pcl", "2") else 0.2 if m not in (BASELINE, *a.candidates) else 0.8
        cells[m, n] = replace(cell, scores=scores)
    found = worst_subjects(replace(a, cells=cells), most=2)
    assert (found.subjects[0].subject, found.subjects[0].dice) == (hard, pytest.approx(0.5))
    assert len(found.subjects) == len(found.cells) == 2
    low = found.cells[0]
    assert (low.subject, low.method, low.budget, low.dice) == (a.people[1], "pcl", "2", pytest.approx(0.1))


def test_every_subject_is_a_point_and_the_hardest_is_named(a: DatasetAnalysis, drawn: Any):
    figure, texts = drawn("subjects", a)
    worst = worst_subjects(a, most=1).subjects[0]
    colour = colours(a.methods)["gd"]
    others = sum(
        len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "o" and line.get_color() == colour
    )
    rows = len(figure.axes[0].get_yticks())
    assert others == a.subjects - 1
    rings = [li for li in figure.axes[0].lines if to_hex(li.get_markerfacecolor()) == PAPER and li.zorder == 4]
    assert len(rings) == rows
    assert any(t.startswith(worst.subject) for t in said(figure))
    assert worst.subject in texts["alt"]


def test_a_profile_counts_the_results_that_reach_a_level():
    scores = np.array([[0.2, 0.5], [0.5, np.nan], [0.9, 0.7]])
    shares = profile.share_reaching(scores, np.array([0.0, 0.5, 0.51, 0.9, 0.95]))
    np.testing.assert_allclose(shares, [1.0, 0.8, 0.4, 0.2, 0.0])


def test_many_methods_are_spread_over_panels_with_random_weights_in_each():
    names = ["random", *(f"m{i}" for i in range(29)), UPPER_BOUND]
    found = parts(names, 12)
    assert all(p[0] == "random" and p[-1] == UPPER_BOUND and len(p) <= 12 for p in found)
    assert [m for p in found for m in p[1:-1]] == names[1:-1]
    assert parts(names[:5], 12) == [tuple(names[:5])]


def test_what_all_prices_end_in_is_said_once():
    assert brief(["1 + 6 for selection", "2 + 6 for selection"]) == (["1 + 6", "2 + 6"], " (+ for selection)")
    assert brief(["1 + 6 for selection", "2 (last weights)"]) == (["1 + 6 for selection", "2 (last weights)"], "")


@pytest.mark.parametrize(("entries", "columns"), [(4, 2), (5, 2), (7, 3), (8, 3), (10, 4), (3, 3), (4, 1)])
def test_a_legend_is_read_by_rows(entries: int, columns: int):
    figure = Figure()
    legend = figure.legend(
        *by_rows([Line2D([], []) for _ in range(entries)], list("abcdefghij"[:entries]), columns), ncols=columns
    )
    figure.draw_without_rendering()
    at = {text.get_text(): text.get_window_extent() for text in legend.get_texts()}
    assert "".join(sorted(at, key=lambda name: (-round(at[name].y0), at[name].x0))) == "abcdefghij"[:entries]
