"""The layout of ACDC: a folder a patient with ``Info.cfg``, and an image and a label of the two annotated frames.

``patient001/Info.cfg`` holds ``ED: 1`` and ``ES: 12``; the files are ``patient001_frame01.nii.gz`` and
``patient001_frame01_gt.nii.gz``. The frame is taken from ``Info.cfg``, never from a fixed number (METHOD.md D17).
"""

from __future__ import annotations

import re
from pathlib import Path

from glocalseg.config import Card
from glocalseg.data.readers.base import NIFTI, Case, Problem, SubjectNames


def scan(card: Card, root: Path) -> tuple[list[Case], list[Problem]]:
    """One case for every patient folder below ``root``, however deep, and every phase of the card."""
    subjects = SubjectNames(card, root)
    cases: list[Case] = []
    problems: list[Problem] = []
    seen: dict[str, Path] = {}
    for info in sorted(root.rglob("Info.cfg")):
        patient, folder = info.parent.name, info.parent
        if patient in seen:
            problems.append(Problem(str(folder), f"each patient once (also in {seen[patient]})", "a second folder"))
            continue
        seen[patient] = folder
        frames = _frames(info)
        for phase in card.phases:
            if phase not in frames:
                problems.append(Problem(str(info), f"a line '{phase}: <frame number>'", "none"))
                continue
            stem = f"{patient}_frame{frames[phase]:02d}"
            volume = f"{patient}_{phase}"
            cases.append(Case(volume, subjects.of(volume), _file(folder, stem), _file(folder, f"{stem}_gt")))
    problems += [
        Problem(str(folder), "Info.cfg with the patient's ED and ES frame", "no such file")
        for folder in sorted(root.rglob("patient*"))
        if folder.is_dir() and not (folder / "Info.cfg").is_file() and any(folder.glob("*_frame*.nii*"))
    ]
    return cases, problems + subjects.problems


def _frames(info: Path) -> dict[str, int]:
    text = info.read_text(errors="replace")
    return {phase: int(number) for phase, number in re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)", text, re.MULTILINE)}


def _file(folder: Path, stem: str) -> Path:
    """The file with either ending; the usual one where there is none, for the error to name."""
    return next((path for end in NIFTI if (path := folder / f"{stem}{end}").is_file()), folder / f"{stem}{NIFTI[0]}")
