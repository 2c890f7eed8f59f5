"""Runs that were made here held against those of a published report, bit by bit: exit 0 if all are equal, 1 if not."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from glocalrun.tools.published.restore import published
from glocalseg.config.model import ConfigError
from glocalseg.plan.phases import phase_of
from glocalseg.records.digest import digest
from glocalseg.records.sealed import CorruptedError, came_from, open_sealed, read_record
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.bring import differing, made_on
from glocalseg.report.joined.source import Source

ROOT = Path(".")


@dataclass(frozen=True)
class Held:
    """Runs that are here, by how they agree with the published ones; a line each of those that differ or cannot be read.

    ``bare`` came from a published report themselves and prove nothing; ``gone`` are not here. ``elsewhere`` are equal ones that
    were made on another processor or in another precision.
    """

    equal: int
    differ: tuple[str, ...]
    elsewhere: tuple[str, ...]
    bare: int
    gone: int

    @property
    def verified(self) -> bool:
        """Whether there was something to compare, and all of it was equal."""
        return self.equal > 0 and not self.differ


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="results/published/<benchmark>, with its runs")
    args = parser.parse_args()
    try:
        with TemporaryDirectory() as scratch:
            found = held(published(args.folder, "verify-published", Path(scratch)), ROOT)
    except (ConfigError, CorruptedError, ReportError, OSError) as error:
        sys.exit(str(error))
    for line in said(found):
        print(line)
    sys.exit(0 if found.verified else 1)


def held(source: Source, root: Path) -> Held:
    """Compare the runs below ``root`` with those of a published report, speed left out. Raises CorruptedError."""
    equal, bare, gone = 0, 0, 0
    differ: list[str] = []
    elsewhere: list[str] = []
    for record in source.runs:
        if not (source.root / record).is_file():
            continue
        if not (root / record).is_file():
            gone += 1
        elif came_from(root / record):
            bare += 1
        elif line := _difference(source, root, record):
            differ.append(line)
        else:
            equal += 1
            sides = [read_record(side / record) for side in (source.root, root)]
            elsewhere += [f"{record.parent}: {_both(*sides)}"] if _device(sides[0]) != _device(sides[1]) else []
    return Held(equal, tuple(differ), tuple(elsewhere), bare, gone)


def _difference(source: Source, root: Path, record: Path) -> str:
    """In what a run is another one; empty if it is not. Of a slice store the record alone is read: its arrays are large."""
    try:
        found = read_record(root / record) if phase_of(record) == "data" else open_sealed(root / record)
    except CorruptedError as error:
        return str(error)
    expected = read_record(source.root / record)
    if digest(found.get("spec")) != digest(expected.get("spec")):
        return f"{record}: expected the published specification, found another one"
    name = differing(expected, found)
    if name is None:
        return ""
    one, two = (str(payload["files"].get(name, "no file"))[:10] for payload in (expected, found))
    return f"{record.with_name(name)}: expected sha256 {one} as published, found {two}: {_both(expected, found)}"


def _both(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    one, two = made_on(expected), made_on(found)
    return f"both on {one}" if one == two else f"published on {one}, here on {two}"


def _device(payload: Mapping[str, Any]) -> Sequence[object]:
    device = payload.get("device", {})
    return [device.get(name) for name in ("type", "name", "precision")]


def said(found: Held) -> Iterator[str]:
    """All that is to be said, a line each."""
    here = found.equal + len(found.differ)
    yield from found.differ
    yield from (f"equal, although made otherwise: {line}" for line in found.elsewhere)
    yield f"{found.equal} of {here} runs that were made here are equal to the published ones, bit for bit; speed left out"
    if found.bare or found.gone:
        yield f"Not compared: {found.gone} that are not here, {found.bare} that were taken from a published report themselves"
