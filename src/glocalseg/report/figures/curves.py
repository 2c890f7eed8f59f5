"""Figures of training: validation Dice of every run while it learns, and the loss of pretraining."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from glocalseg.evaluation.statistics.rising import LEAST, MIN_CURVES
from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.dataset import renamed
from glocalseg.report.analysis.failed import Failures, failures
from glocalseg.report.analysis.worth import MEAN, rises
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.costs import cost_plots
from glocalseg.report.figures.figure import EDGE, INK, MUTED, Plot, Shape, canvas, plot
from glocalseg.report.figures.networks import network_plots
from glocalseg.report.figures.panels import grid, two_lines
from glocalseg.report.figures.shares import share_plots
from glocalseg.report.figures.signs import signs_plot
from glocalseg.report.text.colours import colours
from glocalseg.report.text.names import ALL, BASELINE, UPPER_BOUND, display, fitted, mathtext, phase_title, plain

_LINES = 12  # thin lines in a panel: of more runs the range is filled instead
_POINTS = 9000  # of all curves of a figure: more make it heavy and cannot be seen
_NAMED = 8  # cells or runs that a caption names
_FAILED = (0, (3, 1.2))
_BASELINE = (0, (1, 1.2))
_HEAD, _NOTE, _TICKS, _GAP = (
    0.21,
    0.17,
    0.2,
    0.1,
)  # inches: a method's name, a line of failed runs, of numbers, between panels
Key = tuple[str, str]


def run_plots(a: DatasetAnalysis, plan: Plan, collected: Collected) -> list[Plot]:
    """The figures of one data set's runs; those without any data are left out."""
    learning = _learning(a, collected)
    pretraining = _pretraining(a, collected.pretraining[collected.pretraining["dataset"] == a.dataset])
    return [
        *([learning] if learning else []),
        *share_plots(a, plan),
        *cost_plots(a, plan, collected),
        *([pretraining] if pretraining else []),
        *network_plots(a, collected),
        *([signs] if (signs := signs_plot(a, collected)) else []),
    ]


@dataclass(frozen=True)
class Curves:
    """Validation Dice of the runs of a cell that have scores: ``trained`` and ``failed``, (steps x repeats) tables."""

    trained: pd.DataFrame
    failed: pd.DataFrame

    @property
    def mean(self) -> pd.Series:
        """Of the runs that trained, at every step."""
        return self.trained.mean(axis=1)


def learning_curves(a: DatasetAnalysis, validation: pd.DataFrame, found: Mapping[Key, Failures]) -> dict[Key, Curves]:
    """The curves of every cell that looked at its progress, by (method, budget), in the order of cells; no mean mixes failed
    runs with others."""
    own = renamed(validation[(validation["dataset"] == a.dataset) & (validation["structure"] == MEAN)])
    rows = {(str(m), str(n)): of for (m, n), of in own.groupby(["method", "budget"], sort=False)}
    curves = {}
    for key in (k for k in a.cells if k in rows):
        table = rows[key].pivot(index="step", columns="repeat", values="dice")
        flags = dict(zip(a.repeats, found[key].flags, strict=True))
        kept = [[r for r in a.repeats if r in table and flags[r] == failed] for failed in (0, 1)]
        if kept[0] or kept[1]:
            curves[key] = Curves(table[kept[0]], table[kept[1]])
    return curves


def _learning(a: DatasetAnalysis, collected: Collected) -> Plot | None:
    found = failures(a)
    curves = learning_curves(a, collected.validation, found)
    if not curves:
        return None
    thin = "filled: their range" if _wide(curves) else "thin: each of them"
    beside = "; dotted: the mean of Random init with as many labelled volumes" if BASELINE in a.methods else ""
    return plot(
        lambda shape: _draw_learning(shape, a, curves), f"{a.dataset}-learning", dataset=a.dataset,
        title="Learning curves of every run",
        caption="Dice on the volumes that choose the weights, while fine-tuning; a row a method, a column a number of labelled "
        f"volumes. Thick: the mean of the runs that trained; {thin}; dashed: failed runs, which are in no mean{beside}. "
        f"{_failed(a, curves)} {_unfinished(a, collected)}",
        alt=f"Small line plots of validation Dice against steps, a panel for each of {len(curves)} methods and numbers of "
        f"labelled volumes. {plain(_failed(a, curves))} {plain(_unfinished(a, collected))}",
    )  # fmt: skip


