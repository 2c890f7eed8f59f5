"""The layout of the Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr``, ``dataset.json``.

Source: the decathlon's releases (Simpson et al., arXiv 1902.09063). Images are 3-D, or 4-D with channels last.
"""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import Field

from glocalseg.data.readers.base import Problem, Reader, Scan, SubjectNames, nifti_files, nifti_stem, pair

LIST = "dataset.json"


class Msd(Reader):
    """One case for every name in ``dataset.json`` or in one of the two folders, so that no leftover goes unseen."""

    images: str = Field(default="imagesTr", description="folder of the images, below the data's folder")
    labels: str = Field(default="labelsTr", description="folder of the labels")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        folders = root / self.images, root / self.labels
        images, labels = nifti_files(folders[0]), nifti_files(folders[1])
        listed, problems = _listed(root / LIST)
        for entry in listed:
            for key, files in (("image", images), ("label", labels)):
                path = root / PurePosixPath(entry[key])
                if stem := nifti_stem(path):
                    files.setdefault(stem, path)
        names = {stem for entry in listed if (stem := nifti_stem(Path(entry["image"])))}
        cases = pair(images, labels, folders, subjects)
        problems += [
            Problem(str(case.image), f"a case that {LIST} lists under training", "one not listed")
            for case in cases
            if names and case.volume not in names
        ]
        return Scan(cases, problems)


def _listed(path: Path) -> tuple[list[dict[str, str]], list[Problem]]:
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        entries = [{"image": str(e["image"]), "label": str(e["label"])} for e in content["training"]]
    except FileNotFoundError:
        expected = "the decathlon's list of cases (reader 'folders' needs none)"
        return [], [Problem(str(path), expected, "no such file")]
    except (ValueError, KeyError, TypeError) as error:
        expected = "JSON with 'training': [{'image': ..., 'label': ...}, ...]"
        return [], [Problem(str(path), expected, f"{type(error).__name__}: {error}")]
    return entries, []
