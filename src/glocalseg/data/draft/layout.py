"""Which reader's layout a folder has: every reader is tried, and the one that pairs most images with labels is taken."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from glocalseg.config.kinds import kinds, load_kind
from glocalseg.data.files.names import NIFTI, nifti_stem
from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.readers.base import Case, Problem, Reader, ReaderError, Scan, SubjectNames, SubjectRule

READERS = "glocalseg.data.readers"
LIST = "dataset.json"
DEPTH = 3  # folders below the one given in which readers that find their files themselves are tried
ROOTS = 60  # of them at most
SHARED = 8  # folders that may hold a file of one name: beyond that it is one name in every case's folder
FIRST = (
    "_0000"  # what nnU-Net adds to the name of an image's first channel; whether files so named are a pair, the reader says
)
PAIRS = 12  # pairs of folders that are looked at
LABEL_VALUES = 300  # different values that a label may have
ANYBODY = SubjectRule(pattern="^(.+)$")
SHOWN = 6


class DraftError(ValueError):
    """Data that no card can be drafted for: where, what was expected there, and what was found."""


@dataclass(frozen=True)
class Layout:
    """A reader, the folder that it gets, and what it finds there; ``others`` are further pairs of folders, not used."""

    root: Path
    reader: Reader
    scan: Scan
    others: list[str] = field(default_factory=list)

    @property
    def cases(self) -> list[Case]:
        """The cases by volume; a label that is not there is None."""
        there = (
            Case(c.volume, c.subject, c.image, c.label if c.label and c.label.is_file() else None) for c in self.scan.cases
        )
        return sorted((c for c in there if c.image.is_file()), key=lambda c: c.volume)

    @property
    def pairs(self) -> int:
        """How many volumes have both files."""
        return sum(c.label is not None for c in self.cases)

    @property
    def problems(self) -> list[Problem]:
        """What the reader met, and images that are missing."""
        missing = [Problem(str(c.image), "an image", "no such file") for c in self.scan.cases if not c.image.is_file()]
        return [*self.scan.problems, *missing]


def find_layout(top: Path) -> Layout:
    """The layout of what lies in a folder, at any depth. Raises DraftError that says what lies there and what readers expect."""
    files = _nifti_folders(top)
    tried = [layout for root, options in _candidates(top, files) if (layout := _try(root, options)).pairs]
    if not tried:
        raise DraftError(_nothing_fits(top, files))
    best = max(tried, key=_rank)
    others = [
        _said(one) for one in tried if one.reader.kind == "folders" and best.reader.kind == "folders" and one is not best
    ]
    return Layout(best.root, best.reader, best.scan, others)


def listed(root: Path) -> dict[str, Any]:
    """What ``dataset.json`` says, where there is one that can be read; else nothing."""
    try:
        content = json.loads((root / LIST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _rank(layout: Layout) -> tuple[int, bool, int, int, str]:
    """A list of cases that is a little wrong is better than none; the deepest folder that holds all of it."""
    problems, own = len(layout.problems), layout.reader.kind != "folders"
    name = str(getattr(layout.reader, "labels", "")).lower()
    called = any(word in name for word in ("label", "mask", "seg", "gt", "truth", "annot"))
    return layout.pairs - problems // 2, own, called, len(layout.root.parts), layout.reader.kind


def _try(root: Path, options: dict[str, Any]) -> Layout:
    reader = load_kind(READERS, options["kind"], Reader).model_validate(options)
    assert isinstance(reader, Reader)
    return Layout(root, reader, reader.scan(root, SubjectNames(ANYBODY, root)))


def _candidates(top: Path, files: dict[Path, dict[str, Path]]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Folders and readers with their options, worth a try."""
    roots = _roots(top, files)
    for kind in kinds(READERS):
        if kind == "folders":
            yield from _two_folders(files)
        elif kind == "msd":
            yield from ((root, {"kind": kind, **_folders_listed(root)}) for root in roots if "training" in listed(root))
        elif kind == "acdc":
            yield from ((root, {"kind": kind, "phases": ["ED", "ES"]}) for root in roots)
        else:
            yield from ((root, {"kind": kind}) for root in roots)


def _roots(top: Path, files: dict[Path, dict[str, Path]]) -> list[Path]:
    """The folders that a reader may be meant to get, the highest first."""
    found = {top: None}
    for folder in files:
        parts = folder.relative_to(top).parts[:DEPTH]
        found |= {top.joinpath(*parts[:n]): None for n in range(1, len(parts) + 1)}
    return sorted(found, key=lambda p: (len(p.parts), str(p)))[:ROOTS]


