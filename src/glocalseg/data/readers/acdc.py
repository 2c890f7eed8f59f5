"""The layout of ACDC: a folder a patient with ``Info.cfg``, and an image and a label of the two annotated frames.

``patient001/Info.cfg`` holds ``ED: 1`` and ``ES: 12``; the files are ``patient001_frame01.nii.gz`` and
``patient001_frame01_gt.nii.gz``. The frame is taken from ``Info.cfg``, never from a fixed number (docs/method.md, D17).
"""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import Field

from glocalseg.data.files.names import NIFTI, nifti_files, text_of
from glocalseg.data.files.unused import look
from glocalseg.data.readers.base import Case, Problem, Reader, Scan, SubjectNames

INFO = "Info.cfg"
FRAME = re.compile(r"patient.*_frame\d+(_gt)?")


class Acdc(Reader):
    """One case for every patient folder, however deep, and every phase."""

    phases: list[Literal["ED", "ES"]] = Field(default=["ED"], min_length=1, description="end-diastole, end-systole")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        scan = Scan()
        seen: dict[str, Path] = {}
        files = look(root).files
        for info in (path for path in files if path.name == INFO):
            folder, there = info.parent, nifti_files(info.parent)
            patient = text_of(folder.name)
            if patient in seen:
                problem = Problem(str(folder), f"each patient once (also in {seen[patient]})", "a second folder")
                scan.problems.append(problem)
                scan.named += [path for paths in there.values() for path in paths]
                continue
            seen[patient] = folder
            try:
                frames = _frames(info)
            except OSError as error:
                scan.problems.append(Problem(str(info), "a file that can be read", error.strerror or str(error)))
                continue
            stems = {phase: f"{patient}_frame{number:02d}" for phase, number in frames.items()}
            for phase in dict.fromkeys(self.phases):
                if phase not in stems:
                    scan.problems.append(Problem(str(info), f"a line '{phase}: <frame number>'", "none"))
                    continue
                volume, missing = f"{patient}_{phase}", [folder / f"{stems[phase]}{end}{NIFTI[0]}" for end in ("", "_gt")]
                images, labels = there.get(stems[phase], missing[:1]), there.get(f"{stems[phase]}_gt", missing[1:])
                subject = subjects.of(volume)
                scan.cases += [Case(volume, subject, image, label) for image, label in product(images, labels)]
            left = {f"{patient}_4d", *stems.values(), *(f"{stem}_gt" for stem in stems.values())}
            scan.left += [path for stem in left for path in there.get(stem, [])]
        informed = {path.parent for path in files if path.name == INFO}
        bare = dict.fromkeys(p.parent for p in files if FRAME.match(p.name) and p.parent not in informed)
        for folder in bare:
            scan.problems.append(Problem(str(folder), f"{INFO} with the patient's ED and ES frame", "no such file"))
            scan.named += [path for paths in nifti_files(folder).values() for path in paths]
        return scan


def _frames(info: Path) -> dict[str, int]:
    text = info.read_text(encoding="utf-8-sig", errors="replace")
    return {phase: int(number) for phase, number in re.findall(r"^\s*(ED|ES)\s*:\s*(\d{1,6})\s*$", text, re.MULTILINE)}
