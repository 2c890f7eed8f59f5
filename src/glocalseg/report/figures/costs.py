"""Figures of costs: images per second, Dice against hours of compute, and what methods are worth in labelled volumes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import CARETLEFT, CARETRIGHT
from matplotlib.patches import Patch

from glocalseg.evaluation.statistics.intervals import Interval
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import Cell, DatasetAnalysis
from glocalseg.report.analysis.worth import Hours, efficiency, hours
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import INK, MUTED, Plot, Shape, canvas, plot
from glocalseg.report.figures.panels import bar, by_budget, legend_below, named
from glocalseg.report.figures.scores.frame import frame, method_mark
from glocalseg.report.tables.table import number
from glocalseg.report.text.colours import PHASES, colours, markers
from glocalseg.report.text.names import ALL, BASELINE, display, phase_title, plain

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
    names = [named(m, shape) for m in methods]
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
        lambda shape: draw_compute(shape, a, found, factor, unit), f"{a.dataset}-compute", dataset=a.dataset,
        title="Dice beside compute",
        caption="Left, the mean compute of a run, from the least at the top: fine-tuning and every pretraining that it starts "
        "from, in full, however many runs share it; the mean over numbers of labelled volumes. Right, mean Dice with its "
        "interval over subjects and repeats, on a scale for each number of labelled volumes; an arrow: outside; "
        "dotted: random weights. Intervals that overlap do not mean "
        f"that methods are equal, because all see the same subjects and repeats.{share} Jobs that ran side by side slow "
        "one another down.",
        alt=f"Bars of {unit} of compute a run beside dots of mean Dice. {_costs(a, found, factor, unit)}",
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


def by_compute(a: DatasetAnalysis, found: Mapping[Key, Hours]) -> dict[str, tuple[float, float]]:
    """Mean hours of fine-tuning and of pretraining over all budgets, by method, from the least in all."""
    means = {}
    for m in a.methods:
        own = [h for (method, n), h in found.items() if method == m and n != ALL]
        if own:
            before = float(np.mean([h.pretraining for h in own]))
            means[m] = (float(np.mean([h.total for h in own])) - before, before)
    return dict(sorted(means.items(), key=lambda item: sum(item[1])))


def draw_compute(shape: Shape, a: DatasetAnalysis, found: Mapping[Key, Hours], factor: float, unit: str) -> Figure:
    """Bars of compute, and beside them Dice at every number of labelled volumes: a row a method, named once."""
    taken = by_compute(a, found)
    budgets = [n for n in a.budgets if any(k[1] == n for k in found)]
    names = [named(m, shape) for m in taken]
    titles = ["Compute a run", *(a.price(n) for n in budgets)]
    figure, panels = by_budget(shape, titles, names, row=0.2 if len(taken) > 12 else 0.25)
    _bars(panels[0], list(taken.values()), factor, unit)
    for axes, budget in zip(panels[1:], budgets, strict=True):
        axes.set_xlim(_limits(a, budget))
        axes.locator_params(axis="x", nbins=4)
        axes.set_xlabel("mean Dice")
        if baseline := a.cell(BASELINE, budget):
            axes.axvline(baseline.mean.interval.estimate, color=MUTED, linewidth=1, linestyle=(0, (1, 1.2)))
        for row, method in enumerate(taken):
            if (method, budget) in found:
                _dot(axes, a, row, a.cells[method, budget])
    handles = [Patch(color=PHASES["finetune"]), Patch(color=PHASES["pretrain_global"])]
    if any(before for _, before in taken.values()):
        legend_below(figure, shape, handles, ["fine-tuning", "all pretraining"])
    return figure


def _limits(a: DatasetAnalysis, budget: str) -> tuple[float, float]:
    """What shows the methods of a budget well; a control far off becomes an arrow."""
    cells = [c for c in a.cells.values() if c.budget == budget]
    means = [c.mean.interval for c in cells if c.method not in a.references] or [c.mean.interval for c in cells]
    return frame((i.estimate for i in means), means, least=0.04, bounds=(0.0, 1.0))


def _bars(axes: Axes, taken: Sequence[tuple[float, float]], factor: float, unit: str) -> None:
    """Fine-tuning and pretraining end to end, with their sum behind them."""
    for row, (tuned, before) in enumerate(taken):
        axes.barh(row, factor * tuned, height=0.66, color=PHASES["finetune"])
        axes.barh(row, factor * before, left=factor * tuned, height=0.66, color=PHASES["pretrain_global"])
        axes.annotate(f"{factor * (tuned + before):.3g}", (factor * (tuned + before), row), xytext=(3, 0),
                      textcoords="offset points", va="center", fontsize=8.5)  # fmt: skip
    axes.set_xlim(0, 1.3 * factor * max(sum(t) for t in taken))
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlabel(unit)


def _dot(axes: Axes, a: DatasetAnalysis, row: int, cell: Cell) -> None:
    """A mean with its interval; one beyond the frame as an arrow there, with its number."""
    mean, colour = cell.mean.interval, colours(a.methods)[cell.method]
    low, high = axes.get_xlim()
    if low <= mean.estimate <= high:
        bar(axes, row, mean, colour, upright=False, width=1.3)
        axes.plot(mean.estimate, row, linestyle="none", **method_mark(a, cell.method, 5))
        return
    below = mean.estimate < low
    axes.annotate(number(mean.estimate, 2), (low if below else high, row), xytext=(9 if below else -9, 0), va="center",
                  textcoords="offset points", ha="left" if below else "right", fontsize=8.5)  # fmt: skip
    axes.plot(low if below else high, row, marker=CARETLEFT if below else CARETRIGHT, markersize=7, color=colour,
              markeredgewidth=0, clip_on=False)  # fmt: skip


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
    names = [named(name, shape) if name else "all methods" for _, name in rates.index]
    axes.set_yticks(range(len(rates)), names)
    axes.set_ylim(len(rates) - 0.45, -0.55)
    axes.set_xlim(0, 1.15 * float(rates["max"].max()))
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("images per second")
    phases = list(dict.fromkeys(rates.index.get_level_values("phase")))
    legend_below(figure, shape, [Patch(color=PHASES[p]) for p in phases], [phase_title(p) for p in phases])
    return figure
