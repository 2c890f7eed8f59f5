"""The report's page: one HTML file with its style, script and figures inside, that opens from a file without a network.

Where figures make it larger than LIMIT, as those of large grids do, it names the files beside it instead of holding them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.analysis.methods.fairness import departures
from glocalseg.report.analysis.subjects import worst_subjects
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import Plot, adapting
from glocalseg.report.figures.overlays import subjects_shown
from glocalseg.report.look.page import data_page
from glocalseg.report.page.explore import choices
from glocalseg.report.page.runs import HEIGHT, WIDTH, anchor, groups
from glocalseg.report.tables.table import Table, number, signed
from glocalseg.report.text.about.bought import bought_in
from glocalseg.report.text.about.cite import again, bibtex
from glocalseg.report.text.about.datasets import data
from glocalseg.report.text.about.fairness import not_alike
from glocalseg.report.text.about.methods import methods, sources, what_differs
from glocalseg.report.text.about.provenance import provenance
from glocalseg.report.text.about.settings import settings, switches
from glocalseg.report.text.answer.findings import findings
from glocalseg.report.text.answer.headline import headline
from glocalseg.report.text.fact import Fact
from glocalseg.report.text.names import display, phase_title, plain
from glocalseg.report.text.templating import environment

LIMIT = 15_000_000  # bytes of a page that holds its figures


@dataclass(frozen=True)
class Image:
    """A picture element: sources by media query, the first that holds is taken, and what is shown otherwise and printed."""

    sources: tuple[tuple[str, str], ...]
    src: str


Source = Callable[[Plot], Image]


def page(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    shown: Sequence[str],
    origins: Sequence[Fact],
    files: Sequence[str],
) -> str:
    """The whole page as HTML.

    Args:
        plan: the benchmark, its cards and jobs.
        collected: see ``collect``.
        analyses: by data set.
        tables: all tables; a table without rows for a data set is not shown there.
        plots: all figures.
        shown: the data sets that have a page of their own beside this one.
        origins: where runs came from that were brought together.
        files: names of the files with all score rows beside ``report/``.
    """
    env = environment()
    env.filters |= {"shown_as": display, "plain": plain}
    style, script = (
        Markup(env.get_template(name).render()) for name in ("style.css", "page.js")
    )  # no value of a run is in them
    context = _context(plan, collected, analyses, tables, plots, origins)

    linked = {dataset: data_page(dataset) for dataset in shown}

    def render(source: Source) -> str:
        env.filters["image"] = source
        return env.get_template("page.html").render(style=style, script=script, pages=linked, files=files, **context)

    whole = render(held)
    return whole if len(whole.encode()) <= LIMIT else render(beside)


def held(plot: Plot) -> Image:
    """A figure by addresses that hold its bytes; a drawing adapts to a dark page by itself."""
    if plot.raster:
        return _image(lambda end: _address("image/webp", plot.files[end]), plot, (False, True))
    return _image(lambda end: _address("image/svg+xml", adapting(plot.files[end])), plot, (False,))


def beside(plot: Plot) -> Image:
    """A figure by its files in the folder ``figures``."""
    return _image(lambda end: f"../figures/{plot.name}{end}", plot, (False, True))


def _image(address: Callable[[str], str], plot: Plot, darks: tuple[bool, ...]) -> Image:
    """The page's width and light in the image itself; phones, and dark pages where the figure does not adapt, as its sources."""
    dark = " and (prefers-color-scheme: dark)"
    sources = [
        (f"screen{' and (max-width: 48rem)' if narrow else ''}{dark if is_dark else ''}",
         address(plot.shown(narrow=narrow, dark=is_dark)))
        for narrow in (True, False) for is_dark in reversed(darks) if narrow or is_dark
    ]  # fmt: skip
    return Image(tuple(sources), address(plot.shown(narrow=False, dark=False)))


def _worst(plan: Plan, collected: Collected, a: DatasetAnalysis, plots: Sequence[Plot]) -> list[tuple[str, float, str]]:
    """The hardest subjects, their mean Dice, and the figure that shows them, by its name without the data set's; or nothing."""
    shown = subjects_shown(a, plan, collected, plots)
    return [
        (hard.subject, hard.dice, shown.get(hard.subject, "").removeprefix(f"{a.dataset}-"))
        for hard in worst_subjects(a).subjects
    ]


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _context(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    origins: Sequence[Fact],
) -> dict[str, Any]:
    b = plan.benchmark
    titles = {name: card.title for name, card in plan.cards.items()}
    return {
        "benchmark": b,
        "datasets": [_dataset(plan, collected, name, analyses.get(name), tables, plots) for name in b.datasets],
        "missing": [(phase_title(job.phase), job.label, collected.failures.get(job.record)) for job in collected.missing],
        "finished": collected.finished,
        "quiet": next((a.silent for a in analyses.values()), ""),
        "planned": collected.runs,
        "choices": Markup(choices(analyses, titles, collected)),  # JSON without a "<"
        "what_differs": what_differs(b),
        "methods": [*methods(b, plan.bought), *bought_in(b, plan.bought)],
        "sources": sources(b),
        "settings": settings(b),
        "switches": switches(b),
        "provenance": [*provenance(plan, collected), *origins],
        "bibtex": bibtex(plan),
        "again": again(plan, collected),
        "tables": tables,
        "anchor": anchor,
        "number": number,
        "signed": signed,
        "curve": (WIDTH, HEIGHT),
        "up": "../" * 3,  # from results/<benchmark>/report to where the paths of records start
    }


def _dataset(
    plan: Plan,
    collected: Collected,
    name: str,
    analysis: DatasetAnalysis | None,
    tables: Sequence[Table],
    plots: Sequence[Plot],
) -> dict[str, Any]:
    card = plan.cards[name]
    prefix = f"{name}-"
    own = {p.name.removeprefix(prefix): p for p in plots if p.dataset == name}
    return {
        "name": name,
        "title": card.title,
        "about": data(card, collected.stores.get(name)),
        "headline": headline(analysis) if analysis else [],
        "findings": findings(analysis, collected) if analysis else [],
        "groups": groups(analysis, plan, collected) if analysis else [],
        "worst": _worst(plan, collected, analysis, list(own.values())) if analysis else [],
        "structures": analysis.structures if analysis else (),
        "price": analysis.price if analysis else None,
        "not_alike": not_alike(departures(plan, name)) if analysis else [],
        "tables": {t.name: (t, t.blocks[name]) for t in tables if name in t.blocks},
        "plots": own,
    }
