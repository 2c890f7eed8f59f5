"""Looking at every file of a data set before anything is computed from it: all problems at once, none by surprise later."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from nibabel.spatialimages import SpatialImage
from numpy.typing import NDArray

from glocalseg.data.acquire.fetch import RECORD as FETCHED
from glocalseg.data.acquire.lock import check_lock, lock_digest
from glocalseg.data.card import Card
from glocalseg.data.readers.base import Case, Problem, ReaderError, scan_cases
from glocalseg.data.reading import Reading
from glocalseg.data.splits import listed_subjects
from glocalseg.data.volumes import image_array, known_values, label_array, map_labels, open_nifti
from glocalseg.records.files import write_json
from glocalseg.records.progress import Progress
from glocalseg.records.sealed import open_sealed

RECORD = "verified.json"
AFFINE_TOLERANCE = 0.1  # share of the smallest voxel side by which a corner of image and label may lie apart
SHOWN = 5  # values named in one problem


class VerifyError(RuntimeError):
    """A data set that is not what its card says: holds every problem, one line each."""

    def __init__(self, card: Card, problems: list[Problem]) -> None:
        self.problems = problems
        lines = "\n".join(f"  {p}" for p in problems)
        super().__init__(f"{card.name}: {len(problems)} problem{'s' if len(problems) > 1 else ''}\n{lines}")


@dataclass(frozen=True)
class _Checked:
    """What one case gave: ``voxels`` is the digest of the image's voxels, None if they could not be read."""

    problems: list[Problem]
    voxels: str | None


def verify(card: Card, root: Path, *, workers: int = 1) -> list[Problem]:
    """Every problem of a data set; empty if it is what its card says.

    Checked: image and label exist and can be read to the end; shapes and affines agree; label values are whole numbers of
    the card's set; image voxels are finite and not all the same; no two images have the same voxels; every volume's
    subject is known, there are as many subjects as the card says, and the card's split lists name only these.

    Args:
        root: the folder that ``fetch.dataset_root`` gives.
        workers: processes; the result does not depend on it.
    """
    return _verify(card, root, workers)[1]


def verify_or_raise(
    card: Card, root: Path, *, record: Path | None = None, lock: Path | None = None, workers: int = 1
) -> None:
    """Verify a data set and write ``record``; raise if it has problems.

    Args:
        record: ``data/raw/<dataset>/<identity>/verified.json``, written last.
        lock: ``config/datasets/<dataset>.lock.json``. For data that a person brings it is written at the first successful
            verification and compared at every later one; for other sources it is not used.

    Raises:
        VerifyError: with all problems, those of the lock file included.
    """
    cases, problems = _verify(card, root, workers)
    lock = lock if card.source.locked else None
    digests = lock_digest(card, cases, root) if lock else {}
    if lock and lock.is_file():
        problems += check_lock(lock, digests)
    if problems:
        raise VerifyError(card, problems)
    if lock and not lock.is_file():
        write_json(lock, digests)
    if record is not None:
        subjects = len({c.subject for c in cases})
        found = {"dataset": card.name, "subjects": subjects, "volumes": [c.volume for c in cases]}
        write_json(record, {**found, "files": {}})


def require_unchanged(card: Card, root: Path, raw: Path, *, lock: Path) -> None:
    """Check, before anything is computed from it, that a data set's bytes are those that were fetched and verified.

    Args:
        raw: ``data/raw/<dataset>/<identity>``, with fetch's and verify's records.

    Raises:
        CorruptedError: if a record or a fetched file is missing or changed.
        VerifyError: if a file that a person brought is not the one that the lock file names.
    """
    open_sealed(raw / RECORD)
    open_sealed(raw / FETCHED)
    if card.source.locked:
        cases, problems = scan_cases(card.reader, card.subject, root)
        if problems := [*problems, *check_lock(lock, lock_digest(card, cases, root))]:
            raise VerifyError(card, problems)


# ---------------------------------------------------------------- the checks


def _verify(card: Card, root: Path, workers: int) -> tuple[list[Case], list[Problem]]:
    cases, problems = scan_cases(card.reader, card.subject, root)
    checked = list(_check_all(card, cases, workers))
    problems += [problem for c in checked for problem in c.problems]
    problems += _duplicates(cases, checked)
    if cases:
        problems += _subjects(card, root, {c.subject for c in cases} - {""})
    return cases, problems


def _check_all(card: Card, cases: list[Case], workers: int) -> Iterator[_Checked]:
    with Progress(f"verifying {card.name}", len(cases), "volumes") as progress:
        if workers <= 1:
            results: Iterator[_Checked] = map(partial(check_case, card.reading), cases)
            yield from _counted(results, progress)
            return
        with ProcessPoolExecutor(workers) as pool:
            yield from _counted(pool.map(partial(check_case, card.reading), cases, chunksize=4), progress)


