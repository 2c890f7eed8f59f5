"""Which files are the images that a model is given, and what lies beside them that looks like an image and is not labelled."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from glocalseg.data.files.names import NIFTI, folded, is_file, nifti_files, stem_of, what_is_there
from glocalseg.data.files.unused import sweep
from glocalseg.data.readers.base import Note, Problem
from glocalseg.models.about import ModelError

NAMED = 10  # folders below that get a line each


def images_in(path: Path) -> list[Path]:
    """The NIfTI images of a folder, sorted, without hidden files; or the file itself. Raises ModelError if there is none."""
    if is_file(path):
        return [path]
    if not path.is_dir():
        found = "nothing" if not os.path.lexists(path) else what_is_there(path)
        raise ModelError(f"{path}: expected an image, or a folder of images, found {found} there")
    found_there = sorted(image for images in nifti_files(path).values() for image in images)
    if not found_there:
        there = sorted(p for p in path.iterdir() if not p.name.startswith("."))
        names = ", ".join(_shown(p) for p in there[:3]) + (", ..." if len(there) > 3 else "")
        raise ModelError(f"{path}: expected NIfTI images ({' or '.join(NIFTI)}) right in it, found {names or 'nothing'}")
    return found_there


def label_name(image: Path) -> str:
    """What the label of an image is called: as the image is, compressed if its own name does not say."""
    return image.name if stem_of(image.name) is not None else f"{image.name}.nii.gz"


def same_names(images: Iterable[Path]) -> dict[Path, Path]:
    """Images whose labels some file systems would take for that of an earlier one, and that one."""
    first: dict[str, Path] = {}
    return {image: of for image in images if (of := first.setdefault(folded(label_name(image)), image)) != image}


def not_labelled(path: Path, images: Sequence[Path], out: Path) -> tuple[list[Problem], list[Note]]:
    """What looks like an image in a folder and is none that can be labelled; and such files elsewhere below it.

    Args:
        path: the folder, or the only image, beside which nothing is looked for.
        images: those of the folder that are labelled.
        out: where labels go, which may be below the folder.
    """
    if not path.is_dir():
        return [], []
    labels = os.path.realpath(out)
    unused = sweep(
        path,
        used=images,
        folders=[path],
        left=(),
        ignored=lambda p: os.path.realpath(p.parent) == labels or os.path.realpath(p.parent).startswith(labels + os.sep),
    )
    problems = [Problem(str(p), f"a NIfTI image ({' or '.join(NIFTI)})", "a file of another name") for p in unused.beside]
    problems += [Problem(str(p), "an image, by its name", found) for p, found in unused.odd]
    problems += [Problem(str(p), "a folder that can be read", found) for p, found in unused.unread]
    folders = list(unused.elsewhere.items())
    notes = [Note(str(folder), _count(files)) for folder, files in folders[:NAMED]]
    if more := [p for _, files in folders[NAMED:] for p in files]:
        notes.append(Note(str(path), f"{_count(more)}, in {len(folders) - NAMED} more folders"))
    if unused.shadows:
        notes.append(Note(str(path), _count(unused.shadows, "hidden ")))
    return problems, notes


def _count(files: Sequence[Path], kind: str = "") -> str:
    several = f"{len(files)} {kind}files are not labelled, such as {files[0].name}"
    return several if len(files) > 1 else f"one {kind}file is not labelled: {files[0].name}"


def _shown(path: Path) -> str:
    """A name, and what it stands for where that is no file though it is called like one."""
    return f"{path.name} ({what_is_there(path)})" if stem_of(path.name) is not None and not is_file(path) else path.name