def _folders_listed(root: Path) -> dict[str, str]:
    """The folders of images and labels by the first case of ``dataset.json``."""
    try:
        first = listed(root)["training"][0]
        parents = {key: Path(first[one]).parent.as_posix() for key, one in (("images", "image"), ("labels", "label"))}
    except (KeyError, TypeError, IndexError):
        return {}
    return {key: parent for key, parent in parents.items() if (root / parent).is_dir() and not Path(parent).is_absolute()}


# ---------------------------------------------------------------- two folders


def _two_folders(files: dict[Path, dict[str, Path]]) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Two folders with files of the same names: one holds images, the other labels, by what is in the files."""
    files = {folder: {stem.removesuffix(FIRST): path for stem, path in stems.items()} for folder, stems in files.items()}
    where: dict[str, list[Path]] = {}
    for folder, stems in files.items():
        for stem in stems:
            where.setdefault(stem, []).append(folder)
    shared = Counter(pair for folders in where.values() if len(folders) <= SHARED for pair in combinations(folders, 2))
    for (one, other), _ in shared.most_common(PAIRS):
        stem = min(set(files[one]) & set(files[other]))
        images, labels = (one, other) if _is_label(files[other][stem]) else (other, one)
        if _is_label(files[images][stem]) or not _is_label(files[labels][stem]):
            continue
        root = Path(os.path.commonpath([one, other]))
        yield root, {"kind": "folders", **_relative(root, images, labels)}


def _relative(root: Path, images: Path, labels: Path) -> dict[str, str]:
    return {"images": images.relative_to(root).as_posix(), "labels": labels.relative_to(root).as_posix()}


def _is_label(path: Path) -> bool:
    """Whether a file holds few whole numbers."""
    try:
        values = read_nifti(path, channel=0).values
    except ReaderError:
        return False
    found = np.unique(values)
    return len(found) <= LABEL_VALUES and bool(np.all(found == np.round(found))) and bool(found[0] == 0)


# ---------------------------------------------------------------- what lies there


def _nifti_folders(top: Path) -> dict[Path, dict[str, Path]]:
    """Folders that hold NIfTI files, and those by name without ending."""
    found = {}
    for folder, inner, names in os.walk(top):
        inner[:] = sorted(name for name in inner if not name.startswith((".", "__MACOSX")))
        here = {stem: Path(folder, name) for name in sorted(names) if (stem := nifti_stem(Path(name)))}
        if here:
            found[Path(folder)] = here
    return found


def _nothing_fits(top: Path, files: dict[Path, dict[str, Path]]) -> str:
    """Everything in one line: the layouts that there are, and what lies there."""
    wanted = "; ".join(f"{kind}: {_first_line(kind)}" for kind in kinds(READERS))
    counts: Counter[tuple[str, str]] = Counter()
    for folder, inner, names in os.walk(top):
        inner[:] = sorted(inner)
        for name in names:
            counts[_ending(name), Path(folder).relative_to(top).as_posix()] += 1
    several = [f"{n} {ending} in {folder}" for (ending, folder), n in counts.most_common(SHOWN)]
    more = f" and {len(counts) - SHOWN} more kinds of files" if len(counts) > SHOWN else ""
    hint = ""
    first = [(folder.relative_to(top).as_posix(), min(stems)) for folder, stems in files.items()]
    if len(first) == 2 and not set.intersection(*(set(stems) for stems in files.values())):
        hint = (
            f"; no name is in both folders (such as {first[0][1]!r} in {first[0][0]} and {first[1][1]!r} in {first[1][0]})"
        )
    return f"{top}: expected a layout of one of the readers ({wanted}), found {', '.join(several) or 'no file'}{more}{hint}"


def _first_line(kind: str) -> str:
    doc = import_module(f"{READERS}.{kind}").__doc__ or kind
    return " ".join(doc.strip().split("\n\n")[0].split()).rstrip(".").replace("``", "'")


def _ending(name: str) -> str:
    return next((end for end in NIFTI if name.endswith(end)), Path(name).suffix or name)


def _said(layout: Layout) -> str:
    reader = layout.reader
    return f"{layout.root}: images in {getattr(reader, 'images', '')}, labels in {getattr(reader, 'labels', '')}"
