"""The layout of MMWHS: ``mr_train_1001_image.nii.gz`` beside ``mr_train_1001_label.nii.gz``, in any subfolder.

``mr_test_...``, the challenge's volumes without labels, may lie there too, and the files of the CT part (``ct_train_...``), which
are not read.
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

from glocalseg.data.files.names import nifti_stem
from glocalseg.data.files.unused import look
from glocalseg.data.readers.base import Case, Reader, Scan, SubjectNames

NAME = re.compile(r"(?P<volume>(?P<kind>mr_train|mr_test)_.+)_(?P<part>image|label)")
LEFT = re.compile(r"(ct|mr)_(train|test)_")
PARTS = ("image", "label")


class Mmwhs(Reader):
    """One case for every ``mr_train_*`` that has an image or a label, and for every image ``mr_test_*``."""

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        files: dict[tuple[str, str], list[Path]] = {}
        tests: set[str] = set()
        left: list[Path] = []
        for path in look(root).files:
            match = NAME.fullmatch(nifti_stem(path) or "")
            if match and (match["kind"], match["part"]) != ("mr_test", "label"):
                files.setdefault((match["volume"], match["part"]), []).append(path)
                tests |= {match["volume"]} if match["kind"] == "mr_test" else set()
            elif LEFT.match(path.name) and (match or path.name.startswith("ct_")):
                left.append(path)
        cases = []
        for volume in dict.fromkeys(volume for volume, _ in files):
            folder = next(paths[0].parent for part in PARTS if (paths := files.get((volume, part))))
            images, labels = (files.get((volume, part), [folder / f"{volume}_{part}.nii.gz"]) for part in PARTS)
            subject = subjects.of(volume)
            for image, label in product(images, [None] if volume in tests else labels):
                cases.append(Case(volume, subject, image, label))
        return Scan(cases, left=left)
