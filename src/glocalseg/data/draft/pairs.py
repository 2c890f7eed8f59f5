"""Images and labels by the names of their files: in which two folders, or under which two endings in one, names come twice.

What is a label is told by what is in the files, not by how they are called.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from glob import escape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from glocalseg.data.draft.subjects import FEWEST, SEPARATOR
from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.readers.base import ReaderError

SHARED = 12  # files that may have one name without endings: beyond that it is one name in every case's folder
PAIRS = 16  # pairs that are looked at
PARTS = 3  # of a name's end that may be its ending
ENDINGS = 12  # of one folder that are tried, the most common ones
LABEL_VALUES = 300  # different values that a label may have
FEWER = 4  # times fewer values than an image of few whole numbers has

Files = Mapping[Path, Mapping[str, Path]]  # by folder and name without .nii.gz
Half = tuple[Path, str]  # a folder and an ending


def paired(files: Files) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Options of the reader for two folders, with the folder that it gets; the pair with the most names comes first."""
    named = {(folder, ending): of for folder, stems in files.items() for ending, of in _by_ending(stems).items()}
    where: dict[str, list[Half]] = {}
    for half, of in named.items():
        for name in of:
            where.setdefault(name, []).append(half)
    shared = Counter(pair for halves in where.values() if len(halves) <= SHARED for pair in combinations(halves, 2))
    likely = [pair for pair, n in shared.items() if n >= FEWEST or _plain(*pair)]
    likely.sort(key=lambda pair: (-shared[pair], sum(len(ending) for _, ending in pair), str(pair)))
    values: dict[Path, int | None] = {}  # each file is read once
    for one, other in likely[:PAIRS]:
        name = min(set(named[one]) & set(named[other]))
        two = named[one][name], named[other][name]
        values |= {path: _whole_values(path) for path in two if path not in values}
        label = _label_of(*two, values)
        if label is None:
            continue
        images, labels = (one, other) if label == two[1] else (other, one)
        root = Path(os.path.commonpath([one[0], other[0]]))
        yield (
            root,
            {
                "kind": "folders",
                **_options(root, "images", "image_ending", images),
                **_options(root, "labels", "label_ending", labels),
            },
        )


def unused_endings(images: Files, ending: str, volumes: list[str], used: set[Path]) -> dict[str, int]:
    """Patterns of files beside images that are other channels or sequences of the same volumes, with how many each has.

    Args:
        images: the images' folder.
        ending: of the images that are used.
        volumes: without it.
        used: files of cases.
    """
    if not ending:  # every other file is a volume, too
        return {}
    stems = {stem: path for of in images.values() for stem, path in of.items() if path not in used}
    known = set(volumes)
    ends = Counter(end for stem in stems for end in _endings(stem) if stem.removesuffix(end) in known)
    patterns = {f"*{escape(end)}.nii*": n for end, n in sorted(ends.items()) if n >= FEWEST}
    return {p: n for p, n in patterns.items() if not any(path.match(p) for path in used)}


def _by_ending(stems: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """Files by name without an ending, for each ending that names of a folder have in common; none is one, too."""
    common = Counter(end for stem in stems for end in _endings(stem))
    likely = sorted((end for end, n in common.items() if n >= FEWEST), key=lambda end: (-common[end], end))[:ENDINGS]
    with_ending = {
        end: {s.removesuffix(end): path for s, path in stems.items() if s.endswith(end) and s != end} for end in likely
    }
    return {"": dict(stems), **with_ending}


def _endings(stem: str) -> Iterator[str]:
    """What a name may end in: its last parts, or letters after a number."""
    starts = [found.start() for found in re.finditer(SEPARATOR, stem) if found.start()]
    letters = re.search(r"(?<=\d)[^\W\d_]+$", stem)
    found = [*(stem[start:] for start in starts[-PARTS:]), *([letters[0]] if letters else [])]
    yield from (end for end in found if end.isprintable())


def _plain(one: Half, other: Half) -> bool:
    """Whether these are two folders with files of the same names."""
    return one[0] != other[0] and not one[1] and not other[1]


def _options(root: Path, folder: str, ending: str, half: Half) -> dict[str, str]:
    options = {folder: half[0].relative_to(root).as_posix()}
    return {**options, ending: half[1]} if half[1] else options


def _label_of(one: Path, other: Path, values: Mapping[Path, int | None]) -> Path | None:
    """Which of two files is a label, if one of them is, and the other is an image."""
    few = [path for path in (one, other) if values[path] is not None]
    if len(few) < 2:
        return few[0] if few else None
    fewest, most = sorted((one, other), key=lambda path: values[path] or 0)
    return fewest if (values[most] or 0) > FEWER * (values[fewest] or 0) else None


def _whole_values(path: Path) -> int | None:
    """How many different values a file holds, if they are few whole numbers, from 0; None otherwise."""
    try:
        found = np.unique(read_nifti(path, channel=0).values)
    except ReaderError:
        return None
    few = len(found) <= LABEL_VALUES and bool(np.all(found == np.round(found))) and bool(found[0] == 0)
    return len(found) if few else None
