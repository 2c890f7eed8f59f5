"""The runs of several folders in one: each once, whoever has it, as hard links where the file system allows, else as copies.

A run that several folders have must have the same bytes in all of them: it is one and the same specification. Left out of that
is what tells how fast a machine was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from glocalseg.plan.jobs import Job
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import FAILURE, CorruptedError, open_sealed, read_record
from glocalseg.report.joined.source import Source

TIMED = frozenset({"log.csv"})  # files with a column of speed
Brought = dict[Path, tuple[Source, dict[str, Any]]]  # by record: where it was taken from, and its payload


def bring(jobs: Sequence[Job], sources: Sequence[Source], out: Path) -> tuple[Brought, list[str]]:
    """Bring every finished run below ``out``, under its own path; say what is wrong with any, a line each.

    Nothing is brought if anything is wrong. Slice stores are large and their arrays are not read through: as ``collect`` does.

    Args:
        jobs: whose records are wanted.
        sources: folders that may hold them; the first one that does gives it.
        out: a folder that may hold them from an earlier call.
    """
    found: Brought = {}
    problems: list[str] = []
    for job in jobs:
        there = [source for source in sources if (source.root / job.record).is_file()]
        try:
            payloads = [_opened(source, job) for source in there]
        except CorruptedError as error:
            problems.append(str(error))
            continue
        problems += _others(job, there, payloads)
        if there:
            found[job.record] = there[0], payloads[0]
    if not problems:
        for job in jobs:
            if job.record in found:
                source, payload = found[job.record]
                _place(source.root / job.record, payload, out / job.record)
            else:
                _place_reason(job, sources, out)
    return found, problems


def _opened(source: Source, job: Job) -> dict[str, Any]:
    """The payload of a source's record, checked, and made by the specification that is wanted. Raises CorruptedError."""
    record = source.root / job.record
    payload = read_record(record) if job.phase == "data" else open_sealed(record)
    if digest(payload.get("spec")) != digest(job.spec.dump()):
        raise CorruptedError(f"{record}: expected the specification of key {job.spec.key}, found that of another key")
    return payload


def _others(job: Job, there: Sequence[Source], payloads: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for every folder whose run has other bytes than the first one's."""
    for source, payload in list(zip(there, payloads, strict=True))[1:]:
        first, own = ({n: of for n, of in p["files"].items() if n not in TIMED} for p in (payloads[0], payload))
        for name in [n for n in {**first, **own} if first.get(n) != own.get(n)][:1]:
            expected, found = (str(side.get(name, "no file"))[:10] for side in (first, own))
            yield (
                f"{source.name}: {job.record.parent / name}: expected sha256 {expected} as in {there[0].name}, found {found}: "
                f"one specification with two results ({_made_on(payloads[0])}; {_made_on(payload)}); remove one of the two runs"
            )


def _made_on(payload: Mapping[str, Any]) -> str:
    device, made = payload.get("device", {}), payload.get("environment", {})
    torch = made.get("packages", {}).get("torch")
    parts = (device.get("name"), device.get("precision"), f"torch {torch}" if torch else "", made.get("system"))
    return ", ".join(str(part) for part in parts if part) or "not said on what"


def _place(source: Path, payload: Mapping[str, Any], target: Path) -> None:
    """Put a finished folder where it belongs, its record last; what lies there of an earlier call stays if it is the same."""
    if target.is_file() and sha256_file(target) == sha256_file(source):
        return
    shutil.rmtree(target.parent, ignore_errors=True)
    for name in (*payload["files"], source.name):
        (target.parent / name).parent.mkdir(parents=True, exist_ok=True)
        _link(source.parent / name, target.parent / name)


def _place_reason(job: Job, sources: Sequence[Source], out: Path) -> None:
    """Bring what says why a run that nobody has failed; take away what an earlier call brought of it."""
    shutil.rmtree((out / job.record).parent, ignore_errors=True)
    notes = [note for s in sources if (note := (s.root / job.record).with_name(FAILURE)).is_file()]
    for note in notes[:1]:
        target = (out / job.record).with_name(FAILURE)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(note, target)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
