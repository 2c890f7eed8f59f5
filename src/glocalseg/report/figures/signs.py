"""Figure of the diagnostics that methods declare: a panel for each name, a line for each method that logs it."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.signs import Sign, declared_signs
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import Plot, Shape, plot
from glocalseg.report.figures.panels import grid, legend_below, named
from glocalseg.report.tables.recorded.signs import brief
from glocalseg.report.text.colours import colours
from glocalseg.report.text.names import display, phase_title, plain, shortened

LineStyle = tuple[float, tuple[float, ...]]
_LINES: tuple[LineStyle, ...] = (
    (0, ()),
    (0, (4, 1.5)),
    (0, (1, 1.2)),
    (0, (5, 1.2, 1, 1.2)),
)  # by method, because colours alone do not tell them apart
_NAMED = 6  # diagnostics that the alternative text goes through
Panel = tuple[str, str]  # phase and diagnostic


def signs_plot(a: DatasetAnalysis, collected: Collected) -> Plot | None:
    """The course of every declared diagnostic over steps; None where no method of the data set's runs declares one."""
    found = declared_signs(collected.signs, a.dataset)
    smallest = next((n for n in a.budgets if any(s.budget == n for s in found)), "")
    there = [s for s in found if s.budget in ("", smallest)]
    if not there:
        return None
    shared = f" Fine-tuning: with {a.price(smallest)}." if smallest else ""
    return plot(
        lambda shape: _draw(shape, a, there), f"{a.dataset}-signs", dataset=a.dataset,
        title="The course of the diagnostics that methods declare",
        caption="A panel for each diagnostic, a line for each method that declares it: its mean over runs at every logged step."
        f"{shared} What is to be read from each stands in the table below. Methods that share a name need not share its scale.",
        alt=_alt(there),
    )  # fmt: skip


def _alt(there: Sequence[Sign]) -> str:
    said = [f"{plain(display(s.name))} {s.sign} from {brief(s.first.mean)} to {brief(s.last.mean)}" for s in there[:_NAMED]]
    more = f"; and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return f"Small line plots of diagnostics against steps: {'; '.join(said)}{more}."


def _draw(shape: Shape, a: DatasetAnalysis, there: Sequence[Sign]) -> Figure:
    panels: dict[Panel, list[Sign]] = {}
    for s in there:
        panels.setdefault((s.phase, s.sign), []).append(s)
    names = list(dict.fromkeys(s.name for s in there))
    colour = colours([*a.methods, *names])
    line = {name: _LINES[i % len(_LINES)] for i, name in enumerate(names)}
    figure, all_axes = grid(shape, len(panels), wide=4, narrow=2, height=1.5)
    for axes, ((phase, sign), own) in zip(all_axes, panels.items(), strict=True):
        for s in own:
            axes.plot(s.course, color=colour[s.name], linestyle=line[s.name], linewidth=1.5)
        axes.set_title(shortened(sign, 19))
        axes.set_xlabel(f"step of {phase_title(phase).lower()}", fontsize=shape.small)
        axes.margins(x=0)
        axes.locator_params(nbins=3)
    handles = [Line2D([], [], color=colour[n], linestyle=line[n], linewidth=1.8) for n in names]
    legend_below(figure, shape, handles, [named(n, shape) for n in names])
    return figure
