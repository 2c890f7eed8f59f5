"""A data set from its publisher, a mirror or a person to data/raw: the one program that uses the network."""

from __future__ import annotations

from pathlib import Path

from _program import Call, run

from glocalseg.data.fetch import fetch


def work(call: Call) -> None:
    """Make fetched.json."""
    card = call.card
    fetch(card, call.record.parent, mirror=call.plan.benchmark.mirror, incoming=Path("data/incoming") / card.name)


if __name__ == "__main__":
    run("fetch", work)
