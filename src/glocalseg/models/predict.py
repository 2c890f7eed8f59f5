"""Images in, labels out, each on its own grid: what an exported model is for."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from glocalseg.data.cards.reading import Reading
from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.images.placement import place
from glocalseg.data.images.volumes import Image
from glocalseg.data.readers.base import Note, Problem, ReaderError
from glocalseg.data.slices.geometry import to_canonical
from glocalseg.data.slices.prepare import PrepareError, prepare_image
from glocalseg.evaluation.predict import label_images
from glocalseg.models.checks import channel_notes, check_image
from glocalseg.models.images import label_name, same_names
from glocalseg.models.label_file import label_file, require_own
from glocalseg.models.trained import TrainedModel
from glocalseg.records.files import write_atomic
from glocalseg.records.progress import Progress


@dataclass
class Outcome:
    """What became of a list of images; ``problems`` are those of images that were skipped."""

    written: list[Path] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    skipped: list[Path] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """An image file that can be labelled: its header, what was read of it, and what is odd about it."""

    header: Nifti1Header
    image: Image
    notes: list[Note]


def predict_files(model: TrainedModel, images: Sequence[Path], out: Path, *, overwrite: bool) -> Outcome:
    """Write a label file for every image, called like it, into ``out``; an image that cannot be used is skipped.

    Args:
        overwrite: make labels again that are there already; without it, one that this model did not write, or wrote of an image
            of other contents, is a problem.
    """
    outcome, again = Outcome(), same_names(images)
    with Progress("labelling", len(images), "images") as progress:
        for path in images:
            target = out / label_name(path)
            try:
                if path in again:
                    found = f"that of {again[path].name}"
                    raise ReaderError([Problem(str(path), "a name that no other image's label has", found)])
                seen = look_at(model, path)
                if target.exists() and not overwrite:
                    require_own(target, seen.header, seen.image, about=model.about, key=model.key)
                    outcome.kept.append(target)
                else:
                    content = _labelled(model, seen, name=str(path))
                    write_atomic(target, gzip.compress(content, mtime=0) if _is_packed(target) else content)
                    outcome.written.append(target)
                outcome.notes += seen.notes
            except ReaderError as error:
                outcome.skipped.append(path)
                outcome.problems += error.problems
            progress.add()
    return outcome


def predict_file(model: TrainedModel, path: Path) -> tuple[bytes, list[Note]]:
    """The label of an image file as a NIfTI file with the geometry of its header, and what is odd about the image.

    Raises:
        ReaderError: if the file is none, or the image cannot be used.
    """
    seen = look_at(model, path)
    return _labelled(model, seen, name=str(path)), seen.notes


def look_at(model: TrainedModel, path: Path) -> Seen:
    """An image file as a model reads it. Raises ReaderError if it is none, or the image cannot be used."""
    about = model.about
    read = read_nifti(path, channel=about.image.channel)
    where = place(read.header, read.values.shape, path, counts=about.image.header)
    if where.affine is None:
        raise ReaderError(where.problems)
    image = Image(np.asarray(read.values, np.float32), where.affine)
    odd = [
        *channel_notes(read, about.image.channel, name=str(path)),
        *check_image(about.preparation, image, usual=about.data.beyond_frame, name=str(path)),
    ]
    return Seen(read.header, image, [*read.notes, *where.notes, *odd])


def predict_volume(model: TrainedModel, image: Image, *, name: str = "image") -> NDArray[np.integer[Any]]:
    """The label of an image, as it is stored: same shape, the data set's own label values.

    Args:
        image: voxels, and the affine to mm in RAS+.
        name: of the image, for errors.

    Raises:
        ReaderError: if its affine or its intensities are not those of an image.
    """
    check_image(model.about.preparation, image, usual=model.about.data.beyond_frame, name=name)
    return _label(model, image, name)


def _labelled(model: TrainedModel, seen: Seen, *, name: str) -> bytes:
    return label_file(seen.header, seen.image, _label(model, seen.image, name), key=model.key)


def _label(model: TrainedModel, image: Image, name: str) -> NDArray[np.integer[Any]]:
    """The label of an image that was checked; as ``predict_volume``."""
    preparation, voxels = model.about.preparation, image.voxels
    try:
        framed = prepare_image(preparation, image, name=name)
        # where each voxel goes: so the way back is that of to_canonical, whatever that does
        places, _ = to_canonical(np.arange(voxels.size).reshape(voxels.shape), image.affine, preparation.slice_axis)
    except (PrepareError, ValueError) as error:
        raise ReaderError([Problem(name, "an image that can be prepared", str(error))]) from None
    classes = label_images(
        model.nets, framed.image, resampled=framed.resampled, native=framed.native[1:], device=model.device
    )
    stored = np.empty(voxels.size, np.uint8)
    stored[places.ravel()] = classes.ravel()
    return model.about.file_values(stored.reshape(voxels.shape))


def _is_packed(target: Path) -> bool:
    return target.name.lower().endswith(".gz")


def reading_of(model: TrainedModel) -> Reading:
    """How an image file is read for a model: the channel and the geometry that its card lets count."""
    return Reading.model_validate({"reader": "folders", "subject": {"pattern": "(.*)"}, **model.about.image.model_dump()})
