"""Figures of scores: gains, Dice against labels, every comparison, every repeat and every test subject."""

from __future__ import annotations

from glocalseg.config.benchmark import Benchmark
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.figures.figure import Plot
from glocalseg.report.figures.scores.against import against_plots
from glocalseg.report.figures.scores.dice import dice_plot, structures_plot
from glocalseg.report.figures.scores.forest import forest_plot
from glocalseg.report.figures.scores.gain import gain_plot
from glocalseg.report.figures.scores.profile import profile_plot
from glocalseg.report.figures.scores.repeats import repeats_plot
from glocalseg.report.figures.scores.subjects import subjects_plot
from glocalseg.report.figures.scores.values import values_plot


def score_plots(a: DatasetAnalysis, b: Benchmark) -> list[Plot]:
    """The figures of one data set's scores, the one that answers first; those that the benchmark has nothing for are left out."""
    drawn = [gain_plot, forest_plot, dice_plot, structures_plot, subjects_plot, profile_plot, repeats_plot]
    made = [plot for draw in drawn if (plot := draw(a))]
    values = values_plot(a, b)
    return [*made, *against_plots(a, b), *([values] if values else [])]
