"""What every reader has in common: a case is two files, and a subject is told from a volume's name or from a table.

A reader is a file of this package with one class that derives from ``Reader``. It opens no image; ``data.volumes`` does.
"""

from __future__ import annotations

import csv
import re
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator

from glocalseg.config.model import Model
from glocalseg.data.kinds import Kind

NIFTI = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Case:
    """One labelled volume: its name, the subject it shows, and its two files (which may be missing)."""

    volume: str
    subject: str
    image: Path
    label: Path


@dataclass(frozen=True)
class Problem:
    """What is wrong with a data set: where, what was expected there, and what was found."""

    file: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.file}: expected {self.expected}, found {self.found}"


class ReaderError(RuntimeError):
    """Files that are not what the card says: holds every problem that was met, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class SubjectRule(Model):
    """How a volume's name gives its subject: a regular expression with one group, or a two-column tsv in the data."""

    pattern: str | None = Field(default=None, description="searched in the volume's name; its first group is the subject")
    table: str | None = Field(default=None, description="file with two columns, volume and subject, below the data's folder")

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
        if (self.pattern is None) == (self.table is None):
            raise ValueError("give either pattern or table")
        return self


class SubjectNames:
    """Subjects of volumes by a rule; ``problems`` collects what could not be told, such subjects are ''."""

    def __init__(self, rule: SubjectRule, root: Path) -> None:
        self._rule = rule
        self._table: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._where = ""
        if rule.table is not None:
            path = root / rule.table
            self._where = str(path)
            try:
                self._table = _read_table(path)
            except FileNotFoundError:
                self.problems.append(Problem(self._where, "the table that gives each volume's subject", "no such file"))
            except ValueError as error:
                self.problems.append(Problem(self._where, "two columns, volume and subject, with tabs", str(error)))

    def of(self, volume: str) -> str:
        """The subject of a volume, or '' with a problem noted."""
        if self._rule.pattern is None:
            subject = self._table.get(volume, "")
            if not subject and self._table:
                self.problems.append(Problem(self._where, f"a row for volume {volume!r}", "none"))
            return subject
        match = re.search(self._rule.pattern, volume)
        if match is None or not match.group(1):
            self.problems.append(Problem(volume, f"a name that matches {self._rule.pattern!r}", "one that does not"))
            return ""
        return match.group(1)


class Reader(Kind):
    """A layout of files; its fields are its options in the card."""

    @abstractmethod
    def scan(self, root: Path, subjects: SubjectNames) -> tuple[list[Case], list[Problem]]:
        """The cases below ``root``, in any order, and the problems met while looking for them; no image is opened."""

    def listings(self, root: Path) -> list[Path]:
        """Files below ``root`` that decide what the cases are and are no case's own; they may be missing."""
        return []


def scan_cases(reader: Reader, subject: SubjectRule, root: Path) -> tuple[list[Case], list[Problem]]:
    """The cases of a data set as its reader finds them, sorted by volume, and all problems met on the way."""
    subjects = SubjectNames(subject, root)
    cases, problems = reader.scan(root, subjects)
    problems = [*problems, *subjects.problems]
    if not cases and not problems:
        problems = [Problem(str(root), f"cases in the layout of reader {reader.kind!r}", "none")]
    return sorted(cases, key=lambda c: c.volume), problems


def require_cases(reader: Reader, subject: SubjectRule, root: Path) -> list[Case]:
    """The cases of a data set, sorted by volume.

    Raises:
        ReaderError: if the layout is not the reader's, or a volume's subject cannot be told: all problems at once.
    """
    cases, problems = scan_cases(reader, subject, root)
    if problems:
        raise ReaderError(problems)
    return cases


# ---------------------------------------------------------------- what readers are made of


def nifti_stem(path: Path) -> str | None:
    """A NIfTI file's name without its ending; None for other files and for the ``._`` shadows that macOS leaves."""
    if path.name.startswith("."):
        return None
    return next((path.name[: -len(end)] for end in NIFTI if path.name.endswith(end)), None)


def nifti_files(folder: Path) -> dict[str, Path]:
    """The NIfTI files of a folder by name without ending; empty if there is no such folder."""
    if not folder.is_dir():
        return {}
    return {stem: path for path in sorted(folder.iterdir()) if path.is_file() and (stem := nifti_stem(path))}


def pair(images: dict[str, Path], labels: dict[str, Path], folders: tuple[Path, Path], subjects: SubjectNames) -> list[Case]:
    """One case for every name that has an image or a label; the path of a missing one is where it should lie.

    Args:
        images, labels: files by name without ending.
        folders: where images and labels should lie.
        subjects: of the volumes.
    """
    cases = []
    for name in sorted(set(images) | set(labels)):
        image, label = (
            files.get(name, folder / f"{name}.nii.gz") for files, folder in zip((images, labels), folders, strict=True)
        )
        cases.append(Case(name, subjects.of(name), image, label))
    return cases


def _read_table(path: Path) -> dict[str, str]:
    with path.open(newline="", encoding="utf-8-sig") as f:
        rows = [row for row in csv.reader(f, delimiter="\t") if row and not row[0].startswith("#")]
    if bad := [row for row in rows if len(row) < 2 or not row[1].strip()]:
        raise ValueError(f"the row {bad[0]}")
    table = {row[0].strip(): row[1].strip() for row in rows}
    if len(table) != len(rows):
        raise ValueError("a volume on two rows")
    if rows and rows[0][1].strip().lower() == "subject":
        del table[rows[0][0].strip()]
    return table
