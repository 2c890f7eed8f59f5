"""Figures of costs: images per second, Dice against hours of compute, and what methods are worth in labelled volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.worth import Hours, efficiency, hours
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import INK, PAPER, Plot, Shape, canvas, plot
from glocalseg.report.figures.panels import bar, by_budget, grid, legend_below
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import PHASES, colours, markers
from glocalseg.report.text.names import ALL, BASELINE, display, mathtext, phase_title, plain, shortened

_SMALL = 2.0  # hours below which minutes are shown
Key = tuple[str, str]


def cost_plots(a: DatasetAnalysis, plan: Plan, collected: Collected) -> list[Plot]:
    """Label efficiency, Dice by hours, and throughput of one data set; those without any data are left out."""
    plots = [
        _efficiency(a),
        _compute(a, {k: h for k, h in hours(a, plan, collected).items() if np.isfinite(h.total)}),
        _throughput(a, collected.timings),
    ]
    return [p for p in plots if p]


def _efficiency(a: DatasetAnalysis) -> Plot | None:
    found = {key: i for key, i in efficiency(a).items() if not np.isnan(i.estimate)}
    if not found:
        return None
    fewer = sum(i.high < int(n) for (_, n), i in found.items())
    more = sum(i.low > int(n) for (_, n), i in found.items())
    return plot(
        lambda shape: _draw_efficiency(shape, a, found), f"{a.dataset}-efficiency", dataset=a.dataset,
        title="How many labelled volumes random weights need for as much",
        caption=f"With how many labelled volumes to train on {display(BASELINE)} scores what the method does with those of the "
        "panel's head (vertical line); right of the line the method saves labels. Line: the interval of all numbers at which the "
        "paired difference could be zero. Arrows: fewer than the smallest or more than the largest number that was run, beyond "
        f"which nothing is known. The interval lies right of the line for {more} of {len(found)} methods and numbers of labelled "
        f"volumes, left of it for {fewer}.",
        alt=f"Dot plot of the number of labelled volumes that {plain(display(BASELINE))} needs to score what each method does: "
        f"the interval lies above the method's own number for {more} of {len(found)}, below it for {fewer}.",
    )  # fmt: skip


def _draw_efficiency(shape: Shape, a: DatasetAnalysis, found: Mapping[Key, Interval]) -> Figure:
    budgets = [n for n in a.budgets if any(k[1] == n for k in found)]
    methods = [m for m in a.methods if any(k[0] == m for k in found)]
    names = [mathtext(shortened(display(m), 22)) for m in methods]
    figure, panels = by_budget(
        shape, [a.price(n) for n in budgets], names, label=f"labelled volumes with {display(BASELINE)}"
    )
    colour, mark, volumes = colours(a.methods), markers(a.methods), [int(n) for n in a.budgets]
    for axes, budget in zip(panels, budgets, strict=True):
        axes.set_xscale("log")
        axes.set_xlim(volumes[0] / 1.25, volumes[-1] * 1.25)
        axes.set_xticks(volumes, a.budgets)
        axes.set_xticks([], minor=True)
        axes.axvline(int(budget), color=INK, linewidth=1)
        for row, method in enumerate(methods):
            if (i := found.get((method, budget))) is not None:
                bar(axes, row, i, colour[method], upright=False)
                if 0 < i.estimate < np.inf:
                    axes.plot(i.estimate, row, marker=mark[method], color=colour[method], markersize=6.5)
                else:
                    _beyond(axes, row, i.estimate, colour[method])
    return figure


def _beyond(axes: Axes, row: int, estimate: float, colour: str) -> None:
    """A large arrow at the frame: not even the estimate lies in it."""
    low, high = axes.get_xlim()
    axes.plot(low if estimate == 0 else high, row, marker="<" if estimate == 0 else ">", markersize=9, color=colour,
              markeredgewidth=0, clip_on=False)  # fmt: skip


def _compute(a: DatasetAnalysis, found: Mapping[Key, Hours]) -> Plot | None:
    keys = [k for k in found if k[1] != ALL]
    if not keys:
        return None
    unit, factor = ("minutes", 60.0) if max(found[k].total for k in keys) < _SMALL else ("hours", 1.0)
    shares = [h.pretraining / h.total for k in keys if (h := found[k]).pretraining > 0]
    ends = " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares), max(shares)))) if shares else ""
    share = f" Pretraining is {ends} of it where there is one." if shares else ""
    return plot(
        lambda shape: _draw_compute(shape, a, found, factor, unit), f"{a.dataset}-compute", dataset=a.dataset,
        title="Dice against compute",
        caption="Mean Dice with its interval over subjects and repeats, against the mean compute of a run, by number of labelled "
        "volumes: fine-tuning and every pretraining that it starts from, in full, however many runs share it. Up and to the left "
        "is better; points that would cover one another are moved apart sideways. Scales of Dice differ between panels; arrows: "
        "the interval goes on; a mark at the lower edge lies below it, where its number says. Intervals that overlap do not mean "
        f"that methods are equal, because all see the same subjects and repeats.{share} Jobs that ran side by side slow "
        "one another down.",
        alt=f"Scatter plots of mean Dice against {unit} of compute a run. {_costs(a, found, factor, unit)}",
    )  # fmt: skip


def _costs(a: DatasetAnalysis, found: Mapping[Key, Hours], factor: float, unit: str) -> str:
    """The cheapest and the dearest method at each budget."""
    said = []
    for n in a.budgets:
        of = {m: h.total for (m, budget), h in found.items() if budget == n}
        if len(of) > 1:
            low, high = min(of, key=of.__getitem__), max(of, key=of.__getitem__)
            ends = [f"{plain(display(m))} {factor * of[m]:.3g}" for m in (low, high)]
            said.append(f"{a.price(n)}: from {ends[0]} to {ends[1]} {unit}")
    return "; ".join(said) + "." if said else ""


def _draw_compute(shape: Shape, a: DatasetAnalysis, found: Mapping[Key, Hours], factor: float, unit: str) -> Figure:
    budgets = [n for n in a.budgets if any(k[1] == n for k in found)]
    methods = [m for m in a.methods if any(k[0] == m and k[1] != ALL for k in found)]
    colour, mark = colours(a.methods), markers(a.methods)
    figure, panels = grid(shape, len(budgets), wide=3 if len(budgets) != 4 else 4, narrow=1, height=2.6)
    end = max(h.total for (_, n), h in found.items() if n != ALL) * factor
    for axes, budget in zip(panels, budgets, strict=True):
        means = {m: a.cells[m, budget].mean.interval for m in methods if (m, budget) in found}
        axes.set(xlim=(-0.03 * end, 1.06 * end), ylim=_limits(list(means.values())), xlabel=f"{unit} of compute a run")
        axes.set_title(a.price(budget))
        places = apart(np.array([factor * found[m, budget].total for m in means]), least=0.035 * end)
        for (method, mean), x in zip(means.items(), places, strict=True):
            _point(axes, x, mean, colour[method], mark[method], width=1.1 if len(means) <= 12 else 0.5)
    for place, axes in enumerate(panels):
        if shape.narrow or place == 0 or (place % 3 == 0 and len(budgets) != 4):
            axes.set_ylabel("mean Dice")
    handles = [Line2D([], [], color=colour[m], marker=mark[m], linestyle="none", markersize=7) for m in methods]
    legend_below(figure, shape, handles, [mathtext(shortened(display(m), 22)) for m in methods])
    return figure


def apart(places: NDArray[np.float64], *, least: float) -> NDArray[np.float64]:
    """Places with no two closer than ``least``, or than what keeps a crowd within eight times that: crowds are spread evenly
    about their mean, others stay."""
    order = np.argsort(places, kind="stable")
    moved = places.astype(float)
    crowds = np.split(order, np.flatnonzero(np.diff(places[order]) >= least) + 1)
    for crowd in crowds:
        step = min(least, 8 * least / len(crowd))
        moved[crowd] = places[crowd].mean() + step * (np.arange(len(crowd)) - (len(crowd) - 1) / 2)
    return moved


def _point(axes: Axes, x: float, mean: Interval, colour: str, mark: str, *, width: float) -> None:
    """A mean with its interval; at the lower edge, with its value, where it lies below the frame."""
    low = axes.get_ylim()[0]
    if mean.estimate >= low:
        bar(axes, x, mean, colour, upright=True, width=width)
    else:
        axes.annotate(
            number(mean.estimate, 2), (x, low), xytext=(0, 7), textcoords="offset points", ha="center", fontsize=8.5
        )
    axes.plot(x, max(low, mean.estimate), marker=mark, color=colour, markersize=7, linestyle="none", markeredgecolor=PAPER,
              markeredgewidth=0.6, zorder=4, clip_on=False)  # fmt: skip


def _limits(means: Sequence[Interval]) -> tuple[float, float]:
    """As much of the intervals as leaves the differences between the estimates to be seen; those far below the others, which
    would press these together, are left outside."""
    found = np.array([m.estimate for m in means])
    middle, high = float(np.median(found)), float(found.max())
    near = [m for m in means if m.estimate >= middle - max(0.04, 4 * (high - middle))]
    low = min(m.estimate for m in near)
    room = max(0.02, 0.9 * (high - low))
    ends = [v for m in near for v in (m.low, m.high) if np.isfinite(v)] or [low, high]
    return max(0.0, low - room, min(ends) - 0.01), min(1.0, high + room, max(*ends, high) + 0.01)


def _throughput(a: DatasetAnalysis, timings: pd.DataFrame) -> Plot | None:
    own = timings[(timings["dataset"] == a.dataset) & timings["images_per_second"].notna()]
    if own.empty:
        return None
    tuned = own["phase"] == "finetune"
    rates = own.assign(bar=own["method"].where(~tuned, "")).groupby(["phase", "bar"], sort=False)["images_per_second"]
    ends = rates.mean()
    said = ", ".join(
        f"{phase_title(str(p)).lower()} {plain(display(str(b)))}".strip() + f" {v:,.0f}" for (p, b), v in ends.items()
    )
    return plot(
        lambda shape: _draw_throughput(shape, rates.agg(["mean", "min", "max"])), f"{a.dataset}-throughput", dataset=a.dataset,
        title="Throughput",
        caption="Images that training takes in per second, views included; bar: mean over runs, line: their range; fine-tuning: "
        "over all methods. Several jobs may have shared the machine.",
        alt=f"Bar chart of images per second: {said}.",
    )  # fmt: skip


def _draw_throughput(shape: Shape, rates: pd.DataFrame) -> Figure:
    figure = canvas(shape.width, 0.95 + 0.25 * len(rates))
    axes = figure.subplots()
    for row, ((phase, _), rate) in enumerate(rates.iterrows()):
        axes.barh(row, rate["mean"], height=0.68, color=PHASES[phase])
        axes.plot([rate["min"], rate["max"]], [row, row], color=INK, linewidth=1.4)
        axes.annotate(f"{rate['mean']:,.0f}", (rate["max"], row), xytext=(5, 0), textcoords="offset points", va="center")
    names = [mathtext(shortened(display(name), 22)) if name else "all methods" for _, name in rates.index]
    axes.set_yticks(range(len(rates)), names)
    axes.set_ylim(len(rates) - 0.45, -0.55)
    axes.set_xlim(0, 1.15 * float(rates["max"].max()))
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second")
    phases = list(dict.fromkeys(rates.index.get_level_values("phase")))
    legend_below(figure, shape, [Patch(color=PHASES[p]) for p in phases], [phase_title(p) for p in phases])
    return figure
