"""Forest of all declared comparisons: gain with interval, p value and verdict, by family."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT

from glocalseg.report.analysis.cells import Compared, DatasetAnalysis, Family
from glocalseg.report.figures.figure import EDGE, GRID, INK, MUTED, PAPER, Plot, Shape, canvas, plot
from glocalseg.report.figures.panels import bar, named
from glocalseg.report.figures.scores.frame import brief, bulk, frame
from glocalseg.report.tables.table import bracket, probability, signed
from glocalseg.report.text.colours import colours, markers
from glocalseg.report.text.names import BASELINE, UPPER_BOUND, display, plain

_HEADS: dict[Family, str] = {
    "primary": "Primary comparison", "claims": "Claims", "random": f"Every method against {display(BASELINE)}",
    "controls": "Controls",
}  # fmt: skip
_LINE = {True: 0.36, False: 0.2}  # inches of a comparison, narrow and wide
_HEAD = 0.32  # inches of a heading
_PAIR = 0.24  # inches of the names above their comparisons, where it is narrow
_EDGES = 0.75  # inches above and below all
_RIGHT = (6, 132, 178)  # points from the axis to gain, p and verdict


@dataclass(frozen=True)
class Line:
    """What stands at a height, in inches from the top: a heading, names, or a comparison."""

    place: float
    text: str
    compared: Compared | None = None
    heading: bool = False


def forest_plot(a: DatasetAnalysis) -> Plot | None:
    """Every comparison of every family with its gain; None where nothing is compared."""
    there = [c for c in a.comparisons if np.isfinite(c.comparison.gain.mean.interval.estimate)]
    if not there:
        return None
    pairs = {(c.method, c.other) for c in a.comparisons}
    letters = max(len(plain(display(m))) + len(plain(display(o))) for m, o in pairs)

    def draw(shape: Shape) -> Figure:
        labels = dict(zip(a.budgets, brief([a.price(n) for n in a.budgets])[0], strict=True))
        return draw_forest(a, list(_lines(a, shape)), shape, letters=min(letters, 48) + 9, labels=labels)

    return plot(
        draw, f"{a.dataset}-forest", dataset=a.dataset, title="All declared comparisons",
        caption=f"Mean gain in Dice of the first method over the second with its interval, which is not corrected{how_read(a)} "
        "Each family is corrected by itself.",
        alt=_alt(a, there),
    )  # fmt: skip


def how_read(a: DatasetAnalysis) -> str:
    """The rest of a caption after what a gain is of: what marks, arrows, the band and p mean."""
    marks = "" if a.silent else "; filled where a difference was found, hollow where none was"
    margin = a.statistics.margin
    band = f" Grey: gains up to ±{margin:g}, too small to matter." if margin else ""
    tests = "" if a.silent else " p: exact over repeats, corrected within its family."
    return f"{marks}; an arrow where it leaves the picture.{band}{tests}"


def draw_forest(
    a: DatasetAnalysis, lines: Sequence[Line], shape: Shape, *, letters: int, labels: Mapping[str, str], title: str = ""
) -> Figure:
    """Gains below each other on one axis, with their numbers, p and verdicts beside them.

    Controls and the upper bound do not stretch the axis: what leaves it becomes an arrow, and its number stands beside it.

    Args:
        lines: from the top; the last one is a comparison.
        letters: of the longest text at the left, where it is wide.
        labels: what stands at every comparison, by number of labelled volumes; none where all have the same.
        title: above the axis.
    """
    there = [line.compared for line in lines if line.compared]
    own = [c for c in there if c.family != "controls"] or [c for c in there if c.method != UPPER_BOUND] or there
    gains = [g for c in own if np.isfinite((g := c.comparison.gain.mean.interval).estimate)]
    margin = a.statistics.margin
    height = lines[-1].place + _LINE[shape.narrow] / 2
    figure = canvas(shape.width, height + _EDGES)
    axes = figure.subplots()
    axes.set_xlim(frame([0.0, margin, -margin, *(g.estimate for g in gains)], gains, least=0.02))
    axes.set_ylim(height, -0.05)
    axes.axvspan(-margin, margin, facecolor=GRID, edgecolor=EDGE, linewidth=0.5, zorder=0.4)
    axes.axvline(0, color=INK, linewidth=1)
    left = _left(shape, letters, labels)
    for line in lines:
        _line(axes, a, line, shape, left)
    _sides(axes, a, lines, shape, labels)
    if title:
        figure.suptitle(title, fontsize=shape.font + 0.5, fontweight="bold", x=0.01, ha="left")
    return figure


def _lines(a: DatasetAnalysis, shape: Shape) -> Iterator[Line]:
    """From the top: the families, and in each the pairs with their budgets below each other."""
    top, step = 0.0, _LINE[shape.narrow]
    for family, head in _HEADS.items():
        own = a.family(family)
        if not own:
            continue
        yield Line(top + _HEAD / 2, head, heading=True)
        top += _HEAD
        for pair in dict.fromkeys((c.method, c.other) for c in own):
            names = f"{named(pair[0], shape)} against {named(pair[1], shape)}"
            if shape.narrow:
                yield Line(top + _PAIR / 2, names)
                top += _PAIR
            for place, c in enumerate(c for c in own if (c.method, c.other) == pair):
                yield Line(top + step / 2, "" if place or shape.narrow else names, c)
                top += step
        top += step / 3


def _line(axes: Axes, a: DatasetAnalysis, line: Line, shape: Shape, left: float) -> None:
    if line.compared is None:
        axes.annotate(
            line.text, (0, line.place), xycoords=("axes fraction", "data"), xytext=(-left, 0),
            textcoords="offset points", ha="left", va="center", color=INK, fontsize=shape.font,
            fontweight="bold" if line.heading else "normal", bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip
        return
    _gain(axes, a, line.compared, line.place)
    for start, text in zip(_RIGHT, _numbers(a, line.compared, shape), strict=False):
        axes.annotate(
            text, (1, line.place), xycoords=("axes fraction", "data"), xytext=(start, 0), textcoords="offset points",
            ha="left", va="center", color=INK, fontsize=shape.small, fontweight="bold" if line.compared.held else "normal",
        )  # fmt: skip
    if line.text:
        axes.annotate(
            line.text, (0, line.place), xycoords=("axes fraction", "data"), xytext=(-left, 0),
            textcoords="offset points", ha="left", va="center", color=INK, fontsize=shape.font,
        )  # fmt: skip


def _left(shape: Shape, letters: int, labels: Mapping[str, str]) -> float:
    """Points from the axis to where its names start: room for what labels cost, and beside them for names."""
    budgets = 0.62 * shape.small * max(map(len, labels.values()), default=0) + 10
    return budgets if shape.narrow else budgets + 0.56 * shape.font * letters


def _gain(axes: Axes, a: DatasetAnalysis, c: Compared, place: float) -> None:
    gain, colour, mark = c.comparison.gain.mean.interval, colours(a.methods)[c.method], markers(a.methods)[c.method]
    if not np.isfinite(gain.estimate):
        return
    low, high = axes.get_xlim()
    if not low <= gain.estimate <= high:
        end, arrow = (low, CARETLEFT) if gain.estimate < low else (high, CARETRIGHT)
        axes.plot(end, place, marker=arrow, markersize=7, color=colour, markeredgewidth=0, clip_on=False)
        return
    bar(axes, place, gain, colour, upright=False, width=1.4)
    axes.plot(
        gain.estimate, place, marker=mark, markersize=5.2 * bulk(mark), color=colour, markeredgewidth=1.2, zorder=4,
        markerfacecolor=colour if c.held or a.silent else PAPER,
    )  # fmt: skip


def _numbers(a: DatasetAnalysis, c: Compared, shape: Shape) -> list[str]:
    """Gain with interval, p and verdict: a column each, or one below the other where it is narrow."""
    gain = c.comparison.gain.mean.interval
    said = f"{signed(gain.estimate)} {bracket(gain.low, gain.high)}".rstrip()
    if a.silent:
        return [said]
    p, verdict = probability(c.comparison.corrected), c.verdict or "–"
    if shape.narrow:
        return [f"{said}\n{verdict}, p {p}" if p != "–" else f"{said}\n{verdict}"]
    return [said, p, verdict]


def _sides(axes: Axes, a: DatasetAnalysis, lines: Sequence[Line], shape: Shape, labels: Mapping[str, str]) -> None:
    """What labels cost at the left, heads of the columns of text at the right."""
    _, ending = brief([a.price(n) for n in a.budgets])
    compared = [line for line in lines if line.compared]
    axes.set_yticks(
        [line.place for line in compared], [labels.get(c.budget, "") for line in compared if (c := line.compared)]
    )
    axes.tick_params(axis="y", labelsize=shape.small, labelcolor=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("gain in Dice")
    axes.locator_params(axis="x", nbins=4 if shape.narrow else 7)
    if labels:
        axes.annotate(
            "labelled" if shape.narrow else f"labelled{ending}", (0, 1), xycoords="axes fraction", xytext=(-5, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=shape.small, color=MUTED,
        )  # fmt: skip
    heads = ["gain"] if a.silent or shape.narrow else ["gain", "p", "verdict"]
    for start, head in zip(_RIGHT, heads, strict=False):
        axes.annotate(
            head, (1, 1), xycoords="axes fraction", xytext=(start, 3), textcoords="offset points", ha="left", va="bottom",
            fontsize=shape.small, color=MUTED,
        )  # fmt: skip
    for line in lines:
        if line.heading and line is not lines[0]:
            axes.axhline(line.place - _HEAD / 2, color=EDGE, linewidth=0.6)


def _alt(a: DatasetAnalysis, there: Sequence[Compared]) -> str:
    """How many comparisons came out how, by family, and the primary one in full."""
    parts = []
    for family, head in _HEADS.items():
        own = [c for c in there if c.family == family]
        if not own:
            continue
        verdicts = [str(c.verdict) for c in own if c.verdict]
        counts = ", ".join(f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts))
        gains = [c.comparison.gain.mean.interval.estimate for c in own]
        range_ = signed(gains[0]) if len(gains) == 1 else f"{signed(min(gains))} to {signed(max(gains))}"
        parts.append(f"{head}: gain {range_}{f', {counts}' if counts else ''}")
    return f"Forest plot of {len(there)} comparisons. {'; '.join(parts)}."
