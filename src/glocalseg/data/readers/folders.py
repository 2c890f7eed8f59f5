"""Two folders of NIfTI files with matching names: ``images`` and ``labels``."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from glocalseg.data.readers.base import Problem, Reader, Scan, SubjectNames, nifti_files, pair


class Folders(Reader):
    """One case for every file name that occurs in one of the two folders."""

    images: str = Field(default="imagesTr", description="folder of the images, below the data's folder")
    labels: str = Field(default="labelsTr", description="folder of the labels")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        folders = root / self.images, root / self.labels
        problems = [
            Problem(str(folder), "a folder of NIfTI files", "no such folder") for folder in folders if not folder.is_dir()
        ]
        return Scan(pair(nifti_files(folders[0]), nifti_files(folders[1]), folders, subjects), problems)
