"""A label and what is said about it: how the page shows settings, data and provenance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fact:
    """Rich text on both sides."""

    label: str
    value: str


@dataclass(frozen=True)
class DataFacts:
    """What a data set's card says, for a reader, and ``notes``: what verification met and did not stop at."""

    title: str
    facts: tuple[Fact, ...]
    notes: tuple[str, ...]
    citation: tuple[str, ...]


def listed(items: list[str] | tuple[str, ...]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(items) if len(items) < 3 else ", ".join(items[:-1]) + " and " + items[-1]
