"""Predictions of several methods side by side on the same slices: best, median and worst cases, worst subjects, failed runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import open_store
from glocalseg.plan.jobs import Plan
from glocalseg.records.sealed import absent
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import Plot, plot
from glocalseg.report.figures.overlays.cases import Case as Case
from glocalseg.report.figures.overlays.cases import Runs, failed, ranked, subjects, worst
from glocalseg.report.figures.overlays.scene import Scene, at_one_scale, scene_of
from glocalseg.report.figures.overlays.sheet import draw
from glocalseg.report.figures.overlays.words import away, failed_caption, head, ranked_caption, said, worst_caption

RANKED, WORST, FAILED = KINDS = ("overlays", "overlays-worst", "overlays-failed")  # how the figures' names end


def overlay_plots(
    a: DatasetAnalysis, plan: Plan, collected: Collected, root: Path, kinds: Sequence[str] = KINDS
) -> list[Plot]:
    """The overlay figures of a data set: cases by rank, the worst subjects, failed runs.

    A figure is left out where the slice store or all of its predictions are not there, or there is nothing to show.

    Args:
        kinds: which of KINDS are drawn.

    Raises:
        CorruptedError: if a slice store or predictions are not as they were written.
        ReportError: if predictions do not fit the slice store.
    """
    job = next((j for j in plan.of("data") if j.dataset == a.dataset), None)
    if job is None or not (root / job.record).is_file() or absent(root / job.record):
        return []
    store, runs, card = open_store(root / job.record), Runs(a, plan, collected), plan.cards[a.dataset]
    bad, count = failed(runs)
    figures = [
        (ranked(runs), RANKED, "Best, median and worst test case", ranked_caption),
        (worst(runs), WORST, "The worst test subjects", worst_caption),
        (bad, FAILED, "What failed runs predict", lambda a, cases: failed_caption(cases, count)),
    ]
    plots = []
    for cases, suffix, title, caption in (figure for figure in figures if figure[1] in kinds):
        own = at_one_scale([scene for case in cases if (scene := scene_of(case, store, root))])
        if own:
            plots.append(_plot(a, card, own, suffix, title, caption(a, [s.case for s in own])))
    return plots


def subjects_shown(a: DatasetAnalysis, plan: Plan, collected: Collected, plots: Sequence[Plot]) -> dict[str, str]:
    """The name of the plot that shows a subject, for all that one of ``plots`` shows: among the worst, or else by rank."""
    there, runs = {p.name for p in plots}, Runs(a, plan, collected)
    found: dict[str, str] = {}
    for suffix, cases in ((RANKED, ranked(runs)), (WORST, worst(runs))):
        if (name := f"{a.dataset}-{suffix}") in there:
            found |= dict.fromkeys(subjects(cases), name)
    return found


def _plot(a: DatasetAnalysis, card: Card, scenes: Sequence[Scene], suffix: str, title: str, caption: str) -> Plot:
    heads = [head(a, scene.case) for scene in scenes]
    return plot(
        lambda shape: draw(shape, scenes, heads, card), f"{a.dataset}-{suffix}", dataset=a.dataset, title=title,
        caption=caption + away(scenes), alt=said(scenes, heads), raster=True,
    )  # fmt: skip
