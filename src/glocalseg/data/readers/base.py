"""What every reader has in common: a case is two files, and a volume is what they hold, labels mapped to classes.

A reader is a module of this package, named as the card says, with one function ``scan(card, root)`` that returns
the cases of a data set and the problems met while looking for them. It opens no image.
"""

from __future__ import annotations

import csv
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray

from glocalseg.config import Card

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


@dataclass(frozen=True)
class Volume:
    """A case in memory, in the orientation in which it is stored.

    ``image`` (X, Y, Z) float32 in the file's own intensities; ``label`` (X, Y, Z) uint8, the card's classes;
    ``affine`` (4, 4) float64, voxel indices to mm in RAS+.
    """

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


class ReaderError(RuntimeError):
    """Files that are not what the card says: holds every problem that was met, one line each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


# ---------------------------------------------------------------- cases


def scan_cases(card: Card, root: Path) -> tuple[list[Case], list[Problem]]:
    """The cases of a data set as the card's reader finds them, sorted by volume, and all problems met on the way."""
    # By name: a static import of all readers here would put each of them into the content key of every data set.
    cases, problems = import_module(f"glocalseg.data.readers.{card.reader}").scan(card, root)
    if not cases and not problems:
        problems = [Problem(str(root), f"cases in the layout of reader {card.reader!r}", "none")]
    return sorted(cases, key=lambda c: c.volume), problems


def require_cases(card: Card, root: Path) -> list[Case]:
    """The cases of a data set, sorted by volume.

    Raises:
        ReaderError: if the layout is not the card's, or a volume's subject cannot be told: all problems at once.
    """
    cases, problems = scan_cases(card, root)
    if problems:
        raise ReaderError(problems)
    return cases


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


def pair(card: Card, root: Path, images: dict[str, Path], labels: dict[str, Path]) -> tuple[list[Case], list[Problem]]:
    """One case for every name that has an image or a label; the path of a missing one is where it should lie."""
    subjects = SubjectNames(card, root)
    cases = []
    for name in sorted(set(images) | set(labels)):
        image = images.get(name, root / card.images / f"{name}.nii.gz")
        label = labels.get(name, root / card.labels / f"{name}.nii.gz")
        cases.append(Case(name, subjects.of(name), image, label))
    return cases, subjects.problems


class SubjectNames:
    """Subjects of volumes by the card's rule; ``problems`` collects what could not be told, such subjects are ''."""

    def __init__(self, card: Card, root: Path) -> None:
        self._rule = card.subject
        self._table: dict[str, str] = {}
        self.problems: list[Problem] = []
        self._where = card.name
        if card.subject.table is not None:
            path = root / card.subject.table
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
        if match is None or not match.groups() or not match.group(1):
            self.problems.append(Problem(volume, f"a name that matches {self._rule.pattern!r}", "one that does not"))
            return ""
        return match.group(1)


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


# ---------------------------------------------------------------- volumes


def load_volume(card: Card, case: Case) -> Volume:
    """The image and the label of a case, labels as the card's classes 0 .. card.classes - 1.

    Raises:
        ReaderError: if a file cannot be read, shapes differ, the channel is missing, or a label value is unknown.
    """
    image = open_nifti(case.image)
    pixels = image_array(card, image, case.image)
    label = label_array(open_nifti(case.label), case.label)
    if pixels.shape != label.shape:
        raise ReaderError([Problem(str(case.label), f"shape {pixels.shape}, as the image has", str(label.shape))])
    classes, unknown = map_labels(card, label)
    if unknown:
        raise ReaderError([Problem(str(case.label), f"label values {known_values(card)}", f"also {unknown}")])
    return Volume(pixels, classes, np.asarray(image.affine, np.float64))


def open_nifti(path: Path) -> SpatialImage:
    """An opened NIfTI file, its voxels not yet read. Raises ReaderError."""
    try:
        return nib.load(path)  # type: ignore[return-value]
    except FileNotFoundError:
        raise ReaderError([Problem(str(path), "a NIfTI file", "no such file")]) from None
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError) as error:
        raise ReaderError([Problem(str(path), "a readable NIfTI file", _said(error))]) from None


def image_array(card: Card, image: SpatialImage, path: Path) -> NDArray[np.float32]:
    """The card's channel of an image, (X, Y, Z) float32, with the header's scaling applied. Raises ReaderError."""
    pixels = _voxels(image, path)
    if pixels.ndim == 4:
        if card.channel >= pixels.shape[3]:
            found = f"{pixels.shape[3]} channels"
            raise ReaderError([Problem(str(path), f"channel {card.channel} (counted from 0)", found)])
        pixels = pixels[..., card.channel]
    elif card.channel != 0:
        raise ReaderError([Problem(str(path), f"channel {card.channel} (counted from 0)", f"shape {pixels.shape}")])
    if pixels.ndim != 3:
        raise ReaderError([Problem(str(path), "three dimensions, or four with channels last", f"shape {pixels.shape}")])
    return np.ascontiguousarray(pixels, dtype=np.float32)


def label_array(label: SpatialImage, path: Path) -> NDArray[np.generic]:
    """The values of a label file, (X, Y, Z), in the type that the file gives. Raises ReaderError."""
    values = _voxels(label, path)
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise ReaderError([Problem(str(path), "three dimensions", f"shape {values.shape}")])
    return values


def map_labels(card: Card, values: NDArray[np.generic]) -> tuple[NDArray[np.uint8], list[float]]:
    """Classes of a label array, same shape, uint8, and the values that the card does not know (background there).

    A value listed in ``stray_values`` is background, as METHOD.md 2.1 has it for 421 in MMWHS (there everything beyond the
    known values is; here only what the card lists, so that a new stray value is noticed).
    """
    found = np.unique(values)
    known = class_of(card)
    classes = np.zeros(values.shape, np.uint8)
    for value, number in known.items():
        if number:
            classes[values == value] = number
    return classes, [float(v) for v in found if float(v) not in known]


def class_of(card: Card) -> dict[int, int]:
    """Value in a label file to class, for every value that the card knows."""
    named = card.label_values or {number: number for number in card.structures}
    return {0: 0, **dict.fromkeys(card.stray_values, 0), **named}


def known_values(card: Card) -> list[int]:
    """The label values that a file may hold, in order."""
    return sorted(class_of(card))


def _voxels(image: SpatialImage, path: Path) -> NDArray[np.generic]:
    if image.get_data_dtype().kind not in "biuf":
        found = f"type {image.get_data_dtype()}"
        raise ReaderError([Problem(str(path), "voxels that are whole or real numbers", found)])
    try:
        return np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise ReaderError([Problem(str(path), "voxels that can be read to the end", _said(error))]) from None


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
