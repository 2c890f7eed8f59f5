"""What every reader has in common: a case is two files, and a subject is told from a volume's name or from a table.

A reader is a file of this package with one class that derives from ``Reader``. It opens no image; ``data.volumes`` does.
"""

from __future__ import annotations

import csv
import re
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, field_validator, model_validator

from glocalseg.config.model import Model
from glocalseg.data.kinds import Kind

if TYPE_CHECKING:
    from glocalseg.data.reading import Reading

NIFTI = (".nii.gz", ".nii")


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
        return f"{self.file}: expected {self.expected}, found {self.found}"


@dataclass(frozen=True)
class Note:
    """What is odd about a data set, or not used of it, and stops nothing."""

    file: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}: {self.text}"


@dataclass
class Scan:
    """What lies below a folder: the cases, in any order, and what was met while looking for them."""

    cases: list[Case] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


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
    """Subjects of volumes by a rule; ``problems`` collects what could not be told, such subjects are ''."""

    def __init__(self, rule: SubjectRule, root: Path) -> None:
        self._rule = rule
        self._table: dict[str, str] = dict(rule.rows)
        self.problems: list[Problem] = []
        self._where = rule.card_table or ""
        if rule.table is not None:
            path = root / rule.table
            self._where = str(path)
            try:
                self._table = read_table(path)
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
    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        """The cases below ``root``, and what was met while looking for them; no image is opened.

        A case has a label of None where its layout keeps volumes without labels; where a label could lie and does not, the path
        at which it should. A label that is listed and absent is a problem.
        """


def scan_cases(reading: Reading, root: Path) -> Scan:
    """The cases of a data set as its reader finds them, sorted by volume, with all problems and notes.

    Cases without a label are left out, and noted, unless ``labels: some`` has them.
    """
    subjects = SubjectNames(reading.subject, root)
    scan = reading.reader.scan(root, subjects)
    cases = sorted(scan.cases, key=lambda c: c.volume)
    problems, notes = [*scan.problems, *subjects.problems], list(scan.notes)
    if reading.labels == "some":
        cases = [c if c.label is None or c.label.is_file() else replace(c, label=None) for c in cases]
    elif bare := [c for c in cases if c.label is None]:
        notes.append(
            Note(str(bare[0].image.parent), f"{len(bare)} volumes without a label are not used ('labels: some' uses them)")
        )
        cases = [c for c in cases if c.label is not None]
    if not cases and not problems:
        problems = [Problem(str(root), f"cases in the layout of reader {reading.reader.kind!r}", "none")]
    return Scan(cases, problems, notes)


def require_cases(reading: Reading, root: Path) -> list[Case]:
    """The cases of a data set, sorted by volume.

    Raises:
        ReaderError: if the layout is not the reader's, or a volume's subject cannot be told: all problems at once.
    """
    scan = scan_cases(reading, root)
    if scan.problems:
        raise ReaderError(scan.problems)
    return scan.cases


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


def read_table(path: Path) -> dict[str, str]:
    """Subjects by volume of a table with tabs, in UTF-8; a heading and lines with # are left out. Raises OSError, ValueError."""
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
