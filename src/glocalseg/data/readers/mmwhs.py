"""The layout of MMWHS: ``mr_train_1001_image.nii.gz`` beside ``mr_train_1001_label.nii.gz``, in any subfolder.

The files of the CT part (``ct_train_...``) may lie there too; they are not read. The challenge's own volumes without labels
(``mr_test_...``) are not read either.
"""

from __future__ import annotations

from pathlib import Path

from glocalseg.data.readers.base import Case, Problem, Reader, Scan, SubjectNames, nifti_stem

PREFIX = "mr_train_"
IMAGE, LABEL = "_image", "_label"


class Mmwhs(Reader):
    """One case for every ``mr_train_*`` that has an image or a label."""

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        files: dict[str, Path] = {}
        problems: list[Problem] = []
        for path in sorted(root.rglob(f"{PREFIX}*")):
            stem = nifti_stem(path)
            if stem is None or not path.is_file() or not stem.endswith((IMAGE, LABEL)):
                continue
            if stem in files:
                problems.append(Problem(str(path), f"each file once (also {files[stem]})", "a second one"))
            files.setdefault(stem, path)
        cases = []
        for volume in sorted({stem.removesuffix(IMAGE).removesuffix(LABEL) for stem in files}):
            folder = next(path.parent for stem, path in files.items() if stem in (volume + IMAGE, volume + LABEL))
            image, label = (files.get(volume + kind, folder / f"{volume}{kind}.nii.gz") for kind in (IMAGE, LABEL))
            cases.append(Case(volume, subjects.of(volume), image, label))
        return Scan(cases, problems)
