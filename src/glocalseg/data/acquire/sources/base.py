"""What every source of data has in common: what stands for its bytes, whether and how they come here, and where they lie.

A source is a file of this package with one class that derives from ``Source``. Parsing a card imports it: whatever only
bringing the data needs is imported there.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from glocalseg.config.kinds import Kind
from glocalseg.data.acquire.shared import Retry

FILES = "files"  # folder of fetched files, below data/raw/<dataset>/<origin>
Fact = tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """The data set that is to come from a source, and where else than there it may be found.

    Args:
        name: of the data set.
        title: how people call it.
        incoming: folder into which a person puts data behind a registration, ``data/incoming/<dataset>``.
        mirror: folder or url in which an archive's file name is looked for, instead of its own url.
        retry: how patiently a download is repeated.
    """

    name: str
    title: str
    incoming: Path
    mirror: str | None = None
    retry: Retry | None = None


class Source(Kind):
    """Where a data set comes from. ``brought``: a person brings it, and it stays where it is."""

    brought: ClassVar[bool] = False

    @property
    def identity(self) -> str | None:
        """What stands for the data's contents in keys, where it is known without looking; None: the lock file says it."""
        return None

    @property
    @abstractmethod
    def origin(self) -> str:
        """What tells one wrapping of the data from another, for the folder that it is brought to."""

    @abstractmethod
    def check(self, wanted: Wanted, *, timeout: float) -> None:
        """Look whether this machine could fetch the data, in ``timeout`` seconds, without fetching it. Raises FetchError."""

    @abstractmethod
    def bring(self, wanted: Wanted, raw: Path) -> dict[str, Any]:
        """Make ``raw/files``, if it is not there, or look at what a person brought; returns what the record says of it.

        Killed at any time, it goes on or starts again at the next call. Raises FetchError.
        """

    @abstractmethod
    def folder(self, raw: Path, incoming: Path) -> Path:
        """The folder that the reader gets: below ``raw/files``, or where a person put the data."""

    @abstractmethod
    def facts(self) -> tuple[Fact, ...]:
        """Labels and values for a reader of the report."""
