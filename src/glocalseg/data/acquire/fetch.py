"""Bringing a data set to this machine: the only step that uses the network.

Every source ends in the same state: ``raw/fetched.json`` was written last and holds the sha256 of every file below
``raw/files``. A fetch that is killed leaves ``raw/resume...``, from which the next one goes on.
"""

from __future__ import annotations

from pathlib import Path

from glocalseg.data.acquire.shared import FetchError, Retry
from glocalseg.data.acquire.sources.base import Wanted
from glocalseg.data.cards.card import Card
from glocalseg.records.sealed import seal, write_record

__all__ = ["RECORD", "FetchError", "check_source", "dataset_root", "fetch"]
RECORD = "fetched.json"


def dataset_root(card: Card, raw: Path, incoming: Path) -> Path:
    """The folder that the reader gets: below ``raw/files``, or where a person put the data."""
    return card.source.folder(raw, incoming)


def fetch(card: Card, raw: Path, *, mirror: str | None = None, incoming: Path, retry: Retry | None = None) -> None:
    """Make ``raw/files`` and, last, ``raw/fetched.json``; for data that a person brings, check that it is there.

    Args:
        raw: folder of this version of the data set, ``data/raw/<dataset>/<origin>``.
        mirror: folder or url in which the archive's file name is looked for, instead of the card's url.
        incoming: folder into which a person puts data behind a registration, ``data/incoming/<dataset>``.
        retry: how patiently a download is repeated.

    Raises:
        FetchError: what was expected, what was found, and what to do.
    """
    raw.mkdir(parents=True, exist_ok=True)
    payload = {"dataset": card.name, **card.source.bring(_wanted(card, incoming, mirror, retry), raw)}
    if card.source.brought:
        write_record(raw / RECORD, {**payload, "files": {}})  # its contents are known to verification
    else:
        seal(raw / RECORD, payload)


def check_source(card: Card, *, mirror: str | None = None, incoming: Path, timeout: float = 10.0) -> None:
    """Look whether this machine could fetch the data, without fetching it: the archive's server answers, the files are there.

    Args:
        mirror, incoming: as ``fetch``.
        timeout: seconds for the server to answer; any answer will do.

    Raises:
        FetchError: what was expected, what was found, and what to do.
    """
    card.source.check(_wanted(card, incoming, mirror), timeout=timeout)


def _wanted(card: Card, incoming: Path, mirror: str | None, retry: Retry | None = None) -> Wanted:
    return Wanted(card.name, card.title, incoming, mirror, retry)
