"""The layout of the Medical Segmentation Decathlon: ``imagesTr``, ``labelsTr``, ``dataset.json``.

The list is believed: a case is a pair that it lists, wherever the two files lie below the data's folder, and is called as its
label is. Images under ``test`` are volumes without a label, and so are those in ``imagesTs`` where it lists none. Images are 3-D,
or 4-D with channels last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from glocalseg.data.files.listing import LIST, Listing, Placed, place, read_listing
from glocalseg.data.files.names import is_file, nifti_files, nifti_stem, what_is_there
from glocalseg.data.readers.base import Case, Note, Problem, Reader, Said, Scan, SubjectNames

TESTS = "imagesTs"


class Msd(Reader):
    """One case for every pair that ``dataset.json`` lists, and for every image that it lists without a label."""

    images: str | None = Field(default=None, description="folder of the images, to be compared with the list")
    labels: str | None = Field(default=None, description="folder of the labels, to be compared with the list")
    image_ending: str = Field(default="", description="left out of the names of images without a label, such as _0000")

    def scan(self, root: Path, subjects: SubjectNames) -> Scan:
        path = root / LIST
        listing = read_listing(path)
        images, labels = ([place(root, pair[k]) for pair in listing.pairs] for k in (0, 1))
        pairs = [(i.path, n.path) for i, n in zip(images, labels, strict=True) if i.path and n.path]
        cases = []
        for image, label in pairs:
            if is_file(image) and is_file(label):
                volume = nifti_stem(label) or label.name
                cases.append(Case(volume, subjects.of(volume), image, label))
        tests = _without_label(root, listing)
        for test in tests:
            if test.path:
                volume = (nifti_stem(test.path) or test.path.name).removesuffix(self.image_ending)
                cases.append(Case(volume, subjects.of(volume), test.path, None))
        listed = [*(p for pair in pairs for p in pair), *(t.path for t in tests if t.path)]
        others = _not_listed(pairs, set(listed))
        problems = [Problem(str(path), *problem) for problem in listing.problems]
        problems += _elsewhere(path, [*images, *labels])
        problems += _in_folder(path, "images", self.images, images)
        problems += _in_folder(path, "labels", self.labels, labels)
        problems += _absent(pairs)
        problems += [Problem(str(p), f"a file of a case that {LIST} lists", "one not listed") for p in others]
        notes = [Note(str(path), note) for note in listing.notes]
        notes += [
            Note(str(path), f"{t.text!r} under 'test' is not used: paths must not {t.wrong}") for t in tests if t.wrong
        ]
        said = Said(path, listing.channels, listing.labels)
        return Scan(cases, problems, notes, said=said, named=[*listed, *others])


def _without_label(root: Path, listing: Listing) -> list[Placed]:
    """Images that are listed under ``test``; those in the folder for them, where none is listed."""
    if listing.tests:
        return [place(root, text) for text in listing.tests]
    return [Placed(str(path), path) for paths in nifti_files(root / TESTS).values() for path in paths]


def _elsewhere(path: Path, places: list[Placed]) -> Iterator[Problem]:
    """One problem for each way in which listed paths cannot be files of the data."""
    for wrong in dict.fromkeys(p.wrong for p in places if p.wrong):
        texts = [p.text for p in places if p.wrong == wrong]
        yield Problem(str(path), "paths of files in its folder", f"{len(texts)} that {wrong}, such as {texts[0]!r}")


def _in_folder(path: Path, name: str, folder: str | None, places: list[Placed]) -> Iterator[Problem]:
    """A problem if listed files do not lie where the card says."""
    if folder is None:
        return
    other = [p.text for p in places if p.path and p.path.parent != path.parent / folder]
    if other:
        expected = f"{name} in {folder!r}, as the card's reader says"
        yield Problem(str(path), expected, f"{len(other)} elsewhere, such as {other[0]!r}")


def _absent(pairs: list[tuple[Path, Path]]) -> Iterator[Problem]:
    """A problem for every listed file that is not there; one for a folder that is not."""
    paths = dict.fromkeys(path for pair in pairs for path in pair)
    folders = dict.fromkeys(path.parent for path in paths if not path.parent.is_dir())
    for folder in folders:
        count = sum(path.parent == folder for path in paths)
        yield Problem(str(folder), f"a folder, in which {LIST} lists {count} files", "no such folder")
    for path in paths:
        if path.parent not in folders and not is_file(path):
            there = [p.name for p in nifti_files(path.parent).get(nifti_stem(path) or "", [])]
            hint = f" ({there[0]} is there)" if there else ""
            yield Problem(str(path), f"a file, which {LIST} lists", what_is_there(path) + hint)


def _not_listed(pairs: list[tuple[Path, Path]], listed: set[Path]) -> list[Path]:
    """NIfTI files beside images and labels that are not listed."""
    folders = dict.fromkeys(path.parent for pair in pairs for path in pair)
    there = (path for folder in folders for paths in nifti_files(folder).values() for path in paths)
    return [path for path in there if path not in listed]
