"""Panels and legends that fit a figure's width, and bars of intervals that say where they leave the frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.report.figures.figure import INK, Shape, canvas
from glocalseg.report.text.names import fitted, mathtext

_LETTER = 0.62  # width of a letter, of the size of its font
_POINT = 1 / 72  # inch
_LINE = 1.6  # height of a line of a legend, of the size of its font
_LEGEND = 2  # lines of a legend that figures have room for
_LONGEST = {True: 18, False: 30}  # letters of a method's name, narrow and wide


def grid(shape: Shape, count: int, *, wide: int, narrow: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels, at most ``wide`` or ``narrow`` in a row and ``height`` inches high, rows evenly filled."""
    most = narrow if shape.narrow else wide
    rows = -(-count // most)
    columns = -(-count // rows)
    figure = canvas(shape.width, 0.5 + height * rows)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in panels[count:]:
        axes.remove()
    return figure, panels[:count]


def by_budget(
    shape: Shape, titles: Sequence[str], rows: Sequence[str], *, row: float = 0.27, label: str = ""
) -> tuple[Figure, list[Axes]]:
    """A panel per budget with a row per method, the first at the top: side by side, or below each other where it is narrow.

    Args:
        titles: what each budget costs.
        rows: names of methods, ready for matplotlib.
        row: height of a row in inches.
        label: what all panels have along x, in two lines where there is little room; empty where they have their own.
    """
    down = len(titles) if shape.narrow else 1
    tight = len(titles) > 3 and not shape.narrow
    height = row * max(2, len(rows)) + 0.75
    figure = canvas(shape.width, 0.5 + height * down)
    panels = list(figure.subplots(down, len(titles) // down, squeeze=False).flat)
    for place, (axes, title) in enumerate(zip(panels, titles, strict=True)):
        axes.set_title(two_lines(title) if tight else title)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        labelled = shape.narrow or place == 0
        axes.set_yticks(range(len(rows)), rows if labelled else [""] * len(rows))
        axes.tick_params(axis="y", labelcolor=INK, length=0, pad=8)  # beside arrows at the frame
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(label.replace(" with ", "\nwith ") if tight else label)
    return figure, panels


def percent(axes: Axes, panels: int, shape: Shape) -> None:
    """An axis from 0 to 100, with a little room before it, and no more numbers than panels side by side have room for."""
    few = panels > 3 and not shape.narrow
    axes.set(xlim=(-2, 101), xticks=[0, 50, 100] if few else [0, 25, 50, 75, 100])


def two_lines(price: str) -> str:
    """A price that fits above a small panel: ``1 + 6`` above ``for selection``."""
    return price.replace(" for", "\nfor").replace(" (", "\n(")


def legend_below(figure: Figure, shape: Shape, handles: Sequence[Artist], labels: Sequence[str]) -> None:
    """A legend below all panels, in as many columns as the width holds; what it needs in height the figure grows by."""
    letters = max(len(_seen(label)) for label in labels)
    column = (letters * _LETTER + 4) * shape.font * _POINT
    most = max(1, min(len(labels), int((shape.width - 0.2) / column)))
    lines = -(-len(labels) // most)
    columns = -(-len(labels) // lines)  # as few as fill the same number of lines
    figure.set_figheight(figure.get_figheight() + max(0, lines - _LEGEND) * _LINE * shape.font * _POINT)
    figure.legend(*by_rows(handles, labels, columns), loc="outside lower center", ncols=columns, labelcolor=INK)


def named(method: str, shape: Shape) -> str:
    """The name of a method or pretraining as a row, a title or an entry of a legend, ready for matplotlib."""
    return mathtext(fitted(method, _LONGEST[shape.narrow]))


def by_rows(handles: Sequence[Artist], labels: Sequence[str], columns: int) -> tuple[list[Artist], list[str]]:
    """The entries of a legend in the order in which they are read by rows, although matplotlib fills it by columns."""
    order = [i for first in range(columns) for i in range(first, len(labels), columns)]
    return [handles[i] for i in order], [labels[i] for i in order]


def _seen(label: str) -> str:
    """About what is left of mathtext when it is set."""
    return label.replace(r"$^{\mathrm{", "").replace("}}$", "")


def bar(axes: Axes, place: float, interval: Interval, colour: str, *, upright: bool, width: float = 1.6) -> None:
    """The line from an interval's low to its high end, cut at the frame, with an arrow where it goes on.

    To be drawn when the limits of the axis are set; infinite ends are beyond every frame. Nothing without an interval.
    """
    if np.isnan(interval.low) or np.isnan(interval.high):
        return
    frame = sorted(axes.get_ylim() if upright else axes.get_xlim())
    low, high = (min(max(end, frame[0]), frame[1]) for end in (interval.low, interval.high))
    ends = [
        (low, "v" if upright else "<", interval.low < frame[0]),
        (high, "^" if upright else ">", interval.high > frame[1]),
    ]
    along, across = [low, high], [place, place]
    axes.plot(*((across, along) if upright else (along, across)), color=colour, linewidth=width, solid_capstyle="butt")
    for end, mark, leaves in ends:
        if leaves:
            at = (place, end) if upright else (end, place)
            axes.plot(*at, marker=mark, markersize=5, color=colour, markeredgewidth=0, clip_on=False)