def _failed(a: DatasetAnalysis, curves: Mapping[Key, Curves]) -> str:
    """How many of the runs that are drawn failed, and which."""
    runs = sum(c.trained.shape[1] + c.failed.shape[1] for c in curves.values())
    bad = [f"{_named(a, key)} {r}" for key, c in curves.items() for r in c.failed]
    return f"{len(bad)} of {runs} runs failed{_listed(bad)}."


def _unfinished(a: DatasetAnalysis, collected: Collected) -> str:
    """Of how many cells, and which, training was not finished."""
    found = rises(a, collected.validation)
    if not found:
        return f"Whether training was finished is not said of fewer than {MIN_CURVES} runs that were watched to the end."
    rising = [_named(a, key) for key, rise in found.items() if rise.rising]
    which = f"{len(rising)} of {len(found)}" if rising else f"none of {len(found)}"
    meant = "their training was not finished" if rising else "a learning rate that decays to zero levels curves by itself"
    return (
        f"In {which} methods and numbers of labelled volumes validation Dice rose by more than {LEAST:g} in the last quarter of "
        f"the steps: {meant}{_listed(rising)}."
    )


def _listed(names: Sequence[str]) -> str:
    """``: a, b and 3 more``; nothing where there are none."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" ({', '.join(names[:_NAMED])}{more})" if names else ""


def _named(a: DatasetAnalysis, key: Key) -> str:
    method, budget = key
    return display(method) if method == UPPER_BOUND else f"{display(method)} with {budget}"


def _wide(curves: Mapping[Key, Curves]) -> bool:
    """Whether there are so many runs that their range is drawn and not each of them."""
    return (
        any(c.trained.shape[1] > _LINES for c in curves.values()) or sum(c.trained.size for c in curves.values()) > _POINTS
    )


@dataclass(frozen=True)
class _Layout:
    """Where panels stand, in inches: ``side`` methods beside each other, each a block of ``columns`` panels."""

    shape: Shape
    rows: Sequence[Sequence[str]]
    columns: int
    side: int
    notes: Sequence[bool]
    ticks: bool
    top: float

    left, right = 0.42, 0.1

    @property
    def bottom(self) -> float:
        """Below all panels: what the axis is, and the legend."""
        return 0.72 if self.shape.narrow else 0.55

    @property
    def panel(self) -> tuple[float, float]:
        """Width and height."""
        columns = self.columns * self.side
        free = self.shape.width - self.left - self.right - _GAP * (columns - 1) - 0.3 * (self.side - 1)
        return free / columns, 0.68 if self.shape.narrow else 0.8

    def heights(self) -> list[float]:
        """Of every row."""
        last = len(self.rows) - 1
        return [
            _HEAD + _NOTE * note + self.panel[1] + (_TICKS if self.ticks or i == last else 0) + _GAP
            for i, note in enumerate(self.notes)
        ]

    @property
    def height(self) -> float:
        """Of the figure."""
        return self.top + sum(self.heights()) + self.bottom

    def place(self, row: int, block: int, column: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel."""
        width, height = self.panel
        x = self.left + (block * self.columns + column) * (width + _GAP) + 0.3 * block
        y = self.height - self.top - sum(self.heights()[:row]) - _HEAD - _NOTE * self.notes[row] - height
        return x, y, width, height


