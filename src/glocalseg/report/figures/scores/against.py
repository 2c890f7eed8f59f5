"""Forest at one number of labelled volumes: every method's gain over random weights, in groups, the controls apart.

One figure a budget, to be read by itself, as a paper or a README shows it: a line a method, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.figure import Figure

from glocalseg.config.benchmark import SUPERVISED, Benchmark, Method
from glocalseg.report.analysis.cells import Compared, DatasetAnalysis
from glocalseg.report.figures.figure import Plot, Shape, plot
from glocalseg.report.figures.scores.forest import Line, draw_forest, how_read
from glocalseg.report.tables.table import bracket, signed
from glocalseg.report.text.names import BASELINE, UPPER_BOUND, display, mathtext, plain, shortened

_STEP = {True: 0.36, False: 0.2}  # inches of a method, narrow and wide
_HEAD, _GAP, _NAME = 0.3, 0.07, 0.2  # of a heading, between groups, of a name above its line where it is narrow
CONTROLS = "Controls"


def against_plots(a: DatasetAnalysis, b: Benchmark) -> list[Plot]:
    """One figure for each number of labelled volumes at which anything is compared with random weights."""
    made = []
    for budget in a.budgets:
        groups = grouped(a, b, budget)
        if any(head != CONTROLS for head in groups):
            made.append(_plot(a, budget, groups))
    return made


def grouped(a: DatasetAnalysis, b: Benchmark, budget: str) -> dict[str, list[Compared]]:
    """What is compared at a budget, by what kind of method it is, in the order of the benchmark; controls last."""
    kinds = {m.id: kind_of(m) for m in b.methods}
    found: dict[str, list[Compared]] = {}
    for c in (*a.family("random"), *a.family("controls")):
        if c.budget == budget and np.isfinite(c.comparison.gain.mean.interval.estimate):
            found.setdefault(CONTROLS if c.family == "controls" else kinds[c.method], []).append(c)
    controls = found.pop(CONTROLS, [])
    return found | ({CONTROLS: controls} if controls else {})


def kind_of(m: Method) -> str:
    """What a line changes beside random weights that are fine-tuned on labelled slices alone."""
    if m.set_:
        return "With settings of their own"
    if m.global_ and m.regime != SUPERVISED:
        return "Pretraining, then another regime"
    return "Pretraining" if m.global_ else "Regimes of fine-tuning"


def _plot(a: DatasetAnalysis, budget: str, groups: dict[str, list[Compared]]) -> Plot:
    names = [min(40, len(plain(_name(c)))) for of in groups.values() for c in of]
    letters = max(*names, *(len(head) + 3 for head in groups))  # headings are bold

    title = f"Gain over {plain(display(BASELINE))}, labelled: {a.price(budget)}"

    def draw(shape: Shape) -> Figure:
        lines = list(_lines(groups, shape))
        return draw_forest(a, lines, shape, letters=letters + 1, labels={}, title=title)

    return plot(
        draw, f"{a.dataset}-against-n{budget}", dataset=a.dataset,
        title=title,
        caption=f"Mean gain in Dice over {display(BASELINE)}, or over what a control's line names, with its interval, which is "
        f"not corrected{how_read(a)} Controls are a family of their own.",
        alt=_alt(groups),
    )  # fmt: skip


def _name(c: Compared) -> str:
    """Who gains, and over whom where that is not random weights."""
    return display(c.method) if c.other == BASELINE else f"{display(c.method)} against {display(c.other)}"


def _lines(groups: dict[str, list[Compared]], shape: Shape) -> Iterator[Line]:
    """From the top: a heading a group, and its methods below each other."""
    top, step = 0.0, _STEP[shape.narrow]
    for head, own in groups.items():
        yield Line(top + _HEAD / 2, head, heading=True)
        top += _HEAD
        for c in own:
            text = mathtext(shortened(_name(c), 40))
            if shape.narrow:
                yield Line(top + _NAME / 2, text)
                top += _NAME
            yield Line(top + step / 2, "" if shape.narrow else text, c)
            top += step
        top += _GAP


def _alt(groups: dict[str, list[Compared]]) -> str:
    """Every gain with its interval."""
    said = []
    for head, own in groups.items():
        gains = [_gain(c) for c in own if c.method != UPPER_BOUND]
        if gains:
            said.append(f"{head}: {', '.join(gains)}")
    return f"Forest plot. {'. '.join(said)}."


def _gain(c: Compared) -> str:
    i = c.comparison.gain.mean.interval
    verdict = f" {c.verdict}" if c.verdict else ""
    return f"{plain(display(c.method))} {signed(i.estimate)} {bracket(i.low, i.high)}".rstrip() + verdict
