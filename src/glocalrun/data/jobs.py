"""The jobs that bring data and bought-in weights: what the library's functions need, from a call."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from glocalrun.data.current import lock_of, root_of, what_of
from glocalrun.plans import INCOMING, WEIGHTS, incoming_weights
from glocalrun.program import Call
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.fetch import fetch
from glocalseg.data.acquire.lock.file import check_cases
from glocalseg.data.acquire.verify import VerifyError, accept, verify
from glocalseg.data.files.cases import scan_cases
from glocalseg.data.slices.pieces import PIECES, Pieces
from glocalseg.data.slices.prepare import prepare
from glocalseg.plan.entries import code_of
from glocalseg.plan.facts import check_facts, check_readable
from glocalseg.plan.make import verified_record
from glocalseg.records.sealed import open_sealed
from glocalseg.stages.specs import DataSpec
from glocalseg.weights.fetch import fetch_weights


def bring(call: Call) -> None:
    """Make fetched.json."""
    card = call.card
    fetch(card, call.record.parent, mirror=call.plan.benchmark.mirror, incoming=INCOMING / card.name)


def bring_weights(call: Call) -> list[str]:
    """Make fetched.json of bought-in weights, and the lock file beside their card where there is none; what a person is told."""
    from glocalseg.networks.timm_encoder import require_checkpoint  # and torch, which no other job here needs

    card = call.plan.bought[call.record.parts[2]].card
    fits = partial(require_checkpoint, card.model)
    first = fetch_weights(card, call.record, cards=WEIGHTS, incoming=incoming_weights(card.name), check=fits)
    return [f"{card.name}: fetched for the first time, and taken on trust"] if first else []


def check(call: Call) -> list[str]:
    """Make verified.json, and the lock file beside the card where there is none; returns what a person is told."""
    card = call.card
    lock = lock_of(card)
    pieces = call.record.parent / PIECES
    found = verify(card, root_of(card), lock=lock, pieces=pieces, workers=call.workers)
    if found.problems:
        asked = check_readable(call.plan.benchmark, card, found.facts, complete=found.complete)
        raise VerifyError(card, found.problems, asked)
    problems, notes = check_facts(call.plan.benchmark, card, found.facts)
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
    root, what = root_of(card), what_of(card)
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
