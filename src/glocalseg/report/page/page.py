"""The report's page: one HTML file with its style and figures inside, that opens from a file without a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from glocalseg.plan.jobs import Plan
from glocalseg.report.analysis.cells import DatasetAnalysis
from glocalseg.report.collected.collect import Collected
from glocalseg.report.figures.figure import Plot
from glocalseg.report.tables.table import Table
from glocalseg.report.text.datasets import data
from glocalseg.report.text.findings import findings
from glocalseg.report.text.methods import methods, sources, what_differs
from glocalseg.report.text.names import phase_title
from glocalseg.report.text.provenance import provenance
from glocalseg.report.text.settings import settings, switches
from glocalseg.report.text.templating import environment


def page(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    scores_file: str,
) -> str:
    """The whole page as HTML.

    Args:
        plan: the benchmark, its cards and jobs.
        collected: see ``collect``.
        analyses: by data set.
        tables: all tables; a table without rows for a data set is not shown there.
        plots: all figures.
        scores_file: name of the file with all score rows beside ``report/``.
    """
    env = environment()
    env.filters["datauri"] = data_uri
    style = Markup(env.get_template("style.css").render())  # ours: no value of a run is in it
    return env.get_template("page.html").render(
        style=style, **_context(plan, collected, analyses, tables, plots, scores_file)
    )


def _context(
    plan: Plan,
    collected: Collected,
    analyses: Mapping[str, DatasetAnalysis],
    tables: Sequence[Table],
    plots: Sequence[Plot],
    scores_file: str,
) -> dict[str, Any]:
    b = plan.benchmark
    return {
        "benchmark": b,
        "datasets": [_dataset(plan, collected, name, analyses.get(name), tables, plots) for name in b.datasets],
        "missing": [(phase_title(job.phase), job.label, collected.failures.get(job.record)) for job in collected.missing],
        "finished": collected.finished,
        "quiet": next((a.silent for a in analyses.values()), ""),
        "paid": list(
            dict.fromkeys(p for name in b.datasets if (a := analyses.get(name)) for n in a.budgets if (p := a.price(n)))
        ),
        "planned": collected.runs,
        "what_differs": what_differs(b),
        "methods": methods(b),
        "sources": sources(b),
        "settings": settings(b),
        "switches": switches(b),
        "provenance": provenance(plan, collected),
        "tables": tables,
        "scores_file": scores_file,
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
    return {
        "name": name,
        "title": card.title,
        "about": data(card, collected.stores.get(name)),
        "findings": findings(analysis, collected) if analysis else [],
        "tables": {t.name: (t, t.blocks[name]) for t in tables if name in t.blocks},
        "plots": {p.name.removeprefix(prefix): p for p in plots if p.dataset == name},
    }


def data_uri(plot: Plot) -> str:
    """The figure as an address that holds its bytes: the PNG where it is mostly images."""
    kind, content = ("image/png", plot.png) if plot.raster else ("image/svg+xml", plot.svg)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
