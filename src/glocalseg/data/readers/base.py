"""What every reader has in common: a case is two files, and a subject is told from a volume's name or from a table.

A reader is a file of this package with one class that derives from ``Reader``. It opens no image; ``data.images.volumes`` does.
``data.files.cases`` asks it.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Self
from unicodedata import normalize

from pydantic import Field, field_validator, model_validator

from glocalseg.config.kinds import Kind
from glocalseg.config.lines import one_line, shortened
from glocalseg.config.model import Model
from glocalseg.data.files.table import read_table


@dataclass(frozen=True)
class Case:
    """One volume: its name, the subject it shows, and its two files (which may be missing). ``label`` is None if it has none."""

    volume: str
    subject: str
    image: Path
    label: Path | None


@dataclass(frozen=True)
class Problem:
    """What is wrong with a data set: where, what was expected there, and what was found."""

    file: str
    expected: str
    found: str

    def __str__(self) -> str:
        return one_line(f"{self.file}: {shortened(f'expected {self.expected}, found {self.found}')}")


@dataclass(frozen=True)
class Note:
    """What is odd about a data set, or not used of it, and stops nothing."""

    file: str
    text: str

    def __str__(self) -> str:
        return one_line(f"{self.file}: {shortened(self.text)}")


@dataclass(frozen=True)
class Said:
    """What a list of the data says of it: names of the channels, if any, and names of label values."""

    file: Path
    channels: list[str] | None
    labels: dict[int, str]


@dataclass
class Scan:
    """What lies below a folder, and what was met while looking for it.

    Args:
        cases: in any order. Two with one name are two files of which only one can be meant: whoever asks says so.
        problems, notes: what was met.
        left: files that the reader knows and leaves, such as those of another part of the data.
        named: files that are used by no case, or by one that is wrong, and that a problem names already.
        said: what a list says of the data.
    """

    cases: list[Case] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)
    named: list[Path] = field(default_factory=list)
    said: Said | None = None


class ReaderError(RuntimeError):
    """Files that are not what the card says: holds every problem that was met, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class SubjectRule(Model):
    """How a volume's name gives its subject: a regular expression with one group, or a two-column tsv, volume and subject."""

    pattern: str | None = Field(default=None, description="searched in the volume's name; its first group is the subject")
    table: str | None = Field(default=None, description="file with two columns, volume and subject, below the data's folder")
    card_table: str | None = Field(default=None, description="such a file beside the card")
    rows: dict[str, str] = Field(default={}, description="the rows of card_table; read from it")

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise ValueError(f"expected a regular expression, which this is not: {error}") from None
        if not groups:
            raise ValueError("expected a regular expression with a group in parentheses, which is the subject")
        return pattern

    @model_validator(mode="after")
    def _one(self) -> Self:
        if [self.pattern, self.table, self.card_table].count(None) != 2:
            raise ValueError("give one of pattern, table and card_table")
        return self


class SubjectNames:
    """Subjects of volumes by a rule; those that could not be told are '', and ``problems_of`` says why."""

    def __init__(self, rule: SubjectRule, root: Path) -> None:
        self._rule = rule
        self._table: Mapping[str, str] = rule.rows
        self._of_table: list[Problem] = []
        self._of_volumes: dict[str, Problem] = {}
        self._asked: set[str] = set()
        self._where = rule.card_table or ""
        if rule.table is not None:
            path = root / rule.table
            self._where = str(path)
            try:
                self._table = read_table(path)
            except FileNotFoundError:
                problem = Problem(self._where, "the table that gives each volume's subject", "no such file")
                self._of_table.append(problem)
            except (OSError, ValueError) as error:
                self._of_table.append(Problem(self._where, "two columns, volume and subject, with tabs", str(error)))

    def of(self, volume: str) -> str:
        """The subject of a volume, or ''."""
        self._asked.add(volume)
        if self._rule.pattern is None:
            subject = self._table.get(volume, "")
            if not subject and not self._of_table:
                self._of_volumes[volume] = Problem(self._where, f"a row for volume {volume!r}", "none")
            return subject
        match = re.search(normalize("NFC", self._rule.pattern), volume)
        if match is None or not match.group(1):
            self._of_volumes[volume] = Problem(volume, f"a name that matches {self._rule.pattern!r}", "one that does not")
            return ""
        return match.group(1)

    def problems_of(self, volumes: Iterable[str]) -> list[Problem]:
        """Why subjects of these volumes could not be told."""
        return [*self._of_table, *(self._of_volumes[v] for v in dict.fromkeys(volumes) if v in self._of_volumes)]

    def notes(self) -> list[Note]:
        """What of the table is not used: rows of volumes that nobody asked for."""
        others = [volume for volume in self._table if volume not in self._asked]
        if not others:
            return []
        count = (
            f"{len(others)} rows are of volumes that are not there"
            if len(others) > 1
            else "one row is of a volume that is not there"
        )
        return [Note(self._where, f"{count}, such as {others[0]!r}" if len(others) > 1 else f"{count}: {others[0]!r}")]


class Reader(Kind):
    """A layout of files; its fields are its options in the card."""

    @abstractmethod
    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        """The cases below ``root``, and what was met while looking for them; no image is opened.

        A case has a label of None where its layout keeps volumes without labels; where a label could lie and does not, the path
        at which it should. A label that is listed and absent is a problem. Where a file lies twice, there is a case of each.
        """


def pair(
    images: Mapping[str, list[Path]],
    labels: Mapping[str, list[Path]],
    folders: tuple[Path, Path],
    subjects: SubjectNames,
    endings: tuple[str, str] = ("", ""),
) -> list[Case]:
    """One case for every name that has an image or a label, or more where a file lies twice.

    Args:
        images, labels: files by name.
        folders: where images and labels should lie; the path of a missing one is there.
        subjects: of the volumes.
        endings: what such a path has after the name.
    """
    cases = []
    for name in sorted(set(images) | set(labels)):
        places = zip((images, labels), folders, endings, strict=True)
        found = (files.get(name, [folder / f"{name}{ending}.nii.gz"]) for files, folder, ending in places)
        subject = subjects.of(name)
        cases += [Case(name, subject, image, label) for image, label in product(*found)]
    return cases
