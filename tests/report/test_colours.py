"""Colours of the report, measured: on their paper, for readers without red or green receptors, and as pairs with marks."""

from __future__ import annotations

import io
from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from glocalseg.report.figures.figure import EDGE, GRID, INK, MUTED, NARROW, ON_DARK, PAPER, WIDE, canvas, darkened, plot
from glocalseg.report.text.colours import (
    DARK_PAPER,
    LEAST,
    LIGHT_PAPER,
    PARTITIONS,
    PHASES,
    UNPARTITIONED,
    colours,
    contrast,
    dark_partners,
    markers,
    repeat_styles,
)
from glocalseg.report.text.names import UPPER_BOUND

OURS = ("random", "gr", "gd_minus", "gd", "pcl", "gd+lr", "gd+ld", UPPER_BOUND)
REPEATS = [f"r{i}" for i in range(1, 13)]
OTHERS = [f"other_{i}" for i in range(30)]
MARKS = {
    "methods": colours([*OURS, *OTHERS]).values(), "repeats": [c for c, _ in repeat_styles(REPEATS).values()],
    "phases": PHASES.values(), "partitions": [*PARTITIONS, UNPARTITIONED],
}  # fmt: skip
TEXT = 4.5  # contrast of text with its paper, WCAG 2.2, 1.4.3
APART = 0.06  # distance in OKLab of two colours that are told apart side by side
# Machado, Oliveira and Fernandes (2009), IEEE TVCG 15:1291, severity 1, of linear sRGB
BLIND = {
    "without red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "without green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
_LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip


def linear(colour: str) -> NDArray[np.float64]:
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def oklab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson (2020): a space in which equal distances look equal."""
    return np.array(_LAB) @ np.cbrt(np.array(_LMS) @ np.clip(light, 0, 1))


def seen(colour: str, eyes: str) -> NDArray[np.float64]:
    return oklab(np.array(BLIND[eyes]) @ linear(colour) if eyes in BLIND else linear(colour))


def test_the_measures_are_those_of_their_sources() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01), "WCAG's grey that just suffices for text"
    np.testing.assert_allclose(oklab(linear("#ffffff")), [1, 0, 0], atol=1e-4)
    np.testing.assert_allclose(oklab(linear("#ff0000")), [0.6280, 0.2249, 0.1258], atol=1e-3)
    for eyes in BLIND:
        np.testing.assert_allclose(seen("#808080", eyes), seen("#808080", "all"), atol=1e-3, err_msg="grey stays grey")
    assert np.linalg.norm(seen("#c00000", "without green") - seen("#7a7a00", "without green")) < 0.1 < np.linalg.norm(
        seen("#c00000", "all") - seen("#7a7a00", "all")
    )  # fmt: skip


@pytest.mark.parametrize("kind", MARKS)
def test_every_mark_stands_out_from_its_paper(kind: str) -> None:
    partners = dark_partners()
    for colour in MARKS[kind]:
        assert contrast(colour, LIGHT_PAPER) >= LEAST, f"{colour} on a light page"
        assert contrast(partners[colour], DARK_PAPER) >= LEAST, f"{colour} on a dark page"


def test_text_can_be_read_and_lines_of_axes_be_seen() -> None:
    for ink in (INK, MUTED):
        assert contrast(ink, PAPER) >= TEXT
        assert contrast(ON_DARK[ink], ON_DARK[PAPER]) >= TEXT
    for page, paper in ((EDGE, PAPER), (ON_DARK[EDGE], ON_DARK[PAPER])):
        assert contrast(page, paper) >= 2.9, "the edge of an axis and of the margin's band"


@pytest.mark.parametrize("eyes", ["all", *BLIND])
@pytest.mark.parametrize("dark", [False, True])
def test_the_projects_methods_stay_apart_for_all_readers(eyes: str, dark: bool) -> None:
    own = colours(OURS)
    shown = {m: dark_partners()[c] if dark else c for m, c in own.items()}
    for one, other in combinations(OURS, 2):
        distance = float(np.linalg.norm(seen(shown[one], eyes) - seen(shown[other], eyes)))
        assert distance >= APART, f"{one} {shown[one]} and {other} {shown[other]}: {distance:.3f}"


def test_thirty_methods_have_thirty_pairs_of_colour_and_mark() -> None:
    methods = [*OURS[:-1], *OTHERS[:23]]
    pairs = [(colours(methods)[m], markers(methods)[m]) for m in (*methods, UPPER_BOUND)]
    assert len(set(pairs)) == 31
    assert len(set(markers(OURS).values())) == len(OURS), "the project's own are told apart by shape alone"
    alone = markers(OURS[:3])
    assert all(markers(methods)[m] == mark for m, mark in alone.items()), "whatever other methods there are"


def test_a_method_of_a_person_has_no_pair_of_the_projects() -> None:
    pairs = {m: (colours([*OURS, *OTHERS])[m], markers([*OURS, *OTHERS])[m]) for m in (*OURS, *OTHERS)}
    assert not {pairs[m] for m in OURS} & {pairs[m] for m in OTHERS}


def test_twelve_repeats_differ_by_colour_and_by_mark() -> None:
    styles = list(repeat_styles(REPEATS).values())
    assert len({c for c, _ in styles}) == len({m for _, m in styles}) == 12


def test_marks_that_are_told_apart_have_different_areas() -> None:
    """An octagon, a hexagon and a disc are one and the same at the size of a point."""
    for names in (OURS, ["one", "two", "three", "four", "five", "six"]):
        drawn = {m: pixels(mark) for m, mark in markers(names).items()}
        for one, other in combinations(drawn, 2):
            differ = np.abs(drawn[one] - drawn[other]).sum() / min(drawn[one].sum(), drawn[other].sum())
            assert differ > 0.12, f"{markers(names)[one]} and {markers(names)[other]} differ in {differ:.2f} of their area"


def pixels(mark: str) -> NDArray[np.float64]:
    figure = Figure(figsize=(1, 1), dpi=40)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.plot(0.5, 0.5, mark, color="black", markersize=40)
    axes.set_axis_off()
    figure.canvas.draw()
    made = io.BytesIO()
    figure.savefig(made, format="raw")
    return 1 - np.frombuffer(made.getvalue(), np.uint8).reshape(40, 40, 4)[:, :, 0] / 255


def test_a_figure_for_a_dark_page_keeps_no_ink_of_the_light_one() -> None:
    def draw(shape: object) -> Figure:
        figure = canvas(3, 2)
        axes = figure.subplots()
        for place, colour in enumerate(colours(OURS).values()):
            axes.plot([0, 1], [place, place], color=colour)
        axes.set_title("ink")
        axes.annotate("muted", (0.5, 0.5), color=MUTED)
        return figure

    made = plot(draw, "toy", dataset="toy", title="", caption="", alt="")
    for shape in (WIDE, NARROW):
        light = made.files[made.shown(narrow=shape.narrow, dark=False)].decode()
        dark = made.files[made.shown(narrow=shape.narrow, dark=True)].decode()
        there = {c for c in (INK, MUTED, EDGE, GRID, PAPER, *dark_partners()) if c in light}
        assert {INK, MUTED, EDGE, GRID, PAPER} <= there
        changed = {c for c in there if (ON_DARK | dark_partners())[c] != c}
        left = {c for c in changed if c in dark and c not in {*ON_DARK.values(), *dark_partners().values()}}
        assert not left, f"light colours on a dark page: {left}"
        assert ON_DARK[INK] in dark
        assert DARK_PAPER in dark


def test_colours_are_exchanged_whole_and_nothing_else_is() -> None:
    svg = (
        f'<path style="fill: {INK}; stroke: {GRID}"/><path style="fill: #123456"/><use xlink:href="#m1f29330000"/>'.encode()
    )
    dark = darkened(svg)
    assert ON_DARK[INK].encode() in dark
    assert ON_DARK[GRID].encode() in dark
    assert b"#123456" in dark, "a colour without a partner stays"
    assert b"#m1f29330000" in dark
