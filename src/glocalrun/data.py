"""The three jobs that bring data: what the library's functions need, from a call."""

from __future__ import annotations

from glocalrun.plans import CARDS, INCOMING
from glocalrun.program import Call
from glocalseg.data.acquire.fetch import dataset_root, fetch
from glocalseg.data.acquire.verify import require_unchanged, verify_or_raise
from glocalseg.data.slices.prepare import prepare
from glocalseg.plan.make import verified_record
from glocalseg.stages.specs import DataSpec


def bring(call: Call) -> None:
    """Make fetched.json."""
    card = call.card
    fetch(card, call.record.parent, mirror=call.plan.benchmark.mirror, incoming=INCOMING / card.name)


def check(call: Call) -> None:
    """Make verified.json, and at the first success the lock file beside the card."""
    card = call.card
    root = dataset_root(card, call.record.parent, INCOMING / card.name)
    verify_or_raise(card, root, record=call.record, lock=CARDS / f"{card.name}.lock.json", workers=call.workers)


def slice_up(call: Call) -> None:
    """Make a slice store's manifest.json, from data that is still what was fetched and verified."""
    card, spec = call.card, call.job.spec
    assert isinstance(spec, DataSpec)
    raw = verified_record(card, CARDS).parent
    root = dataset_root(card, raw, INCOMING / card.name)
    require_unchanged(card, root, raw, lock=CARDS / f"{card.name}.lock.json")
    payload = {"spec": spec.dump(), "label": call.job.label}
    prepare(spec.reading, root, call.record, payload=payload, workers=call.workers)
