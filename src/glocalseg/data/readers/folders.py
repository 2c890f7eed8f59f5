"""Two folders of NIfTI files with matching names: ``images`` and ``labels``."""

from __future__ import annotations

from collections import Counter
from itertools import product
from pathlib import Path

from pydantic import Field

from glocalseg.data.files.names import nifti_files
from glocalseg.data.readers.base import Problem, Reader, Scan, SubjectNames, pair

Files = dict[str, list[Path]]


class Folders(Reader):
    """One case for every name that occurs in one of the two folders; a name may have an ending of its own in each."""

    images: str = Field(default="imagesTr", description="folder of the images, below the data's folder")
    labels: str = Field(default="labelsTr", description="folder of the labels")
    image_ending: str = Field(default="", description="after the volume's name in the names of images, such as _0000")
    label_ending: str = Field(default="", description="after the volume's name in the names of labels, such as _seg")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        folders = root / self.images, root / self.labels
        problems = [
            Problem(str(folder), "a folder of NIfTI files", "a file" if folder.exists() else "no such folder")
            for folder in dict.fromkeys(folders)
            if not folder.is_dir()
        ]
        labels = _without(nifti_files(folders[1]), self.label_ending)
        images = _without(nifti_files(folders[0]), self.image_ending)
        if folders[0] == folders[1]:
            taken = {path for paths in labels.values() for path in paths}
            images = {name: paths for name, paths in images.items() if not taken & set(paths)}
        if problem := self._ending(images, labels, folders):
            named = [path for files in (images, labels) for paths in files.values() for path in paths]
            return Scan([], [*problems, problem], named=named)
        return Scan(pair(images, labels, folders, subjects, (self.image_ending, self.label_ending)), problems)

    def _ending(self, images: Files, labels: Files, folders: tuple[Path, Path]) -> Problem | None:
        """What is wrong if no name is in both folders, and would be if an ending were taken off."""
        if set(images) & set(labels):
            return None
        for option, longer, shorter, folder in (
            ("image_ending", images, labels, folders[0]),
            ("label_ending", labels, images, folders[1]),
        ):
            pairs = product(sorted(longer)[:50], shorter) if shorter else ()
            counts = Counter(name[len(other) :] for name, other in pairs if name.startswith(other))
            if counts:
                ending, own = counts.most_common(1)[0][0], getattr(self, option)
                expected = f"the same names in {folders[0].name} and {folders[1].name}"
                found = f"names that end in {ending!r} (the card's reader: {option}: {ending}{own})"
                return Problem(str(folder), expected, found)
        return None


def _without(files: Files, ending: str) -> Files:
    """Files whose names have the ending, by their names without it."""
    return {name.removesuffix(ending): paths for name, paths in files.items() if name.endswith(ending) and name != ending}
