"""Sealed folders: finished, with the sha256 of every file.

The ``run.json`` (or ``manifest.json``) of a *sealed folder* was written last, by a rename, and holds the sha256 of every
other file of the folder, and the digest of itself. Whoever reads the folder goes through ``open_sealed``, so an edited byte is
an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glocalseg.records.digest import is_stamped, sha256_file, stamped
from glocalseg.records.files import write_json

RESUME = "resume"  # undeclared state of an unfinished run, in files that start with this
SHOWN = 200  # letters of another error in a message
FAILURE = f"{RESUME}-failure.json"  # why the last attempt at it ended: error and message


class CorruptedError(RuntimeError):
    """A sealed folder whose files are not those that were sealed: names the file, what was expected and found."""


def seal(record: Path, payload: Mapping[str, Any]) -> None:
    """Finish a folder: drop the resume state, hash every file, write ``record`` last, its twin before it.

    Args:
        record: ``<folder>/run.json`` or ``<folder>/manifest.json``.
        payload: JSON-able; ``files`` and ``digest`` are added.
    """
    folder = record.parent
    for leftover in [*folder.glob(f"{RESUME}*"), *folder.glob(".*.part")]:
        leftover.unlink()
    own = (record, _twin(record))
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p not in own)
    finished = {**payload, "files": {name: sha256_file(folder / name) for name in names}}
    for path in reversed(own):
        write_record(path, finished)


def write_record(record: Path, payload: Mapping[str, Any]) -> None:
    """Write a record with the digest of its own content, by which a changed letter of it is noticed."""
    write_json(record, stamped(payload))


def restore(record: Path) -> bool:
    """True if the folder is finished: its record is there, or came back from its twin, every file being as sealed.

    Snakemake removes a record before it runs a job again, even where the job had ended well beside one that failed.
    """
    twin = _twin(record)
    if record.is_file():
        return True
    if not twin.is_file():
        return False
    try:
        payload = read_record(twin)
        intact = all(sha256_file(record.parent / name) == expected for name, expected in payload["files"].items())
    except (OSError, CorruptedError):
        return False
    if intact:
        write_json(record, payload)
    return intact


def _twin(record: Path) -> Path:
    return record.with_name(f".{record.name}")


def open_sealed(record: Path) -> dict[str, Any]:
    """The payload of a sealed folder after every file of it was checked.

    Raises:
        CorruptedError: if the record or a file is missing, unreadable or changed.
    """
    payload = read_record(record)
    for name, expected in payload["files"].items():
        path = record.parent / name
        if not path.is_file():
            raise CorruptedError(f"{path}: expected a file with sha256 {expected}, found none")
        found = sha256_file(path)
        if found != expected:
            raise CorruptedError(
                f"{path}: expected sha256 {expected}, found {found}: the file was changed after it was made. "
                f"Delete {record.parent} to make it again"
            )
    return payload


def read_record(record: Path) -> dict[str, Any]:
    """The payload of a sealed folder, its files unchecked. Raises CorruptedError."""
    try:
        payload: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        payload["files"]
        whole = is_stamped(payload)
    except FileNotFoundError:
        raise CorruptedError(f"{record}: expected a finished run or store, found nothing") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptedError(f"{record}: expected JSON with a 'files' entry, found {repr(error)[:SHOWN]}") from None
    if not whole:
        raise CorruptedError(
            f"{record}: expected what was written there, found others: its digest is not that of its content. Delete "
            f"{record.parent} to make it again"
        )
    return payload
