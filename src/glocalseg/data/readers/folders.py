"""Two folders of NIfTI files with matching names: ``images`` and ``labels`` of the card."""

from __future__ import annotations

from pathlib import Path

from glocalseg.config import Card
from glocalseg.data.readers.base import Case, Problem, nifti_files, pair


def scan(card: Card, root: Path) -> tuple[list[Case], list[Problem]]:
    """One case for every file name that occurs in one of the two folders."""
    problems = [
        Problem(str(root / name), "a folder of NIfTI files", "no such folder")
        for name in (card.images, card.labels)
        if not (root / name).is_dir()
    ]
    cases, more = pair(card, root, nifti_files(root / card.images), nifti_files(root / card.labels))
    return cases, problems + more
