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

from glocalseg.data.acquire.examine.case import PIXELS
from glocalseg.data.cards.reading import Preparation, Reading
from glocalseg.data.files.names import NIFTI
from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.images.placement import place
from glocalseg.data.images.volumes import Image
from glocalseg.data.readers.base import Note, Problem, ReaderError
from glocalseg.data.slices.geometry import canonical_grid, resampled_size, to_canonical
from glocalseg.data.slices.prepare import PrepareError, prepare_image
from glocalseg.evaluation.predict import label_images
from glocalseg.models.about import ModelError
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


def images_in(path: Path) -> list[Path]:
    """The NIfTI images of a folder, sorted, without hidden files; or the file itself. Raises ModelError if there is none."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ModelError(f"{path}: expected an image, or a folder of images, found nothing there")
    there = sorted(p for p in path.iterdir() if not p.name.startswith("."))
    found = [p for p in there if p.is_file() and p.name.endswith(NIFTI)]
    if not found:
        names = ", ".join(p.name for p in there[:3]) + (", ..." if len(there) > 3 else "")
        raise ModelError(f"{path}: expected NIfTI images ({' or '.join(NIFTI)}) right in it, found {names or 'nothing'}")
    return found


def predict_files(model: TrainedModel, images: Sequence[Path], out: Path, *, overwrite: bool) -> Outcome:
    """Write a label file for every image, called like it, into ``out``; an image that cannot be used is skipped.

    Args:
        overwrite: make labels again that are there already; without it, one that this model did not write is a problem.
    """
    outcome = Outcome()
    with Progress("labelling", len(images), "images") as progress:
        for image in images:
            target = out / (image.name if image.name.endswith(NIFTI) else f"{image.name}.nii.gz")
            try:
                if target.exists() and not overwrite:
                    _require_own(model, target)
                    outcome.kept.append(target)
                else:
                    label, notes = predict_file(model, image)
                    write_atomic(target, gzip.compress(label, mtime=0) if target.name.endswith(".gz") else label)
                    outcome.written.append(target)
                    outcome.notes += notes
            except ReaderError as error:
                outcome.skipped.append(image)
                outcome.problems += error.problems
            progress.add()
    return outcome


def predict_file(model: TrainedModel, path: Path) -> tuple[bytes, list[Note]]:
    """The label of an image file as a NIfTI file with the geometry of its header, and what is odd about the image.

    Raises:
        ReaderError: if the file is none, or the image cannot be used.
    """
    read = read_nifti(path, channel=model.about.image.channel)
    where = place(read.header, read.values.shape, path, counts=model.about.image.header)
    if where.affine is None:
        raise ReaderError(where.problems)
    image = Image(np.asarray(read.values, np.float32), where.affine)
    label = predict_volume(model, image, name=str(path))
    return _file_like(read.header, label, _by(model)), [*read.notes, *where.notes]


def predict_volume(model: TrainedModel, image: Image, *, name: str = "image") -> NDArray[np.integer[Any]]:
    """The label of an image, as it is stored: same shape, the data set's own label values.

    Args:
        image: voxels, and the affine to mm in RAS+.
        name: of the image, for errors.

    Raises:
        ReaderError: if its affine or its intensities are not those of an image.
    """
    preparation, voxels = model.about.preparation, image.voxels
    if bad := int(np.count_nonzero(~np.isfinite(voxels))):
        raise ReaderError([Problem(name, "finite voxels", f"{bad} of {voxels.size} are NaN or infinite")])
    if not voxels.size or voxels.min() == voxels.max():
        found = f"{voxels.flat[0]:g} everywhere" if voxels.size else f"shape {voxels.shape}"
        raise ReaderError([Problem(name, "an image that is not constant", found)])
    try:
        _check_scale(preparation, image, name)
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


def _check_scale(preparation: Preparation, image: Image, name: str) -> None:
    """Raise ReaderError where slices have no size that the network could be shown, ValueError where their axes cannot be told."""
    (_, height, width), spacing = canonical_grid(image.voxels.shape, image.affine, preparation.slice_axis)
    rows, columns = resampled_size((height, width), spacing[1:], preparation.frame.spacing)
    if not PIXELS[0] <= min(rows, columns) <= max(rows, columns) <= PIXELS[1]:
        found = f"{rows} x {columns} (stored: {height} x {width} of {spacing[1]:.4g} x {spacing[2]:.4g} mm)"
        expected = f"slices of {PIXELS[0]} to {PIXELS[1]} pixels on a side at the spacing of the model's frame"
        raise ReaderError([Problem(name, expected, found)])


def reading_of(model: TrainedModel) -> Reading:
    """How an image file is read for a model: the channel and the geometry that its card lets count."""
    return Reading.model_validate({"reader": "folders", "subject": {"pattern": "(.*)"}, **model.about.image.model_dump()})


def _file_like(header: Nifti1Header, label: NDArray[np.integer[Any]], by: str) -> bytes:
    """A label as a NIfTI file: of another file's header, as it stands, the geometry, and nothing that may name a patient."""
    own: Any = header.copy()
    own.set_data_shape(label.shape)
    own.set_data_dtype(label.dtype)
    own.set_slope_inter(1, 0)
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        if name in own:
            own[name] = b""
    for name in ("cal_min", "cal_max", "intent_code", "intent_p1", "intent_p2", "intent_p3"):
        own[name] = 0
    own["descrip"], own["magic"], own["vox_offset"] = by.encode(), own.single_magic, own.single_vox_offset
    values = label.astype(label.dtype.newbyteorder(own.endianness))
    return bytes(own.binaryblock) + bytes(4) + values.tobytes(order="F")  # four bytes: no extensions follow


def _by(model: TrainedModel) -> str:
    """What a label's header says of who wrote it."""
    return f"glocalseg {model.key}"


def _require_own(model: TrainedModel, target: Path) -> None:
    """Raise ReaderError if a file that is there is no label, whole, that this model wrote."""
    header: Any = read_nifti(target, channel=None).header
    by = bytes(header["descrip"]).rstrip(b"\0").decode(errors="replace")
    if by != _by(model):
        found = f"one of {by!r}" if by.startswith("glocalseg ") else "a file that no model wrote"
        raise ReaderError([Problem(str(target), f"nothing there yet, or a label of this model ({_by(model)!r})", found)])
