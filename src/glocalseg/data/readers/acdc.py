"""The layout of ACDC: a folder a patient with ``Info.cfg``, and an image and a label of the two annotated frames.

``patient001/Info.cfg`` holds ``ED: 1`` and ``ES: 12``; the files are ``patient001_frame01.nii.gz`` and
``patient001_frame01_gt.nii.gz``. The frame is taken from ``Info.cfg``, never from a fixed number (docs/method.md, D17).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field

from glocalseg.data.readers.base import NIFTI, Case, Problem, Reader, Scan, SubjectNames

INFO = "Info.cfg"


class Acdc(Reader):
    """One case for every patient folder, however deep, and every phase."""

    phases: list[Literal["ED", "ES"]] = Field(default=["ED"], min_length=1, description="end-diastole, end-systole")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        cases: list[Case] = []
        problems: list[Problem] = []
        seen: dict[str, Path] = {}
        for info in sorted(root.rglob(INFO)):
            patient, folder = info.parent.name, info.parent
            if patient in seen:
                problems.append(Problem(str(folder), f"each patient once (also in {seen[patient]})", "a second folder"))
                continue
            seen[patient] = folder
            frames = _frames(info)
            for phase in self.phases:
                if phase not in frames:
                    problems.append(Problem(str(info), f"a line '{phase}: <frame number>'", "none"))
                    continue
                stem = f"{patient}_frame{frames[phase]:02d}"
                volume = f"{patient}_{phase}"
                cases.append(Case(volume, subjects.of(volume), _file(folder, stem), _file(folder, f"{stem}_gt")))
        problems += [
            Problem(str(folder), f"{INFO} with the patient's ED and ES frame", "no such file")
            for folder in sorted(root.rglob("patient*"))
            if folder.is_dir() and not (folder / INFO).is_file() and any(folder.glob("*_frame*.nii*"))
        ]
        return Scan(cases, problems)


def _frames(info: Path) -> dict[str, int]:
    text = info.read_text(encoding="utf-8", errors="replace")
    return {phase: int(number) for phase, number in re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)", text, re.MULTILINE)}


def _file(folder: Path, stem: str) -> Path:
    """The file with either ending; the usual one where there is none, for the error to name."""
    return next((path for end in NIFTI if (path := folder / f"{stem}{end}").is_file()), folder / f"{stem}{NIFTI[0]}")
