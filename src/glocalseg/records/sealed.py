"""Sealed folders: finished, with the sha256 of every file.

The ``run.json`` (or ``manifest.json``) of a *sealed folder* was written last, by a rename, and holds the sha256 of every
other file of the folder, and the digest of itself. Whoever reads the folder goes through ``open_sealed``, so an edited byte is
an error.

A folder may stand here *without arrays*: it came from a published report, which holds no weights and no predictions. A note in it
says so, because a file that is merely gone is an error. ``open_kept`` takes such a folder, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from glocalseg.records.digest import is_stamped, sha256_file, stamped
from glocalseg.records.files import write_json

RESUME = "resume"  # undeclared state of an unfinished run, in files that start with this
SHOWN = 200  # letters of another error in a message
FAILURE = f"{RESUME}-failure.json"  # why the last attempt at it ended: error and message


ABSENT = ".absent.json"  # the note of a folder without arrays: which files never came here, and with what the others came


class CorruptedError(RuntimeError):
    """A sealed folder whose files are not those that were sealed: names the file, what was expected and found."""


def seal(record: Path, payload: Mapping[str, Any]) -> None:
    """Finish a folder: drop the resume state, hash every file, write ``record`` last, its twin before it.

    Args:
        record: ``<folder>/run.json`` or ``<folder>/manifest.json``.
        payload: JSON-able; ``files`` and ``digest`` are added.
    """
    folder = record.parent
    for leftover in [*folder.glob(f"{RESUME}*"), *folder.glob(".*.part"), *folder.glob(ABSENT)]:
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
    return _open(record, whole=True)


def open_kept(record: Path) -> dict[str, Any]:
    """As ``open_sealed``, but files that are not here because they never came are let pass.

    Raises:
        CorruptedError: if the record or another file is missing, unreadable or changed.
    """
    return _open(record, whole=False)


def absent(record: Path) -> tuple[str, ...]:
    """The files of a sealed folder that never came here; none of a whole one. Raises CorruptedError."""
    return tuple(name for name in _note(record)["files"] if not (record.parent / name).is_file())


def came_from(record: Path) -> str:
    """The published report that a run came from, though it may have all its files; empty if none. Raises CorruptedError."""
    return str(_note(record)["from"])


def note_absent(record: Path, origin: str, files: Iterable[str]) -> None:
    """Say that files of a folder never came here, and with what the others came."""
    write_json(record.with_name(ABSENT), {"from": origin, "files": sorted(files)})


def _note(record: Path) -> dict[str, Any]:
    path = record.with_name(ABSENT)
    try:
        note: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(note["from"], str) or not all(isinstance(name, str) for name in note["files"]):
            raise TypeError("files: names expected")
    except FileNotFoundError:
        return {"from": "", "files": []}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptedError(f"{path}: expected what is not here, found {repr(error)[:SHOWN]}") from None
    return note


def _open(record: Path, *, whole: bool) -> dict[str, Any]:
    payload = read_record(record)
    for name, expected in payload["files"].items():
        path = record.parent / name
        if not path.is_file():
            note = _note(record)
            if name not in note["files"]:
                raise CorruptedError(f"{path}: expected a file with sha256 {expected}, found none")
            if whole:
                raise CorruptedError(
                    f"{path}: expected a file with sha256 {expected}, found none: {record.parent} came from {note['from']}, "
                    "which holds no weights and no predictions. Delete it to make it here"
                )
            continue
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