def _draw_learning(shape: Shape, a: DatasetAnalysis, curves: Mapping[Key, Curves]) -> Figure:
    methods = [m for m in [*a.methods, UPPER_BOUND] if any(k[0] == m for k in curves)]
    budgets = [n for n in a.budgets if any(k[1] == n for k in curves)] or [ALL]
    side = min(len(methods), max(1, (2 if shape.narrow else 4) // len(budgets)))
    rows = [methods[i : i + side] for i in range(0, len(methods), side)]
    notes = [any(c.failed.shape[1] for (m, _), c in curves.items() if m in row) for row in rows]
    ends = {m: max(c.mean.index.max() for k, c in curves.items() if k[0] == m) for m in methods}
    lines = max(_head(a, n, shape).count("\n") for n in budgets) + 1
    layout = _Layout(shape, rows, len(budgets), side, notes, len(set(ends.values())) > 1, 0.08 + 0.17 * lines)
    figure = canvas(shape.width, layout.height)
    figure.set_layout_engine("none")  # places are known; finding them takes minutes for a hundred panels
    limits = _limits(curves)
    for row, here in enumerate(rows):
        for block, method in enumerate(here):
            shown = [ALL] if method == UPPER_BOUND else budgets
            x, y, _, height = layout.place(row, block, 0)
            name = f"{display(method)}: {a.price(ALL, method)}" if method == UPPER_BOUND else fitted(method, 40)
            _text(figure, x, y + height + _NOTE * notes[row] + 0.06, mathtext(name), weight="bold")
            for column, budget in enumerate(shown):
                axes = figure.add_axes(_share(layout.place(row, block, column), figure))
                _panel(axes, a, curves, (method, budget), limits, ends[method])
                axes.tick_params(
                    labelleft=block + column == 0, labelbottom=layout.ticks or row >= len(rows) - 1, left=False, bottom=False
                )
                _note(figure, layout.place(row, block, column), curves.get((method, budget)), shape)
    _heads(figure, a, layout, budgets)
    _key(figure, shape, a, curves)
    return figure


def _share(place: tuple[float, float, float, float], figure: Figure) -> tuple[float, float, float, float]:
    width, height = figure.get_size_inches()
    return place[0] / width, place[1] / height, place[2] / width, place[3] / height


def _text(figure: Figure, x: float, y: float, text: str, **options: object) -> None:
    width, height = figure.get_size_inches()
    figure.text(x / width, y / height, text, **options)  # type: ignore[arg-type]


def _head(a: DatasetAnalysis, budget: str, shape: Shape) -> str:
    price = a.price(budget)
    if len(a.budgets) < 3 + 2 * (not shape.narrow):
        return price
    return two_lines(price).replace("\nfor ", "\nfor\n") if shape.narrow and len(a.budgets) > 3 else two_lines(price)


def _heads(figure: Figure, a: DatasetAnalysis, layout: _Layout, budgets: Sequence[str]) -> None:
    """What each column's labels cost, once above all rows."""
    for block in range(layout.side):
        for column, budget in enumerate(budgets if layout.rows[0][block] != UPPER_BOUND else ()):
            x = layout.place(0, block, column)[0]
            _text(figure, x, layout.height - 0.06, _head(a, budget, layout.shape), va="top", color=INK,
                  fontsize=layout.shape.small, linespacing=1.1)  # fmt: skip
    _text(figure, layout.shape.width / 2, layout.bottom - 0.12, "validation Dice by step", ha="center", color=MUTED)


def _limits(curves: Mapping[Key, Curves]) -> tuple[float, float]:
    values = np.concatenate([t.to_numpy().ravel() for c in curves.values() for t in (c.trained, c.failed)])
    return float(np.floor(10 * np.nanmin(values)) / 10), min(1.0, float(np.ceil(20 * np.nanmax(values)) / 20))


def _panel(
    axes: Axes, a: DatasetAnalysis, curves: Mapping[Key, Curves], key: Key, limits: tuple[float, float], end: float
) -> None:
    axes.set(xlim=(0, end), ylim=limits, xticks=[0, end], yticks=_ticks(*limits))
    first, last = axes.get_xticklabels()
    first.set_horizontalalignment("left")
    last.set_horizontalalignment("right")
    axes.grid(axis="x", visible=False)
    axes.patch.set_visible(False)
    own, baseline = curves.get(key), curves.get((BASELINE, key[1]))
    if own is None:
        axes.text(0.5, 0.5, "no run", transform=axes.transAxes, ha="center", va="center", color=MUTED)
        return
    colour = colours(a.methods)[key[0]]
    steps = own.trained.index
    if _wide(curves) and own.trained.shape[1]:
        axes.fill_between(steps, own.trained.min(axis=1), own.trained.max(axis=1), color=colour, alpha=0.3, linewidth=0)
    else:
        axes.plot(*_joined(own.trained), color=colour, linewidth=0.7, alpha=0.55)
    axes.plot(steps, own.failed, color=INK, linewidth=1.1, linestyle=_FAILED)
    if baseline and key[0] != BASELINE:
        axes.plot(baseline.mean, color=INK, linewidth=1.3, linestyle=_BASELINE)
    axes.plot(own.mean, color=colour, linewidth=2)


def _joined(curves: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and Dice of all curves one after the other, with gaps between them: one line, which is lighter than many."""
    gap = np.nan
    steps = [np.append(own.index.to_numpy(float), gap) for _, own in curves.items()]
    dice = [np.append(own.to_numpy(float), gap) for _, own in curves.items()]
    return (np.concatenate(steps), np.concatenate(dice)) if steps else (np.empty(0), np.empty(0))


def _ticks(low: float, high: float) -> list[float]:
    """Both ends at tenths and the middle between them."""
    ends = low, np.floor(10 * high + 1e-9) / 10
    return [round(float(v), 2) for v in (ends[0], (ends[0] + ends[1]) / 2, ends[1])]


def _note(figure: Figure, place: tuple[float, float, float, float], own: Curves | None, shape: Shape) -> None:
    """Which runs failed, above their panel; how many, where their names do not fit."""
    if own is None or not own.failed.shape[1]:
        return
    names = f"failed: {', '.join(map(str, own.failed))}"
    fits = len(names) * 0.6 * shape.small / 72 <= place[2]
    text = names if fits else f"{own.failed.shape[1]} failed"
    _text(figure, place[0], place[1] + place[3] + 0.05, text, color=INK, fontsize=shape.small)


def _key(figure: Figure, shape: Shape, a: DatasetAnalysis, curves: Mapping[Key, Curves]) -> None:
    """The legend of lines; methods are named at their rows."""
    wide = _wide(curves)
    entries = [
        (Line2D([], [], color=EDGE, linewidth=2.4), "mean of trained runs"),
        (
            Line2D([], [], color=EDGE, linewidth=6 if wide else 0.8, alpha=0.4 if wide else 1),
            "their range" if wide else "each",
        ),
    ]
    if any(c.failed.shape[1] for c in curves.values()):
        entries.append((Line2D([], [], color=INK, linewidth=1.1, linestyle=_FAILED), "failed run"))
    if any(k[0] == BASELINE for k in curves):
        entries.append((Line2D([], [], color=INK, linewidth=1.3, linestyle=_BASELINE), f"mean of {display(BASELINE)}"))
    handles, labels = zip(*entries, strict=True)
    figure.legend(handles, labels, loc="lower center", ncols=2 if shape.narrow else 4, labelcolor=INK, borderaxespad=0.1)


def _pretraining(a: DatasetAnalysis, logs: pd.DataFrame) -> Plot | None:
    if logs.empty:
        return None
    names = list(dict.fromkeys(zip(logs["phase"], logs["name"], strict=True)))
    several = any(logs.loc[logs["name"] == name, "seed"].nunique() > 1 for _, name in names)
    first = logs[logs["seed"] == logs.groupby(["phase", "name"])["seed"].transform("min")]
    ends = _smoothed(first, len(names)).groupby(["phase", "name"], sort=False)["loss"].agg(["first", "last"])
    return plot(
        lambda shape: _draw_pretraining(shape, a, logs, names), f"{a.dataset}-pretraining", dataset=a.dataset,
        title="Pretraining curves",
        caption=f"Training loss by step, smoothed{'; thick: the first seed, thin: the others' if several else ''}. Losses of "
        "different strategies are different quantities: each panel has its own scale, and no two can be compared. A contrastive "
        "loss near zero after a few steps is a warning.",
        alt="Small line plots of the training loss of each pretraining against steps, of the first seed: "
        + ", ".join(f"{plain(display(str(k[1])))} from {row['first']:.2f} to {row['last']:.2f}" for k, row in ends.iterrows())
        + ".",
    )  # fmt: skip


def _draw_pretraining(shape: Shape, a: DatasetAnalysis, logs: pd.DataFrame, names: Sequence[tuple[str, str]]) -> Figure:
    figure, panels = grid(shape, len(names), wide=4 if len(names) <= 12 else 5, narrow=2, height=1.45)
    colour = colours(list(dict.fromkeys([*a.methods, *logs["name"]])))
    curves = _smoothed(logs, logs.groupby(["phase", "name", "seed"]).ngroups)
    for axes, (phase, name) in zip(panels, names, strict=True):
        of = curves[(curves["phase"] == phase) & (curves["name"] == name)]
        first = of["seed"].min()
        for seed, run in of.groupby("seed", sort=False):
            axes.plot(run["step"], run["loss"], color=colour[name], linewidth=2 if seed == first else 0.7,
                      alpha=1 if seed == first else 0.55, zorder=3 if seed == first else 2)  # fmt: skip
        axes.set_title(mathtext(fitted(name, 22)))
        axes.set_xlabel(f"step of {phase_title(phase).lower()}", fontsize=shape.small)
        axes.margins(x=0)
        axes.locator_params(nbins=3)
    for axes in panels:
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel("loss")
    return figure


def _smoothed(logs: pd.DataFrame, curves: int) -> pd.DataFrame:
    """The curve of every phase, name and seed as a moving mean, at no more points than can be seen."""
    points = max(12, min(200, _POINTS // 2 // curves))
    return pd.concat(
        [_curve(run, points) for _, run in logs.groupby(["phase", "name", "seed"], sort=False)], ignore_index=True
    )


def _curve(run: pd.DataFrame, points: int) -> pd.DataFrame:
    smooth = run["loss"].rolling(max(1, len(run) // 40), min_periods=1).mean()
    shown = np.unique(np.linspace(0, len(run) - 1, min(len(run), points)).round().astype(int))
    return run.assign(loss=smooth).iloc[shown]
