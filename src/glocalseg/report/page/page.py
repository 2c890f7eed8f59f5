"""The report's page: one HTML file with its style, script and figures inside, that opens from a file without a network.

Where figures make it larger than LIMIT, as those of large grids do, it names the files beside it instead of holding them.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import Plot
from glocalseg.report.page.explore import choices
from glocalseg.report.page.runs import HEIGHT, WIDTH, anchor, groups
from glocalseg.report.tables.table import Table, number, signed
from glocalseg.report.text.cite import again, bibtex
from glocalseg.report.text.datasets import data
from glocalseg.report.text.findings import findings
from glocalseg.report.text.headline import headline
from glocalseg.report.text.methods import methods, sources, what_differs
from glocalseg.report.text.names import display, phase_title, plain
from glocalseg.report.text.provenance import provenance
from glocalseg.report.text.settings import settings, switches
from glocalseg.report.text.templating import environment

LIMIT = 15_000_000  # bytes of a page that holds its figures
Source = Callable[[Plot, bool, bool], str]


def page(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    data_pages: Mapping[str, Path],
    files: Sequence[str],
) -> str:
    """The whole page as HTML.

    Args:
        plan: the benchmark, its cards and jobs.
        collected: see ``collect``.
        analyses: by data set.
        tables: all tables; a table without rows for a data set is not shown there.
        plots: all figures.
        data_pages: pages of single data sets beside this one, by data set.
        files: names of the files with all score rows beside ``report/``.
    """
    env = environment()
    env.filters |= {"shown_as": display, "plain": plain}
    style, script = (
        Markup(env.get_template(name).render()) for name in ("style.css", "page.js")
    )  # no value of a run is in them
    context = _context(plan, collected, analyses, tables, plots)

    def render(source: Source) -> str:
        env.filters["source"] = lambda plot, narrow=False, dark=False: source(plot, narrow, dark)
        return env.get_template("page.html").render(
            style=style,
            script=script,
            pages={k: p.name for k, p in data_pages.items()},
            files=files,
            **context,
        )

    whole = render(held)
    return whole if len(whole.encode()) <= LIMIT else render(beside)


def held(plot: Plot, narrow: bool, dark: bool) -> str:
    """A figure as an address that holds its bytes."""
    end = plot.shown(narrow=narrow, dark=dark)
    kind = "image/webp" if plot.raster else "image/svg+xml"
    return f"data:{kind};base64,{base64.b64encode(plot.files[end]).decode()}"


def beside(plot: Plot, narrow: bool, dark: bool) -> str:
    """A figure by its file in the folder ``figures``."""
    return f"../figures/{plot.name}{plot.shown(narrow=narrow, dark=dark)}"


def _context(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
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
        "methods": methods(b),
        "sources": sources(b),
        "settings": settings(b),
        "switches": switches(b),
        "provenance": provenance(plan, collected),
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
        "structures": analysis.structures if analysis else (),
        "price": analysis.price if analysis else None,
        "tables": {t.name: (t, t.blocks[name]) for t in tables if name in t.blocks},
        "plots": own,
    }
