"""Every file of a data set against its card; the lock file of data that a person brought."""

from __future__ import annotations

from pathlib import Path

from _program import CARDS, Call, run

from glocalseg.data.fetch import dataset_root
from glocalseg.data.verify import verify_or_raise


def work(call: Call) -> None:
    """Make verified.json, and at the first success the lock file beside the card."""
    card = call.card
    root = dataset_root(card, call.record.parent, Path("data/incoming") / card.name)
    verify_or_raise(card, root, record=call.record, lock=CARDS / f"{card.name}.lock.json", workers=call.workers)


if __name__ == "__main__":
    run("verify", work)
