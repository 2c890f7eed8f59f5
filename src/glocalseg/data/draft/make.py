"""A card drafted from a folder or an archive: everything that is measured and guessed, and the text of the card."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from glocalseg.config.model import ConfigError, Name, parse
from glocalseg.data.acquire.unpack import unpack
from glocalseg.data.cards.card import Card
from glocalseg.data.cards.reading import Reading
from glocalseg.data.draft.guessed.axis import Choice, choose_axis, compared_volumes
from glocalseg.data.draft.guessed.frame import Proposal, propose_frame
from glocalseg.data.draft.guessed.intensities import Intensities, intensities_of
from glocalseg.data.draft.guessed.values import Structures, structures_of
from glocalseg.data.draft.layout import DraftError, Layout, find_layout, listed
from glocalseg.data.draft.measured.stacks import Extents
from glocalseg.data.draft.measured.volume import Measured, along_body, header_of, measure_all
from glocalseg.data.draft.subjects import FEWEST, Subjects, guess_subjects
from glocalseg.data.readers.base import Case, Problem

__all__ = ["Draft", "DraftError", "Name", "Splits", "draft_card", "unpacked"]
SEED = 0


@dataclass(frozen=True)
class Splits:
    """How many subjects with labels there are, and how many of them test and validate."""

    labelled: int
    test: int
    validation: int


@dataclass(frozen=True)
class Draft:
    """All that is known of the data, for the card's text and for a person to read."""

    name: str
    source: dict[str, Any]
    layout: Layout
    listed: dict[str, Any]
    subjects: Subjects
    measured: list[Measured]
    structures: Structures
    axis: Choice
    frame: Proposal
    intensities: Intensities
    splits: Splits

    @property
    def unlabelled(self) -> list[Case]:
        return [case for case in self.layout.cases if case.label is None]

    @property
    def problems(self) -> list[Problem]:
        """Of the layout and of single files; none of them stops a draft."""
        return [*self.layout.problems, *(problem for m in self.measured for problem in m.problems)]

    def card(self, text: str) -> Card:
        """The card that a text gives. Raises ConfigError."""
        return parse(Card, yaml.safe_load(text), f"{self.name}.yaml")


def unpacked(archive: Path, folder: Path) -> dict[str, Any]:
    """Unpack an archive into an empty folder; what a card's source says of it, but for ``root``. Raises FetchError."""
    unpack(archive, folder)
    with archive.open("rb") as f:
        checksum = hashlib.file_digest(f, "sha256").hexdigest()
    return {"kind": "archive", "file": archive.name, "size": archive.stat().st_size, "sha256": checksum}


def draft_card(name: str, top: Path, *, source: dict[str, Any], workers: int) -> Draft:
    """Look at every volume below a folder.

    Args:
        name: of the data set.
        top: the folder, or where an archive was unpacked.
        source: what the card says of where the data comes from, but for the folder below ``top`` that the reader gets.
        workers: processes; nothing depends on it.

    Raises:
        DraftError: if no layout fits, or fewer than three subjects have labels that can be read.
    """
    layout = find_layout(top)
    volumes = [case.volume for case in layout.cases]
    subjects = guess_subjects(volumes, layout.root)
    reading = Reading.model_validate(
        {"reader": layout.reader, "subject": subjects.rule, "labels": "some", "ignore": [*layout.ignored]}
    )
    labelled = [case.volume for case in layout.cases if case.label is not None]
    compared = compared_volumes(subjects.of, labelled)
    extents = _extents([case for case in layout.cases if case.volume in compared])
    measured = measure_all(reading, layout.cases, extents, compared, workers=workers)
    usable = {subjects.of[m.case.volume] for m in measured if m.values is not None}
    if len(usable) < FEWEST:
        problems = [str(problem) for m in measured for problem in m.problems]
        raise DraftError(
            f"{layout.root}: expected {FEWEST} subjects or more with labels that can be read (reader {layout.reader.kind}: "
            f"{len(volumes)} volumes, {len(labelled)} labels, {subjects.count} subjects), found {len(usable)}"
            + (f"; such as {problems[0]}" if problems else "")
        )
    said = listed(layout.root)
    structures = structures_of(measured, said)
    choice = choose_axis(measured)
    return Draft(
        name=name,
        source=_source(source, top, layout.root),
        layout=layout,
        listed=said,
        subjects=subjects,
        measured=measured,
        structures=structures,
        axis=choice,
        frame=propose_frame(measured, choice.axis, structures.classes, structures.names),
        intensities=intensities_of(measured, said),
        splits=split_counts(len({subjects.of[volume] for volume in labelled})),
    )


def split_counts(labelled: int) -> Splits:
    """A quarter for the test, two or more; a tenth for validation, one or more; at least one is left to train."""
    validation = max(1, round(labelled / 10))
    test = min(max(2, round(labelled / 4)), labelled - validation - 1)
    return Splits(labelled, test, validation)


def _source(source: dict[str, Any], top: Path, root: Path) -> dict[str, Any]:
    below = root.relative_to(top).as_posix()
    if source["kind"] == "archive":
        return {**source, "root": below}
    return {**source, "path": (Path(source["path"]) / below).as_posix()}


def _extents(cases: Sequence[Case]) -> Extents | None:
    """Median size in mm of the volumes that are compared, by their headers."""
    found = []
    for case in cases:
        header = header_of(case.image)
        body = along_body(header[0][:3], header[1]) if header and len(header[0]) >= 3 else None
        if body is not None:
            found.append([n * s for n, s in zip(*body, strict=True)])
    if not found:
        return None
    r, a, s = np.median(found, axis=0)
    return float(r), float(a), float(s)


def fitting_name(name: str) -> str:
    """The name of a data set, if it may be one. Raises ConfigError."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Name).validate_python(name)
    except ValidationError:
        raise ConfigError(f"NAME: expected small letters, digits and _, a letter first, found {name!r}") from None