def _counted(results: Iterator[_Checked], progress: Progress) -> Iterator[_Checked]:
    for result in results:
        progress.add()
        yield result


def check_case(reading: Reading, case: Case) -> _Checked:
    """The problems of one case, and the digest of its image's voxels."""
    problems: list[Problem] = []
    image = label = None
    affines: list[NDArray[np.float64]] = []
    try:
        opened = _open_whole(case.image)
        image = image_array(reading, opened, case.image)
        affines.append(np.asarray(opened.affine))
        problems += _check_image(case, image)
    except ReaderError as error:
        problems += error.problems
    try:
        opened = _open_whole(case.label)
        label = label_array(opened, case.label)
        affines.append(np.asarray(opened.affine))
        problems += _check_label(reading, case, label)
    except ReaderError as error:
        problems += error.problems
    if image is not None and label is not None:
        if image.shape != label.shape:
            problems.append(Problem(str(case.label), f"shape {image.shape}, as the image has", f"{label.shape}"))
        else:
            problems += _check_affines(case, image.shape, *affines)
    return _Checked(problems, None if image is None else _digest(image))


def _open_whole(path: Path) -> SpatialImage:
    """An opened NIfTI file; a compressed one is read to its end first. Raises ReaderError.

    NIfTI readers stop after the last voxel, before the checksum that follows it.
    """
    if path.name.endswith(".gz") and path.is_file():
        try:
            with gzip.open(path) as f:
                while f.read(1 << 22):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            expected = "a gzip file that can be read to its end"
            raise ReaderError([Problem(str(path), expected, f"{type(error).__name__}: {error}")]) from None
    return open_nifti(path)


def _check_image(case: Case, image: NDArray[np.float32]) -> Iterator[Problem]:
    bad = int(np.count_nonzero(~np.isfinite(image)))
    if bad:
        yield Problem(str(case.image), "finite voxels", f"{bad} of {image.size} are NaN or infinite")
    elif image.size == 0 or image.min() == image.max():
        found = f"{image.flat[0]:g} everywhere" if image.size else f"shape {image.shape}"
        yield Problem(str(case.image), "an image that is not constant", found)


def _check_label(reading: Reading, case: Case, label: NDArray[np.generic]) -> Iterator[Problem]:
    unknown = map_labels(reading, label)[1]
    broken = [v for v in unknown if not float(v).is_integer()]  # NaN and infinity are no whole numbers either
    if broken:
        yield Problem(str(case.label), "whole numbers", _some(broken))
    if strange := [v for v in unknown if v not in broken and float(v).is_integer()]:
        yield Problem(str(case.label), f"label values of {known_values(reading)}", _some(strange))


def _check_affines(
    case: Case, shape: tuple[int, ...], image: NDArray[np.float64], label: NDArray[np.float64]
) -> Iterator[Problem]:
    for path, affine in ((case.image, image), (case.label, label)):
        if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
            yield Problem(str(path), "an affine that can be inverted", str(affine.tolist()))
            return
    last = np.array(shape[:3]) - 1
    corners = np.array([[*(np.array(i) * last), 1] for i in np.ndindex(2, 2, 2)], np.float64)
    apart = float(np.linalg.norm((corners @ (image - label).T)[:, :3], axis=1).max())
    voxel = float(np.linalg.norm(image[:3, :3], axis=0).min())
    if apart > AFFINE_TOLERANCE * voxel:
        expected = f"the image's affine (corners within {AFFINE_TOLERANCE * voxel:.3g} mm)"
        yield Problem(str(case.label), expected, f"one whose corners lie {apart:.3g} mm away")


def _duplicates(cases: list[Case], checked: list[_Checked]) -> Iterator[Problem]:
    first: dict[str, Case] = {}
    for case, result in zip(cases, checked, strict=True):
        if result.voxels is None:
            continue
        if result.voxels in first:
            yield Problem(str(case.image), "an image of its own", f"the same voxels as {first[result.voxels].image}")
        first.setdefault(result.voxels, case)


def _subjects(card: Card, root: Path, found: set[str]) -> Iterator[Problem]:
    if len(found) != card.subjects:
        yield Problem(str(root), f"{card.subjects} subjects, as the card says", f"{len(found)}")
    if missing := sorted(listed_subjects(card.splits) - found):
        yield Problem(str(root), "every subject of the card's split lists", f"none of {', '.join(missing)}")


def _digest(image: NDArray[np.float32]) -> str:
    return hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).hexdigest()


def _some(values: list[float]) -> str:
    shown = ", ".join(f"{v:g}" for v in values[:SHOWN])
    return shown if len(values) <= SHOWN else f"{shown} and {len(values) - SHOWN} more values"
