"""The layout of the Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr``, ``dataset.json``.

Source: the decathlon's releases (Simpson et al., arXiv 1902.09063). Images are 3-D, or 4-D with channels last.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from glocalseg.config import Card
from glocalseg.data.readers.base import Case, Problem, nifti_files, nifti_stem, pair


def scan(card: Card, root: Path) -> tuple[list[Case], list[Problem]]:
    """One case for every name in ``dataset.json`` or in one of the two folders, so that no leftover goes unseen."""
    images, labels = nifti_files(root / card.images), nifti_files(root / card.labels)
    listed, problems = _listed(root / "dataset.json")
    for entry in listed:
        for key, files in (("image", images), ("label", labels)):
            path = root / PurePosixPath(entry[key])
            if stem := nifti_stem(path):
                files.setdefault(stem, path)
    names = {stem for entry in listed if (stem := nifti_stem(Path(entry["image"])))}
    cases, more = pair(card, root, images, labels)
    unlisted = [case for case in cases if names and case.volume not in names]
    problems += [
        Problem(str(case.image), "a case that dataset.json lists under training", "one not listed") for case in unlisted
    ]
    return cases, problems + more


def _listed(path: Path) -> tuple[list[dict[str, str]], list[Problem]]:
    try:
        content: Any = json.loads(path.read_text())
        entries = [{"image": str(e["image"]), "label": str(e["label"])} for e in content["training"]]
    except FileNotFoundError:
        expected = "the decathlon's list of cases (reader 'folders' needs none)"
        return [], [Problem(str(path), expected, "no such file")]
    except (ValueError, KeyError, TypeError) as error:
        expected = "JSON with 'training': [{'image': ..., 'label': ...}, ...]"
        return [], [Problem(str(path), expected, f"{type(error).__name__}: {error}")]
    return entries, []
