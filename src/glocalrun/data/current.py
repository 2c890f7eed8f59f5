"""Whether data is still what was verified: asked before anything is planned.

Every call of Snakemake imports this, jobs on nodes of a cluster too: what opens files is imported where something changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from glocalrun.plans import CARDS, INCOMING
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.fetch import dataset_root
from glocalseg.data.acquire.lock.changes import Stats, compare
from glocalseg.data.acquire.lock.file import Contents, advice, check_subjects, locked
from glocalseg.data.cards.card import Card
from glocalseg.data.files.names import nifti_stem
from glocalseg.data.files.unused import look
from glocalseg.data.readers.base import Problem
from glocalseg.plan.bought import Bought
from glocalseg.plan.make import data_job, fetched_record, identity, lock_file, verified_record
from glocalseg.records.sealed import CorruptedError, read_record, write_record

COMPARED = "compared.json"  # beside verified.json: when which file was last found to be what is known
FEW = 20  # files that are read again without a word


def require_current(card: Card) -> None:
    """Look whether a data set is still what was verified, and its subjects those of the lock file.

    Data that lies here and was not verified on this machine, as after `data/raw` was cleared, is read once and compared with the
    lock file if there are slices of it: nothing else in this call would look at it.

    Raises:
        ConfigError: with a line for every volume that changed, appeared or is gone.
    """
    verified, lock = _verified(card), lock_of(card)
    if verified and root_of(card).is_dir():
        contents = {volume: tuple(content) for volume, content in verified["contents"].items()}
        problems = _compare(card, contents, verified["identity"], verified["stats"])
    elif lock is None or (known := locked(lock, card.reading)) is None:
        problems = []
    elif not verified and _lies_here(root_of(card)) and data_job(card, CARDS).record.is_file():
        problems = _compare(card, {volume: case.content for volume, case in known.cases.items()}, known.identity, {})
    else:
        problems = check_subjects(known, card.subject.rows, what_of(card))
    if problems:
        raise ConfigError("\n".join(f"{card.name}: {problem}" for problem in problems))


def _lies_here(root: Path) -> bool:
    """Whether there is data at all: without any, results that came from elsewhere stand for themselves."""
    return root.is_dir() and any(nifti_stem(path) is not None for path in look(root).files)


def _compare(card: Card, contents: Contents, known: str, stats: Stats) -> list[Problem]:
    """What of the data is not what is known. What is right is noted, so that the next call need not read it.

    Args:
        known: the identity that the contents give.
        stats: of files as they were verified; none if that was not here.
    """
    note = verified_record(card).with_name(COMPARED)
    before = {**stats, **_noted(note, known)}
    read = 0
    with ExitStack() as shown:

        def told(files: int) -> Callable[[], None]:
            nonlocal read
            read = files
            return _progress(card, files, shown, first=not before)

        found = compare(card, root_of(card), contents, before, what_of(card), told=told)
    if read:
        with suppress(OSError):  # where nothing can be written, they are read again
            note.parent.mkdir(parents=True, exist_ok=True)
            write_record(note, {"dataset": card.name, "identity": known, "stats": found.stats, "files": {}})
    return found.problems


def _noted(note: Path, known: str) -> Mapping[str, list[int]]:
    """Files that were found to be right, if they were compared with the same contents."""
    try:
        noted = read_record(note)
        return noted["stats"] if noted["identity"] == known else {}
    except (CorruptedError, KeyError):
        return {}


def _progress(card: Card, files: int, shown: ExitStack, *, first: bool) -> Callable[[], None]:
    """Say that files are read, if they are many, or nobody expects it; the function that counts them."""
    if files <= FEW and not first:
        return lambda: None
    from glocalseg.records.progress import Progress  # slow to import, and rarely needed

    why = "its data lies here, and was not verified on this machine" if first else "files have other dates"
    count = "one file is" if files == 1 else f"{files} files are"
    print(f"{card.name}: {why}: {count} read once, and compared with what is known", file=sys.stderr, flush=True)
    return shown.enter_context(Progress(f"comparing {card.name}", files, "files")).add


def forget_stale(card: Card) -> None:
    """Remove the record of a verification where the lock file is gone or is another one: the data is then verified again."""
    if not _verified(card):
        verified_record(card).unlink(missing_ok=True)


def forget_other_weights(own: Bought) -> None:
    """Remove the record of bought-in weights whose lock file is gone, or is another one: they are fetched again."""
    twin = own.record.with_name(f".{own.record.name}")
    for record in (own.record, twin):
        try:
            known = own.sha256 is not None and read_record(record)["files"].get(own.file.name) == own.sha256
        except CorruptedError:
            known = False
        if not known:
            record.unlink(missing_ok=True)


def _verified(card: Card) -> dict[str, Any]:
    """What was verified on this machine; empty if nothing was, or not what the lock file stands for."""
    try:
        verified = read_record(verified_record(card))
        return verified if card.source.identity is not None or verified["identity"] == identity(card, CARDS) else {}
    except (CorruptedError, KeyError, ValueError):  # of the lock file, too, which whoever needs it names
        return {}


def root_of(card: Card) -> Path:
    """The folder that the card's reader gets."""
    return dataset_root(card, fetched_record(card).parent, INCOMING / card.name)


def lock_of(card: Card) -> Path | None:
    """Its lock file, there or not, as a person here calls it; None for data that needs none."""
    return Path(os.path.relpath(lock_file(card, CARDS))) if card.source.identity is None else None


def what_of(card: Card) -> str:
    """What knows the data, for problems."""
    lock = lock_of(card)
    return advice(lock) if lock is not None else "what was generated"
