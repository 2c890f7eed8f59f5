"""What an axis of scores shows, marks that say where they leave it, and how methods and repeats are named and marked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import CARETLEFT, CARETRIGHT

from glocalseg.evaluation.statistics.arrays import Array
from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.figures.figure import PAPER
from glocalseg.report.text.colours import colours, markers, repeat_styles
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND

BULKY = {"P": 1.4, "X": 1.4, "*": 1.7, "^": 1.2, "v": 1.2, "<": 1.2, ">": 1.2}  # marks with less area than a disc
_OUTLYING = 12.0  # times the span of nine tenths of all points: what all of them may span before the farthest are left out
_SELECTING = " for selection"
_ROOM = 0.06  # of the span of an axis, on either side


def frame(
    points: Iterable[float],
    intervals: Iterable[Interval] = (),
    *,
    least: float = 0.0,
    bounds: tuple[float, float] = (-1.0, 1.0),
) -> tuple[float, float]:
    """The limits of an axis that shows the points well.

    A point far from all others does not stretch it, and intervals do by at most half of what the points take on either side:
    with two or three repeats they may be ten times as long. What leaves the frame is drawn as an arrow.

    Args:
        points: NaN skipped.
        least: span that is shown in any case.
        bounds: smallest and largest possible values.
    """
    there = np.array([p for p in points if np.isfinite(p)])
    if not len(there):
        return bounds
    inner = np.quantile(there, [0.05, 0.95])
    span, (low, high) = max(float(inner[1] - inner[0]), least), (there.min(), there.max())
    if high - low > _OUTLYING * span:
        low, high = max(low, inner[0] - _OUTLYING / 2 * span), min(high, inner[1] + _OUTLYING / 2 * span)
    short = max(0.0, least - (high - low)) / 2
    low, high = low - short, high + short
    reach = (high - low) / 2
    ends = [(i.low, i.high) for i in intervals if np.isfinite([i.low, i.high]).all()]
    low, high = max(min([low, *(e[0] for e in ends)]), low - reach), min(max([high, *(e[1] for e in ends)]), high + reach)
    room = _ROOM * (high - low)
    return float(max(bounds[0], low - room)), float(min(bounds[1] + room / 2, high + room))


def unstretching(a: DatasetAnalysis) -> list[Cell]:
    """The cells that an axis of Dice is made for: a control may lie far off, and becomes an arrow at the frame where it does."""
    return [c for c in a.cells.values() if c.method not in a.references]


def dots(
    axes: Axes, across: Sequence[float] | Array, down: Sequence[float] | Array, colour: str, mark: str, *, size: float
) -> None:
    """Points in one colour and mark; those beyond the left or right end of the axis as arrows at it. To be drawn last."""
    x, y = np.asarray(across, float), np.asarray(down, float)
    low, high = axes.get_xlim()
    inside = (x >= low) & (x <= high)
    axes.plot(
        x[inside], y[inside], marker=mark, markersize=size * bulk(mark), color=colour, linestyle="none", markeredgecolor=PAPER,
        markeredgewidth=0.3,
    )  # fmt: skip
    for beyond, end, arrow in ((x < low, low, CARETLEFT), (x > high, high, CARETRIGHT)):
        if beyond.any():
            axes.plot(
                np.full(beyond.sum(), end), y[beyond], marker=arrow, markersize=size + 1, color=colour, linestyle="none",
                markeredgewidth=0, clip_on=False,
            )  # fmt: skip


def bulk(mark: str) -> float:
    """How much larger than a disc a mark is drawn, to look as large."""
    return BULKY.get(mark, 1.0)


def spent(a: DatasetAnalysis, budget: str) -> str:
    """What the labels of a budget cost, as a panel's title: ``Labelled: 1 + 6 for selection``."""
    return f"Labelled: {a.price(budget, UPPER_BOUND if budget == ALL else None)}"


def brief(prices: Sequence[str]) -> tuple[list[str], str]:
    """Prices without what all of them end in, and that ending: ``1 + 6``, ``2 + 6`` and `` (+ for selection)``."""
    if prices and all(p.endswith(_SELECTING) for p in prices):
        return [p.removesuffix(_SELECTING) for p in prices], " (+ for selection)"
    return list(prices), ""


def method_handles(
    a: DatasetAnalysis, methods: Sequence[str], *, linestyle: Literal["-", "none"] = "-", size: float = 5.5
) -> list[Line2D]:
    """What a legend shows for methods: colour and mark, those of random weights hollow."""
    return [Line2D([], [], linestyle=linestyle, **method_mark(a, m, size)) for m in methods]


def parts(methods: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The methods of every panel: all, or as many as can be told apart, random weights and the upper bound in each of them."""
    if len(methods) <= most:
        return [tuple(methods)]
    start = tuple(m for m in methods if m == BASELINE)
    end = tuple(m for m in methods if m == UPPER_BOUND)
    others = [m for m in methods if m not in (*start, *end)]
    count = -(-len(others) // max(1, most - len(start) - len(end)))
    return [(*start, *(str(m) for m in part), *end) for part in np.array_split(others, count)]


def method_mark(a: DatasetAnalysis, method: str, size: float) -> dict[str, Any]:
    """The keywords of a method's mark for ``Axes.plot``."""
    colour, mark = colours(a.methods)[method], markers(a.methods)[method]
    hollow = method == BASELINE
    return {
        "color": colour, "marker": mark, "markersize": size * bulk(mark), "markeredgewidth": 1.3 if hollow else 0.4,
        "markeredgecolor": colour if hollow else PAPER, "markerfacecolor": PAPER if hollow else colour,
    }  # fmt: skip


def repeat_handles(a: DatasetAnalysis, size: float) -> tuple[list[Line2D], list[str]]:
    """Handles and labels of a legend of repeats, with a word before them; those that share a mark share an entry."""
    shared: dict[tuple[str, str], list[str]] = {}
    for repeat, style in repeat_styles(a.repeats).items():
        shared.setdefault(style, []).append(repeat)
    handles = [
        Line2D([], [], color=c, marker=m, markersize=size * bulk(m), linestyle="none", markeredgewidth=0) for c, m in shared
    ]
    return [Line2D([], [], linestyle="none"), *handles], ["repeats:", *(", ".join(names) for names in shared.values())]
