"""``results/<benchmark>/look/index.html``: the data of a benchmark as its networks will see them, before any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from markupsafe import Markup

from glocalseg.data.slices.geometry import OPPOSITE
from glocalseg.data.slices.store import open_store
from glocalseg.plan.jobs import Job, Plan
from glocalseg.records.files import write_atomic
from glocalseg.report.look.axis import axis_of
from glocalseg.report.look.dataset import facts, structures
from glocalseg.report.look.lists import lists_of, roles
from glocalseg.report.look.strips import SLICES, sides
from glocalseg.report.look.volumes import FEW, Shown, Volume, choose, show, side_for, volumes_of_store
from glocalseg.report.text.names import shortened
from glocalseg.report.text.templating import environment

VOLUMES = 300  # that one page shows; the others are listed
BYTES = 13_000_000  # of all slices that one page shows, as they lie in it


def look_file(plan: Plan) -> Path:
    """Where the page of a plan lies."""
    return plan.report.record.parent / "look" / "index.html"


def write_look(plan: Plan, root: Path, *, volumes: int = VOLUMES, size: int = BYTES) -> Path:
    """Write the page of a plan whose slice stores are there.

    Args:
        plan: the benchmark, its cards and jobs.
        root: folder that the plan's paths are relative to.
        volumes: how many are shown at most; flagged ones first.
        size: characters of all their images at most.

    Returns:
        The page, below ``root``.

    Raises:
        CorruptedError: if a store is not there, or changed.
        ConfigError: if lists cannot be made of the data as the card says.
    """
    jobs = plan.of("data")
    datasets = [_dataset(plan, root, job, volumes=volumes // len(jobs), size=size // len(jobs)) for job in jobs]
    env = environment("glocalseg.report.look")
    styles = [Markup(env.get_template(name).render()) for name in ("style.css", "look.css")]  # ours: no value of a data set
    text = env.get_template("look.html").render(
        style=Markup("\n").join(styles), benchmark=plan.benchmark, datasets=datasets, slices=SLICES, notes=plan.notes
    )
    path = root / look_file(plan)
    write_atomic(path, text.encode())
    return path


def _dataset(plan: Plan, root: Path, job: Job, *, volumes: int, size: int) -> dict[str, Any]:
    card, axis = plan.cards[job.dataset], axis_of(plan.benchmark)
    store = open_store(root / job.record)
    lists = lists_of(plan, job.dataset, store.volumes)
    found = volumes_of_store(store, axis, roles(lists))
    chosen, rest = choose(found, volumes)
    shown: list[Shown] = []
    left = size
    for volume in chosen:
        one = show(store, card, volume, axis, side=side_for(len(chosen)))
        left -= sum(len(half.src) for half in one.halves)
        if left < 0 and shown:
            break
        shown.append(one)
    rest = [*chosen[len(shown) :], *rest]
    where = {one.volume.name: f"{job.dataset}-{i}" for i, one in enumerate(shown)}
    return {
        "name": job.dataset,
        "card": card,
        "store": job.record.parent.name,
        "verified": store.manifest["verified"],
        "facts": facts(card, store.manifest["verified"], store.volumes),
        "structures": structures(card, found),
        "lists": lists,
        "subjects": dict(zip(store.volumes["volume"], store.volumes["subject"], strict=True)),
        "axis": axis,
        "partitions": axis.rows(store.volumes["depth"]),
        "sides": sides(card.slice_axis),
        "ends": _ends(card.slice_axis),
        "bare": {volume.name for volume in found if not volume.labelled},
        "flagged": [volume for volume in found if volume.flags],
        "shown": shown,
        "many": len(shown) > FEW,
        "rest": sorted(rest, key=lambda volume: volume.name),
        "where": where,
        "short": _short(found),
    }


def _ends(axis: str) -> tuple[str, str]:
    """Where the first slice of a volume lies, and where the last."""
    words = {"R": "right", "L": "left", "A": "front", "P": "back", "S": "head", "I": "feet"}
    return words[OPPOSITE[axis]], words[axis]


def _short(volumes: list[Volume]) -> dict[str, str]:
    return {volume.name: shortened(volume.name, 28) for volume in volumes}
