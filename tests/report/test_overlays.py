"""Overlays: which cases and runs are shown, how slices are put on a sheet, and when there is no figure."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fabricated_runs import Size, fabricate
from matplotlib.figure import Figure
from PIL import Image

from glocalseg.data.slices.geometry import fit
from glocalseg.data.slices.store import open_store
from glocalseg.evaluation.predictions import PREDICTIONS, read_predictions, write_predictions
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import analyse
from glocalseg.report.collected.collect import Collected, collect
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.figures.figure import NARROW, WIDE
from glocalseg.report.figures.overlays import overlay_plots, subjects_shown
from glocalseg.report.figures.overlays.cases import BESIDE, FAILED, Runs, compared, failed, ranked, worst
from glocalseg.report.figures.overlays.scene import Scene, at_one_scale, scene_of
from glocalseg.report.figures.overlays.sheet import draw
from glocalseg.report.figures.overlays.slices import (
    DPI,
    Place,
    View,
    leaves,
    outline,
    paint,
    round_length,
    shown_slices,
    unframe,
    view_of,
    wrongest_slice,
)
from glocalseg.report.figures.overlays.words import away, failed_caption, head, ranked_caption

MANY = ("random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld")
ATLAS = {"regime": "atlas", "control": True}
Made = tuple[Plan, Collected, DatasetAnalysis, Path]


def made(root: Path, size: Size) -> Made:
    plan = fabricate(root, size)
    collected = collect(plan, root)
    return plan, collected, analyse(plan, collected)["toy_a"], root


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Made:
    lost = ("gd n1 r2", "gd+lr n2 r1", "random n2 r1")
    size = Size(methods=MANY, lines=(ATLAS,), repeats=5, subjects=4, failing=lost)
    return made(tmp_path_factory.mktemp("overlays"), size)


def runs_of(made: Made) -> Runs:
    plan, collected, a, _ = made
    return Runs(a, plan, collected)


def test_cases_are_ranked_over_all_methods_in_the_middle_repeat(some: Made) -> None:
    scores = some[1].scores
    own = scores[(scores["metric"] == "dice") & (scores["budget"] == "1") & scores["method"].isin(MANY)]
    means = own.groupby("repeat")["value"].mean().sort_values()
    middle = means.index[2]
    volumes = own[own["repeat"] == middle].groupby("volume")["value"].mean().sort_values(ascending=False)
    cases = ranked(runs_of(some))
    assert [case.rank for case in cases] == ["best", "median", "worst"]
    assert {(case.budget, case.repeat) for case in cases} == {("1", middle)}
    assert [case.volume for case in cases] == [volumes.index[0], volumes.index[4], volumes.index[7]]
    assert [case.dice for case in cases] == pytest.approx([volumes.iloc[0], volumes.iloc[4], volumes.iloc[7]])


def test_random_weights_and_the_best_others_are_shown_and_no_control(some: Made) -> None:
    a = some[2]
    means = {m: a.cells[m, "1"].mean.interval.estimate for m in MANY[1:]}
    left = min(means, key=lambda m: means[m])
    (case, *_) = ranked(runs_of(some))
    assert [run.method for run in case.runs] == [m for m in MANY if m != left]
    assert len(case.runs) == BESIDE + 1
    assert "1 more is not" in ranked_caption(a, [case])
    assert "all 7 methods but controls" in ranked_caption(a, [case])


def test_a_repeat_that_lacks_a_run_is_not_the_middle_one(tmp_path: Path) -> None:
    plan, collected, a, _ = made(tmp_path, Size(methods=("random", "gd"), budgets=(1,), repeats=3, subjects=3))
    before = ranked(Runs(a, plan, collected))[0].repeat
    scored = next(j for j in plan.of("score") if j.name == "gd" and j.repeat and j.repeat.name == before)
    (tmp_path / scored.record).unlink()
    collected = collect(plan, tmp_path)
    case = ranked(Runs(analyse(plan, collected)["toy_a"], plan, collected))[0]
    assert case.repeat != before
    assert [run.method for run in case.runs] == ["random", "gd"]


def test_the_worst_subjects_of_every_budget(some: Made) -> None:
    scores = some[1].scores
    own = scores[(scores["metric"] == "dice") & scores["method"].isin(MANY)]
    means = own.groupby(["budget", "subject"])["value"].mean()
    cases = worst(runs_of(some))
    assert [case.budget for case in cases] == ["1", "1", "2", "2"]
    for budget in ("1", "2"):
        expected = means[budget].sort_values().index[:2].tolist()
        assert [case.subject for case in cases if case.budget == budget] == expected
    for case in cases:
        dice = {v: np.mean([run.dice[v] for run in case.runs]) for v in case.runs[0].dice}
        assert case.volume.split("_")[0] == case.subject
        assert len(dice) == 8


def test_failed_runs_stand_beside_a_run_that_trained(some: Made) -> None:
    cases, count = failed(runs_of(some))
    beside = {(c.runs[0].method, c.budget, c.repeat): [(r.method, r.repeat) for r in c.runs[1:]] for c in cases}
    assert count == len(cases) <= FAILED
    assert beside["gd", "1", "r2"] == [("random", "r2")]
    for key in (("gd+lr", "2", "r1"), ("random", "2", "r1")):  # random weights failed in that repeat, too
        ((method, repeat),) = beside[key]
        assert method == key[0]
        assert repeat != "r1"
    first, second = head(some[2], next(c for c in cases if c.runs[0].method == "gd+lr"))
    assert first.endswith("repeat r1")
    assert "lost a structure: Dice of posterior 0.000" in second


def test_of_many_failed_runs_a_few_are_shown_and_the_rest_counted(tmp_path: Path) -> None:
    lost = tuple(f"{m} n1 r{i}" for m in ("gd", "gd+lr") for i in (1, 2, 3, 4))
    plan, collected, a, _ = made(tmp_path, Size(budgets=(1,), repeats=7, subjects=2, failing=lost))
    cases, count = failed(Runs(a, plan, collected))
    assert (len(cases), count) == (FAILED, 8)
    assert "2 more failed and are not shown" in failed_caption(cases, count)
    assert "more failed" not in failed_caption(cases, FAILED)


@pytest.mark.parametrize(
    ("size", "ranks", "methods"),
    [
        (Size(methods=("random",), budgets=(1,), repeats=1, subjects=1), ["best", "worst"], ["random"]),
        (Size(methods=("gd",), budgets=(2,), repeats=2, subjects=2), ["best", "median", "worst"], ["gd"]),
        (Size(methods=(), lines=(ATLAS,), budgets=(1,), repeats=1, subjects=2), ["best", "median", "worst"], ["atlas"]),
    ],
)
def test_few_methods_and_cases(tmp_path: Path, size: Size, ranks: list[str], methods: list[str]) -> None:
    plan, collected, a, root = made(tmp_path, size)
    cases = ranked(Runs(a, plan, collected))
    assert [case.rank for case in cases] == ranks
    assert [run.method for run in cases[0].runs] == methods
    assert compared(a)[0] == (a.budgets[0], tuple(methods))
    scenes = [scene_of(case, open_store(root / plan.of("data")[0].record), root) for case in cases]
    assert all(scene is not None for scene in scenes)


def test_the_figures_of_a_data_set(tmp_path: Path) -> None:
    size = Size(methods=("random", "gd"), budgets=(1,), repeats=3, subjects=3, failing=("gd n1 r3",))
    plan, collected, a, root = made(tmp_path, size)
    runs = Runs(a, plan, collected)
    plots = overlay_plots(a, plan, collected, root)
    assert [p.name for p in plots] == ["toy_a-overlays", "toy_a-overlays-worst", "toy_a-overlays-failed"]
    for one in plots:
        assert {".webp", "-dark.webp", "-narrow.webp", "-narrow-dark.webp", ".svg", ".pdf", ".png"} <= set(one.files)
        assert one.raster
    light, dark = (Image.open(io.BytesIO(plots[0].files[end])) for end in (".webp", "-dark.webp"))
    assert light.size == dark.size
    assert light.getpixel((light.width - 2, 2)) != dark.getpixel((dark.width - 2, 2))
    shown = subjects_shown(a, plan, collected, plots)
    assert {case.subject for case in worst(runs)} == {s for s, name in shown.items() if name.endswith("-worst")}
    assert {case.subject for case in ranked(runs)} <= set(shown)
    assert set(subjects_shown(a, plan, collected, plots[:1]).values()) == {"toy_a-overlays"}


def test_no_figure_without_a_slice_store_or_predictions(tmp_path: Path) -> None:
    plan, collected, a, root = made(tmp_path, Size(methods=("random",), budgets=(1,), repeats=1, subjects=2))
    (case, *_) = ranked(Runs(a, plan, collected))
    record = root / plan.of("data")[0].record
    store, file = open_store(record), root / case.runs[0].folder / PREDICTIONS
    write_predictions(file, {"another": np.zeros((1, 1, 1), np.uint8)})
    assert scene_of(case, store, root) is None
    write_predictions(file, {case.volume: np.zeros((1, 1, 1), np.uint8)})
    with pytest.raises(ReportError, match=r"expected shape \(8, 22, 20\), found \(1, 1, 1\)"):
        scene_of(case, store, root)
    file.unlink()
    assert overlay_plots(a, plan, collected, root) == []
    record.unlink()
    assert overlay_plots(a, plan, collected, root) == []
    assert subjects_shown(a, plan, collected, []) == {}


def test_a_failed_run_without_predictions_is_not_shown_by_the_run_beside_it(some: Made) -> None:
    plan, _, _, root = some
    case = next(c for c in failed(runs_of(some))[0] if len(c.runs) == 2)
    store = open_store(root / plan.of("data")[0].record)
    gone = replace(case, runs=(replace(case.runs[0], folder=Path("nowhere")), case.runs[1]))
    assert scene_of(case, store, root) is not None
    assert scene_of(gone, store, root) is None
    alone = scene_of(replace(case, failed=None, runs=gone.runs), store, root)
    assert alone is not None
    assert [run.method for run, _ in alone.predictions] == ["random"]


def scenes(some: Made, count: int = 3) -> list[Scene]:
    plan, _, _, root = some
    store = open_store(root / plan.of("data")[0].record)
    return at_one_scale([s for case in ranked(runs_of(some))[:count] if (s := scene_of(case, store, root))])


@pytest.mark.parametrize("columns", [1, 2, 6])
@pytest.mark.parametrize("shape", [WIDE, NARROW])
def test_images_are_large_enough_and_nothing_leaves_the_sheet(some: Made, shape: object, columns: int) -> None:
    shape = WIDE if shape is WIDE else NARROW
    own = [replace(s, predictions=s.predictions[:columns]) for s in scenes(some)]
    card = some[0].cards["toy_a"]
    figure = draw(shape, own, [head(some[2], s.case) for s in own], card)
    axes = figure.axes[0]
    (image,) = axes.images
    ends = np.flatnonzero(np.diff((image.get_array()[:, :, 3] > 0).any(axis=0).astype(int), prepend=0, append=0))
    widths = np.diff(ends)[::2] / image.get_array().shape[1] * shape.width
    assert len(widths) == {1: 4, 2: 3 if shape.narrow else 6, 6: 4 if shape.narrow else 7}[columns]
    assert widths.min() * 358 / NARROW.width >= 80 if shape.narrow else widths.min() >= 1.2
    figure.draw_without_rendering()
    limits = figure.bbox.padded(2)
    for text in axes.texts:
        box = text.get_window_extent()
        assert limits.x0 <= box.x0 < box.x1 <= limits.x1, text.get_text()
        assert limits.y0 <= box.y0 < box.y1 <= limits.y1, text.get_text()
        assert text.get_fontsize() >= shape.small
    said = [text.get_text() for text in axes.texts]
    for once in ("anterior_part", "posterior", "truth", "prediction"):
        assert said.count(once) == 1
    assert sum(text.endswith(" mm") for text in said) == 1
    assert [said.count(side) for side in "RLSI"] == [3, 3, 3, 3]


def test_scenes_are_shown_at_one_scale(some: Made) -> None:
    own = scenes(some)
    assert len({(s.view.width, s.view.height) for s in own}) == 1
    assert away(own) == ""
    scene = own[0]
    run, labels = scene.predictions[0]
    far = labels.copy()
    far[:, 0, 0] = 1
    near = replace(scene, view=View(8, 6, 6, 6), predictions=((run, far),))
    assert away([near]) == " Predicted beyond an image's edge, too, by: Random init."


def test_a_slice_lies_with_the_patients_right_on_the_left_and_up_on_top() -> None:
    place = Place(View(0, 0, 4, 4), left=1, top=2, width=2, height=2)
    front = np.zeros((4, 4), np.uint8)
    front[3, 3] = 1  # right, front
    axes = Figure().add_axes((0, 0, 1, 1))
    outline(axes, place, front, (1, 1))
    (lines,) = axes.collections
    points = np.concatenate(lines.get_segments())
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([1, 2], [1.5, 2.5])
    pixels = np.zeros((5 * DPI, 4 * DPI, 4), np.uint8)
    paint(pixels, place, np.where(front > 0, np.nan, np.arange(4)[:, None]).astype(np.float32), front, (1, 1))
    painted = pixels[:, :, 3] > 0
    assert (painted.any(axis=1).argmax(), painted.any(axis=0).argmax()) == (2 * DPI, DPI)
    assert painted.sum() == (2 * DPI) ** 2
    coloured = np.ptp(pixels[:, :, :3].astype(int), axis=2) > 20
    assert coloured[2 * DPI : 2 * DPI + DPI // 2, DPI : DPI + DPI // 2].all()
    assert coloured.sum() == (DPI // 2) ** 2
    row = pixels[4 * DPI - 1, DPI : 3 * DPI, 0].astype(int)
    assert (np.diff(row) <= 0).all(), "the first axis grows towards the left"
    assert row[0] > 250 > 5 > row[-1]


def test_what_lies_beyond_the_grid_or_is_not_known_is_ground() -> None:
    place = Place(View(-2, -2, 8, 8), left=0, top=0, width=1, height=1)
    pixels = np.zeros((DPI, DPI, 4), np.uint8)
    paint(pixels, place, np.full((2, 2), np.nan, np.float32), np.ones((4, 4), np.uint8), (1, 1))
    ground = (pixels[:, :, :3] == (32, 36, 42)).all(axis=2)
    assert 0.7 < ground.mean() < 0.8, "the truth is a quarter of the view"
    assert not ground[DPI // 2, DPI // 2]


def test_an_outline_runs_along_the_edges_of_pixels_in_few_strokes() -> None:
    place = Place(View(0, 0, 10, 20), left=0, top=0, width=10, height=20)
    prediction = np.zeros((10, 10), np.uint8)
    prediction[2:7, 3:5] = 2
    axes = Figure().add_axes((0, 0, 1, 1))
    outline(axes, place, prediction, (1, 2))
    (lines,) = axes.collections
    strokes = {tuple(sorted(map(tuple, s.tolist()))) for s in lines.get_segments()}
    assert strokes == {((3, 10), (3, 14)), ((8, 10), (8, 14)), ((3, 10), (8, 10)), ((3, 14), (8, 14))}


@pytest.mark.parametrize(("most", "found"), [(1, 1), (4.9, 2), (5, 5), (9.99, 5), (37, 20), (0.3, 0.2)])
def test_bars_of_scale_have_round_lengths(most: float, found: float) -> None:
    assert round_length(most) == pytest.approx(found)


def test_which_slices_are_shown() -> None:
    truth = np.zeros((12, 3, 3), np.uint8)
    assert shown_slices(truth, 2) == (4, 7)
    truth[3:10, 1, 1] = 1
    assert shown_slices(truth, 2) == (5, 7)
    truth[:] = 0
    truth[5, 1, 1] = 1
    assert shown_slices(truth, 2) == (5,)
    wrong = truth.copy()
    wrong[8, :2] = 1
    assert wrongest_slice(truth, [truth, wrong]) == 8


def test_a_view_holds_the_structures_and_what_is_predicted_near_them() -> None:
    truth, near, far = np.zeros((3, 1, 60, 60), np.uint8)
    truth[0, 20:30, 20:30] = 1
    near[0, 33, 25] = 1
    far[0, 55, 25] = 1
    plain = view_of(truth, [truth], (1, 2))
    assert plain.x < 20 < 30 < plain.x + plain.width < 34
    assert plain.y < 40 < 60 < plain.y + plain.height
    assert not leaves(plain, truth, (1, 2))
    wider = view_of(truth, [near, far], (1, 2))
    assert wider.x + wider.width > 34
    assert not leaves(wider, near, (1, 2))
    assert leaves(wider, far, (1, 2))
    assert view_of(truth * 0, [truth * 0], (1, 2)).width > 60, "nothing to look at: the whole slice"


def test_a_view_stays_on_the_grid() -> None:
    view = View(90, -5, 20, 20)
    moved = view.around(30, 30, (100, 50))
    assert (moved.x, moved.y, moved.width, moved.height) == (70, 0, 30, 30)
    assert view.around(120, 30, (100, 50)).x == -10


@pytest.mark.parametrize("native", [(22, 20), (30, 12), (16, 16), (9, 41), (17, 15)])
def test_unframe_puts_a_frame_back_where_it_was_cut_out(native: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((1, *native), np.float32)
    whole = unframe(fit(image, (16, 16))[0], native)
    there = np.isfinite(whole)
    assert whole.shape == native
    assert there.sum() == min(native[0], 16) * min(native[1], 16)
    np.testing.assert_array_equal(whole[there], image[0][there])


def test_names_are_no_formulas(some: Made) -> None:
    scene = scenes(some, 1)[0]
    card = some[0].cards["toy_a"]
    figure = draw(NARROW, [scene], [("a$b$ and_c", "x" * 200)], card)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert r"a\$b\$ and_c" in said
    assert max(len(t) for t in said if set(t) == {"x"}) < 60, "wrapped"
    assert read_predictions(some[3] / scene.case.runs[0].folder / PREDICTIONS, [scene.case.volume])
