"""The data of a benchmark as its networks see them, on pages of one file each.

``results/<benchmark>/look/index.html`` shows all data sets before any training; ``data-<dataset>.html`` beside the report's page
shows each of them after it, by the same code.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from glocalseg.data.slices.geometry import OPPOSITE
from glocalseg.data.slices.store import SliceStore, open_store
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.files import write_atomic
from glocalseg.records.progress import Progress
from glocalseg.records.sealed import read_record
from glocalseg.report.figures.figure import Plot
from glocalseg.report.look.axis import axis_of, palette
from glocalseg.report.look.dataset import common, decimals, facts, partition_rows, standing_out, structures
from glocalseg.report.look.lists import lists_of, roles
from glocalseg.report.look.measured.measure import Measures, measure
from glocalseg.report.look.measured.odd import RULE, odd, quantities
from glocalseg.report.look.overview.distributions import distribution_plots
from glocalseg.report.look.overview.thumbnails import BYTES as THUMBNAILS
from glocalseg.report.look.overview.thumbnails import thumbnails
from glocalseg.report.look.strips import SLICES, sides
from glocalseg.report.look.volumes import FEW, choose, flagged, strips_of
from glocalseg.report.text.about.datasets import share
from glocalseg.report.text.names import shortened
from glocalseg.report.text.templating import environment

VOLUMES, REPORTED = 300, 60  # with strips of slices: on the page before training, and beside a report
BYTES = 12_000_000  # of all strips that one page shows, as they lie in it
FIRST = 12  # volumes that stand out and are named before the others are folded
FIGURES = (".svg", ".pdf", ".png")  # ends of the files of a figure that lie in the report's folder


def look_file(plan: Plan) -> Path:
    """Where the page of a plan lies."""
    return plan.report.record.parent / "look" / "index.html"


def write_look(plan: Plan, root: Path, *, volumes: int = VOLUMES, size: int = BYTES, small: int = THUMBNAILS) -> Path:
    """Write the page of a plan whose slice stores are there.

    Args:
        plan: the benchmark, its cards and jobs.
        root: folder that the plan's paths are relative to.
        volumes: how many are shown by several slices at most; flagged ones first.
        size: characters of all their images at most.
        small: characters of all thumbnails at most.

    Returns:
        The page, below ``root``.

    Raises:
        CorruptedError: if a store is not there, or changed.
        ConfigError: if lists cannot be made of the data as the card says.
    """
    jobs = plan.of("data")
    datasets = [
        _dataset(plan, root, job, volumes=volumes // len(jobs), size=size // len(jobs), small=small // len(jobs))
        for job in jobs
    ]
    path = root / look_file(plan)
    write_atomic(path, _render(plan, datasets, report=False).encode())
    return path


def data_pages(plan: Plan, root: Path, *, volumes: int = REPORTED) -> dict[str, dict[str, bytes]]:
    """``data-<dataset>.html`` for every data set whose slice store is there, the same bytes every time; nothing is written.

    Args:
        plan: the benchmark, its cards and jobs.
        root: folder that the plan's paths are relative to.
        volumes: how many a page shows by several slices at most; flagged ones first.

    Returns:
        By data set: the page, and its figures for papers, by their paths below ``results/<benchmark>``.

    Raises:
        CorruptedError: if a store was changed.
        ConfigError: if lists cannot be made of the data as the card says.
    """
    pages = {}
    for job in plan.of("data"):
        if not _there(root / job.record):
            continue
        dataset = _dataset(plan, root, job, volumes=volumes, size=BYTES, small=THUMBNAILS)
        figures = {f"figures/{p.name}{end}": p.files[end] for p in dataset["plots"] for end in FIGURES}
        pages[job.dataset] = {
            f"report/{data_page(job.dataset)}": _render(plan, [dataset], report=True).encode(),
            **figures,
        }
    return pages


def data_page(dataset: str) -> str:
    """The name of a data set's page, beside the report's."""
    return f"data-{dataset}.html"


def _there(record: Path) -> bool:
    """Whether a slice store has all its files: a report can be made of scores alone."""
    return record.is_file() and all((record.parent / name).is_file() for name in read_record(record)["files"])


def _render(plan: Plan, datasets: Sequence[dict[str, Any]], *, report: bool) -> str:
    env = environment("glocalseg.report.look")
    env.filters |= {"share": share, "held": _held, "breakable": _breakable}
    style, script = (  # ours: no value of a data set is in them
        Markup("\n".join(env.get_template(name).render() for name in names))
        for names in (("style.css", "look.css"), ("page.js",))
    )
    names = {d["name"] for d in datasets}
    return env.get_template("look.html").render(
        style=style + Markup("\n" + palette()),
        script=script,
        benchmark=plan.benchmark,
        datasets=datasets,
        slices=SLICES,
        notes=[note for note in plan.notes if note.split(": ")[0] in names],
        report=report,
        first=FIRST,
        rule=RULE,
    )


def _held(plot: Plot, narrow: bool = False, dark: bool = False) -> str:
    """A figure as an address that holds its bytes."""
    return f"data:image/svg+xml;base64,{base64.b64encode(plot.files[plot.shown(narrow=narrow, dark=dark)]).decode()}"


def _breakable(name: str) -> Markup:
    """A name that a narrow column breaks behind its underscores and hyphens."""
    return Markup(re.sub("([_-])", r"\1<wbr>", str(escape(name))))


def _dataset(plan: Plan, root: Path, job: Job, *, volumes: int, size: int, small: int) -> dict[str, Any]:
    name, card, axis = job.dataset, plan.cards[job.dataset], axis_of(plan.benchmark)
    store = open_store(root / job.record)
    lists = lists_of(plan, name, store.volumes)
    measured = _measured(store)
    judged = quantities(measured, list(store.structures.values()))
    strange = [one for quantity in judged for one in odd(quantity)]
    found = flagged(measured, strange, axis, roles(lists))
    shown = strips_of(store, card, choose(found, volumes), axis, size=size)
    prefix = common([volume.name for volume in found])
    rows = {volume.name: f"{name}-v{i}" for i, volume in enumerate(found)}
    strips = {one.volume.name: f"{name}-{i}" for i, one in enumerate(shown)}
    return {
        "name": name,
        "card": card,
        "store": job.record.parent.name,
        "verified": store.manifest["verified"],
        "said": standing_out(found, strange),
        "facts": facts(card, store.manifest["verified"], store.volumes),
        "structures": structures(card, found),
        "lists": lists,
        "subjects": dict(zip(store.volumes["volume"], store.volumes["subject"], strict=True)),
        "axis": axis,
        "partitions": partition_rows(axis, found, list(store.structures.values())),
        "sides": sides(card.slice_axis),
        "ends": _ends(card.slice_axis),
        "bare": {volume.name for volume in found if not volume.labelled},
        "volumes": found,
        "flagged": [volume for volume in found if volume.flags],
        "thumbnails": thumbnails(store, card, found, size=small),
        "plots": distribution_plots(name, measured, judged),
        "shown": shown,
        "many": len(shown) > FEW,
        "rows": rows,
        "strips": strips,
        "where": rows | strips,
        "short": {volume.name: shortened(volume.name, 28) for volume in found},
        "prefix": prefix,
        "ends_of": {volume.name: shortened(volume.name.removeprefix(prefix), 28) for volume in found},
        "digits": {structure: decimals(found, structure) for structure in store.structures.values()},
    }


def _measured(store: SliceStore) -> dict[str, Measures]:
    found = {}
    with Progress("measuring", len(store.known), "volumes") as progress:
        for volume in store.known:
            found[volume] = measure(store, volume)
            progress.add()
    return found


def _ends(axis: str) -> tuple[str, str]:
    """Where the first slice of a volume lies, and where the last."""
    words = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}
    return words[OPPOSITE[axis]], words[axis]
