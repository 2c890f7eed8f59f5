"""The lock file of data that a person brings: the sha256 of every file that is read of it, kept in git beside its card."""

from __future__ import annotations

import json
from pathlib import Path

from glocalseg.config.model import ConfigError
from glocalseg.data.card import Card
from glocalseg.data.readers.base import NIFTI, Case, Problem
from glocalseg.records.digest import sha256_file
from glocalseg.records.progress import Progress


def lock_digest(card: Card, cases: list[Case], root: Path) -> dict[str, str]:
    """The sha256 of every file that is read and exists, by path relative to ``root``, sorted.

    Images and labels, what the reader lists the cases from, and the table of subjects.
    """
    tables = [*card.reader.listings(root), *([root / card.subject.table] if card.subject.table else [])]
    read = [*tables, *(path for case in cases for path in (case.image, case.label))]
    files = sorted({path for path in read if path.is_file()})
    with Progress("hashing", len(files), "files") as progress:
        digests = {}
        for path in files:
            digests[path.relative_to(root).as_posix()] = sha256_file(path)
            progress.add()
    return dict(sorted(digests.items()))


def check_lock(lock: Path, digests: dict[str, str]) -> list[Problem]:
    """A problem for every file that is not the one the lock file names."""
    try:
        known = _read(lock)
    except (OSError, ValueError, AttributeError) as error:
        return [Problem(str(lock), "JSON that maps files to sha256", repr(error))]
    advice = _advice(lock)
    changed = [
        Problem(name, f"sha256 {known[name]} of {lock.name}", (digests.get(name) or "no such file") + advice)
        for name in sorted(known)
        if digests.get(name) != known[name]
    ]
    return changed + [
        Problem(name, f"only the files that {lock.name} names", "one more" + advice)
        for name in sorted(set(digests) - set(known))
    ]


def check_tables(card: Card, root: Path, lock: Path) -> None:
    """Look, before anything is planned, whether the small files that are here and say who is who are those of the lock file.

    Images are looked at when the data is verified and prepared. A table that was corrected since would change splits under
    keys that stay.

    Raises:
        ConfigError: if a table or listing is here and is not the one that was verified.
    """
    if not card.source.locked or not lock.is_file():
        return
    try:
        known = _read(lock)
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{lock}: expected JSON that maps files to sha256, found {error!r}") from None
    for name, expected in known.items():
        path = root / name
        if not name.endswith(NIFTI) and path.is_file() and (found := sha256_file(path)) != expected:
            raise ConfigError(f"{path}: expected sha256 {expected} of {lock.name}, found {found}{_advice(lock)}")


def _read(lock: Path) -> dict[str, str]:
    return {str(name): str(value) for name, value in json.loads(lock.read_text(encoding="utf-8")).items()}


def _advice(lock: Path) -> str:
    dataset = lock.name.removesuffix(".lock.json")
    return f" (if the data is meant to have changed: delete {lock} and the folder data/raw/{dataset})"
