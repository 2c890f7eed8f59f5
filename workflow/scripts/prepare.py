"""Volumes of a data set to its slice store."""

from __future__ import annotations

from pathlib import Path

from _program import CARDS, Call, run

from glocalseg.data.fetch import dataset_root
from glocalseg.data.prepare import prepare
from glocalseg.data.verify import require_unchanged
from glocalseg.plan import verified_record


def work(call: Call) -> None:
    """Make the store's manifest.json."""
    card = call.card
    raw = verified_record(card, CARDS).parent
    root = dataset_root(card, raw, Path("data/incoming") / card.name)
    require_unchanged(card, root, raw, lock=CARDS / f"{card.name}.lock.json")
    prepare(
        card,
        root,
        call.record,
        partition_bounds=call.plan.benchmark.partition_bounds,
        parts=call.job.parts,
        workers=call.workers,
    )


if __name__ == "__main__":
    run("prepare", work)
