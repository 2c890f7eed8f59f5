"""The three jobs that bring data: what the library's functions need, from a call."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glocalrun.plans import CARDS, INCOMING
from glocalrun.program import Call
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.changes import changes
from glocalseg.data.acquire.fetch import dataset_root, fetch
from glocalseg.data.acquire.lock import advice, check_cases
from glocalseg.data.acquire.verify import VerifyError, accept, verify
from glocalseg.data.card import Card
from glocalseg.data.readers.base import scan_cases
from glocalseg.data.slices.pieces import PIECES, Pieces
from glocalseg.data.slices.prepare import prepare
from glocalseg.plan.entries import code_of
from glocalseg.plan.facts import check_facts
from glocalseg.plan.make import fetched_record, identity, lock_file, verified_record
from glocalseg.records.sealed import open_sealed
from glocalseg.stages.specs import DataSpec


def bring(call: Call) -> None:
    """Make fetched.json."""
    card = call.card
    fetch(card, call.record.parent, mirror=call.plan.benchmark.mirror, incoming=INCOMING / card.name)


def check(call: Call) -> list[str]:
    """Make verified.json, and the lock file beside the card where there is none; returns what a person is told."""
    card = call.card
    lock = _lock(card)
    pieces = call.record.parent / PIECES
    found = verify(card, _root(card), lock=lock, pieces=pieces, workers=call.workers)
    problems, notes = check_facts(call.plan.benchmark, card, found.facts) if not found.problems else ([], [])
    if problems:
        raise ConfigError("\n".join(problems))
    accept(found, record=call.record, lock=lock, code=code_of("data"))
    return [*(f"{card.name}: {note}" for note in found.notes), *notes]


def slice_up(call: Call) -> None:
    """Make a slice store's manifest.json, from data that is still what was fetched and verified."""
    card, spec = call.card, call.job.spec
    assert isinstance(spec, DataSpec)
    record = verified_record(card)
    verified = open_sealed(record)
    root, what = _root(card), _what(card)
    scan = scan_cases(card.reading, root)
    known = {volume: tuple(content) for volume, content in verified["contents"].items()}
    if problems := [*scan.problems, *check_cases(scan.cases, known, what)]:
        raise VerifyError(card, problems)
    pieces = record.parent / PIECES
    prepare(
        card.reading,
        spec.preparation,
        scan.cases,
        call.record,
        payload={
            "spec": spec.dump(),
            "label": call.job.label,
            "image": card.reading.model_dump(mode="json", include={"channel", "header"}),  # as an exported model is to read
            "verified": told(verified, root),
        },
        workers=call.workers,
        contents={volume: content[1:] for volume, content in known.items()},
        pieces=Pieces(pieces, verified["pieces"]) if verified["code"] == spec.code else None,
    )
    shutil.rmtree(pieces, ignore_errors=True)


def told(verified: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What a verification tells a reader, for the slice store: no path in it is this machine's.

    Args:
        verified: the payload of verified.json.
        root: the data's folder, below which the files that notes name lie.
    """
    folders = "|".join(re.escape(folder) for folder in (str(root.resolve()), str(root)))
    here = re.compile(rf"(?<![^\s'\"(])(?:{folders})(?:/|(?=[:,;)\s]|$))")
    notes = [here.sub(lambda found: "" if found[0].endswith("/") else root.name, note) for note in verified["notes"]]
    return {"notes": notes, **{name: verified[name] for name in ("losses", "subjects", "volumes", "labelled")}}


def require_current(card: Card) -> None:
    """Look, before anything is planned, whether data that was verified on this machine is still what it was.

    Raises:
        ConfigError: with a line for every volume that changed, appeared or is gone.
    """
    verified = _verified(card)
    if verified and (problems := changes(card, _root(card), verified, _what(card))):
        raise ConfigError("\n".join(f"{card.name}: {problem}" for problem in problems))


def forget_stale(card: Card) -> None:
    """Remove the record of a verification where the lock file is gone or is another one: the data is then verified again."""
    if not _verified(card):
        verified_record(card).unlink(missing_ok=True)


def _verified(card: Card) -> dict[str, Any]:
    """What was verified on this machine; empty if nothing was, or not what the lock file stands for."""
    try:
        verified: dict[str, Any] = json.loads(verified_record(card).read_text(encoding="utf-8"))
        return verified if card.source.identity is not None or verified["identity"] == identity(card, CARDS) else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _root(card: Card) -> Path:
    return dataset_root(card, fetched_record(card).parent, INCOMING / card.name)


def _lock(card: Card) -> Path | None:
    return lock_file(card, CARDS) if card.source.identity is None else None


def _what(card: Card) -> str:
    lock = _lock(card)
    return advice(lock) if lock is not None else "what was generated"
