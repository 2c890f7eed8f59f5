"""Whether data that was verified on this machine is still what it was: asked before anything is planned.

Every call of Snakemake imports this, jobs on nodes of a cluster too: what opens files is imported where something changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from glocalrun.plans import CARDS, INCOMING
from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.fetch import dataset_root
from glocalseg.data.acquire.lock.changes import changes
from glocalseg.data.acquire.lock.file import advice, check_subjects, locked
from glocalseg.data.cards.card import Card
from glocalseg.plan.make import fetched_record, identity, lock_file, verified_record
from glocalseg.records.sealed import CorruptedError, read_record


def require_current(card: Card) -> None:
    """Look whether a data set is still what was verified, and its subjects those of the lock file.

    Raises:
        ConfigError: with a line for every volume that changed, appeared or is gone.
    """
    verified, lock = _verified(card), lock_of(card)
    if verified:
        problems = changes(card, root_of(card), verified, what_of(card))
    elif lock is not None and (known := locked(lock, card.reading)) is not None:
        problems = check_subjects(known, card.subject.rows, what_of(card))
    else:
        problems = []
    if problems:
        raise ConfigError("\n".join(f"{card.name}: {problem}" for problem in problems))


def forget_stale(card: Card) -> None:
    """Remove the record of a verification where the lock file is gone or is another one: the data is then verified again."""
    if not _verified(card):
        verified_record(card).unlink(missing_ok=True)


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
