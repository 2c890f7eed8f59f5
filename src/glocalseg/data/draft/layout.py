"""Which reader's layout a folder has: every reader is tried, and the one that pairs most images with labels is taken."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from glocalseg.config.kinds import kinds, load_kind
from glocalseg.data.draft.pairs import paired, unused_endings
from glocalseg.data.draft.subjects import FEWEST
from glocalseg.data.files.names import NIFTI, nifti_stem
from glocalseg.data.readers.base import Case, Problem, Reader, Scan, SubjectNames, SubjectRule

READERS = "glocalseg.data.readers"
LIST = "dataset.json"
DEPTH = 3  # folders below the one given in which readers that find their files themselves are tried
ROOTS = 60  # of them at most
ANYBODY = SubjectRule(pattern="^(.+)$")
SHOWN = 6


class DraftError(ValueError):
    """Data that no card can be drafted for: where, what was expected there, and what was found."""


@dataclass(frozen=True)
class Layout:
    """A reader, the folder that it gets, and what it finds there.

    ``others`` are further pairs of folders, not used; ``ignored`` patterns of files beside the images, with how many each has:
    other channels or sequences of the same volumes.
    """

    root: Path
    reader: Reader
    scan: Scan
    others: list[str] = field(default_factory=list)
    ignored: dict[str, int] = field(default_factory=dict)

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
    best = max(tried, key=_rank, default=None)
    if best is None or (best.pairs == 1 and len(tried) >= FEWEST):  # one case for each of many roots
        raise DraftError(_nothing_fits(top, files))
    used = _files_of(best)
    further = [one for one in tried if one.reader.kind == best.reader.kind == "folders" and not _files_of(one) <= used]
    return replace(best, others=[_said(one) for one in further], ignored=_ignored(best, files, used))


def _files_of(layout: Layout) -> set[Path]:
    return {path for case in layout.cases for path in (case.image, case.label) if path is not None}


def _ignored(layout: Layout, files: dict[Path, dict[str, Path]], used: set[Path]) -> dict[str, int]:
    folder, ending = (getattr(layout.reader, name, "") for name in ("images", "image_ending"))
    if layout.reader.kind != "folders":
        return {}
    images = layout.root / folder
    return unused_endings({images: files.get(images, {})}, ending, [case.volume for case in layout.cases], used)


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
    name = "".join(str(getattr(layout.reader, part, "")) for part in ("labels", "label_ending")).lower()
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
            yield from paired(files)
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
    hint = _a_folder_each(top, files) or _other_names(top, files)
    return f"{top}: expected a layout of one of the readers ({wanted}), found {', '.join(several) or 'no file'}{more}{hint}"


def _other_names(top: Path, files: dict[Path, dict[str, Path]]) -> str:
    """What is said of two folders whose names do not go together."""
    first = [(folder.relative_to(top).as_posix(), min(stems)) for folder, stems in files.items()]
    if len(first) != 2 or set.intersection(*(set(stems) for stems in files.values())):
        return ""
    return f"; no name is in both folders (such as {first[0][1]!r} in {first[0][0]} and {first[1][1]!r} in {first[1][0]})"


def _a_folder_each(top: Path, files: dict[Path, dict[str, Path]]) -> str:
    """What is to be done with a folder for each case, which no reader takes."""
    several = {folder: stems for folder, stems in files.items() if len(stems) > 1}
    if len(several) < FEWEST or len(several) * 2 < len(files):
        return ""
    folder = min(several)
    shown = ", ".join(path.name for path in list(several[folder].values())[:SHOWN])
    said = f"; a folder for each case, such as {folder.relative_to(top).as_posix()} with {shown}, is read by none of them: "
    counts = Counter(stem for stems in several.values() for stem in stems)
    if max(counts.values()) == 1:
        return f"{said}put all files into one folder, where their names tell which belong together"
    return (
        f"{said}put the files into one folder, the case's name before each ({folder.name}_{shown.split(', ')[0]}), or add the "
        "reader that docs/adding-a-dataset.md has under 'Another layout'"
    )


def _first_line(kind: str) -> str:
    doc = import_module(f"{READERS}.{kind}").__doc__ or kind
    return " ".join(doc.strip().split("\n\n")[0].split()).rstrip(".").replace("``", "'")


def _ending(name: str) -> str:
    return next((end for end in NIFTI if name.endswith(end)), Path(name).suffix or name)


def _said(layout: Layout) -> str:
    images, labels, image, label = (
        getattr(layout.reader, name, "") for name in ("images", "labels", "image_ending", "label_ending")
    )
    ends = [f" that end in {ending}" if ending else "" for ending in (image, label)]
    return f"{layout.root}: images in {images}{ends[0]}, labels in {labels}{ends[1]}"
