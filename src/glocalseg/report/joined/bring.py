"""The runs of several folders in one: each once, whoever has it, as hard links where the file system allows, else as copies.

A run that several folders have must have the same bytes in all of them: it is one and the same specification. Left out of that
is what tells how fast a machine was. Where one has it without its arrays, from a published report, the records tell.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glocalseg.plan.jobs import Job
from glocalseg.records.digest import digest, sha256_file
from glocalseg.records.sealed import ABSENT, FAILURE, CorruptedError, absent, open_kept, read_record
from glocalseg.report.joined.source import Source

TIMED = frozenset({"log.csv"})  # files with a column of speed
Brought = dict[Path, tuple[Source, dict[str, Any]]]  # by record: where it was taken from, and its payload


def look(jobs: Sequence[Job], sources: Sequence[Source], kept: Source) -> tuple[Brought, list[str]]:
    """Every finished run that a source has, checked, and what is wrong with any, a line each.

    Slice stores are large and their arrays are not read through: as ``collect`` does.

    Args:
        jobs: whose records are wanted.
        sources: folders that may hold them; the first one that has it whole gives it, or else the first one that has it.
        kept: what an earlier call brought, asked where no source has a run any more.
    """
    found: Brought = {}
    problems: list[str] = []
    clashes: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        there = [source for source in sources if (source.root / job.record).is_file()]
        there = there or [source for source in (kept,) if (source.root / job.record).is_file()]
        try:
            there.sort(key=lambda source: bool(absent(source.root / job.record)))
            payloads = [_opened(source, job) for source in there]
        except CorruptedError as error:
            problems.append(str(error))
            continue
        for source, payload in list(zip(there, payloads, strict=True))[1:]:
            if said := clash(job, there[0].name, payloads[0], payload):
                clashes.setdefault((source.name, there[0].name), []).append(said)
        if there:
            found[job.record] = there[0], payloads[0]
    return found, [*problems, *(_clashing(*key, said) for key, said in clashes.items())]


def place(jobs: Sequence[Job], brought: Brought, sources: Sequence[Source], out: Path) -> None:
    """Put what ``look`` found below ``out``, each run under its own path, and of those that nobody has why they failed.

    What lies there of an earlier call stays where it is the same or no source has it any more, and is put in order if not.
    """
    for job in jobs:
        if job.record in brought:
            source, payload = brought[job.record]
            place_run(source.root / job.record, payload, out / job.record)
        else:
            _place_reason(job, sources, out)


def _opened(source: Source, job: Job) -> dict[str, Any]:
    """The payload of a source's record, checked, and made by the specification that is wanted. Raises CorruptedError."""
    record = source.root / job.record
    payload = read_record(record) if job.phase == "data" else open_kept(record)
    if digest(payload.get("spec")) != digest(job.spec.dump()):
        raise CorruptedError(f"{record}: expected the specification of key {job.spec.key}, found that of another key")
    return payload


def clash(job: Job, first: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """How two payloads of one specification differ in their bytes; empty if they do not. ``first``: whose bytes are expected."""
    name = differing(expected, found)
    if name is None:
        return ""
    one, two = (str(payload["files"].get(name, "no file"))[:10] for payload in (expected, found))
    return (
        f"{job.record.parent / name}: expected sha256 {one} as in {first}, found {two}: one specification with two results "
        f"({made_on(expected)}; {made_on(found)})"
    )


def differing(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first file in which two payloads of one specification differ; None if they are equal, speed left out."""
    sides = [{n: of for n, of in p["files"].items() if n not in TIMED} for p in (first, other)]
    return next((n for n in {**sides[0], **sides[1]} if sides[0].get(n) != sides[1].get(n)), None)


def _clashing(source: str, first: str, said: Sequence[str]) -> str:
    """One line for all runs in which two folders differ."""
    more = (
        f", and in {len(said) - 1} runs more; remove them from {source} or {first}"
        if len(said) > 1
        else "; remove one of the two"
    )
    return f"{source}: {said[0]}{more}"


def made_on(payload: Mapping[str, Any]) -> str:
    """Processor, precision, torch and system of a run."""
    device, made = payload.get("device", {}), payload.get("environment", {})
    torch = made.get("packages", {}).get("torch")
    parts = (device.get("name"), device.get("precision"), f"torch {torch}" if torch else "", made.get("system"))
    return ", ".join(str(part) for part in parts if part) or "not said on what"


def place_run(source: Path, payload: Mapping[str, Any], target: Path) -> None:
    """Put a finished folder where it belongs, its record last; a note of where it came from goes with it."""
    lacking = absent(source)
    if target.is_file() and sha256_file(target) == sha256_file(source) and (lacking or not absent(target)):
        return
    if target.parent.exists():
        shutil.rmtree(target.parent)
    names = [name for name in payload["files"] if name not in lacking]
    noted = [ABSENT] if source.with_name(ABSENT).is_file() else []
    for name in (*names, *noted, source.name):
        (target.parent / name).parent.mkdir(parents=True, exist_ok=True)
        _link(source.parent / name, target.parent / name)


def _place_reason(job: Job, sources: Sequence[Source], out: Path) -> None:
    """Bring what says why a run that nobody has failed, in the place of what an earlier call brought of it."""
    target = (out / job.record).with_name(FAILURE)
    target.unlink(missing_ok=True)
    notes = [note for s in sources if (note := (s.root / job.record).with_name(FAILURE)).is_file()]
    for note in notes[:1]:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(note, target)


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy. Nothing is written into a file that is there: it may be another folder's by a link."""
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        os.link(source.resolve(), part)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, part)
    part.replace(target)
