"""A label as a NIfTI file, whose header tells of which image by which model it is, so that it is never taken for another's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Header
from numpy.typing import NDArray

from glocalseg.data.images.nifti import read_nifti
from glocalseg.data.images.volumes import Image, Label
from glocalseg.data.readers.base import Problem, ReaderError
from glocalseg.models.about import About

PROGRAM = "glocalseg"
DIGITS = 24  # of a digest; a header has 80 letters for all
AGAIN = "(FORCE=yes makes it again)"


def label_file(header: Nifti1Header, image: Image, label: NDArray[np.integer[Any]], *, key: str) -> bytes:
    """The content of a label file.

    Args:
        header: of the image's file.
        image: what was read of it.
        label: (X, Y, Z), on its grid.
        key: of the model.
    """
    own = _header_like(header, label.shape, label.dtype)
    own["descrip"] = " ".join([PROGRAM, key, _digest(image), _digest(Label(label, image.affine))]).encode()
    values = label.astype(label.dtype.newbyteorder(own.endianness))
    return bytes(own.binaryblock) + bytes(4) + values.tobytes(order="F")  # four bytes: no extensions follow


def require_own(target: Path, header: Nifti1Header, image: Image, *, about: About, key: str) -> None:
    """Raise ReaderError if a file that is there is not, whole and as it was written, the label of this image by this model.

    Args:
        target: the file that is there.
        header, image, key: as of ``label_file``.
        about: the model.
    """
    read = read_nifti(target, channel=None)
    there: Any = read.header
    said = bytes(there["descrip"]).rstrip(b"\0").decode(errors="replace")
    program, by, of, holds = [*said.split(" "), "", "", "", ""][:4]
    if (program, by) != (PROGRAM, key):
        found = f"one of '{PROGRAM} {by}'" if program == PROGRAM else "a file that no model wrote"
        raise _error(target, f"nothing there yet, or a label of this model ('{PROGRAM} {key}')", found)
    if of != _digest(image):
        raise _error(target, "the label of the image as it is now", f"that of an image of other contents {AGAIN}")
    expected = _header_like(header, image.voxels.shape, about.file_values(np.zeros(0, np.uint8)).dtype)
    expected["descrip"] = there["descrip"]
    if bytes(expected.binaryblock) != bytes(there.binaryblock):
        raise _error(target, "a label with the header that its image has now", f"another one {AGAIN}")
    if holds != _digest(Label(read.values, image.affine)):
        raise _error(target, "a label as the model made it", f"one that was changed after it was written {AGAIN}")


def _header_like(header: Nifti1Header, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Of another file's header, as it stands, the geometry, and nothing that may name a patient."""
    own: Any = header.copy()
    own.set_data_shape(shape)
    own.set_data_dtype(dtype)
    own.set_slope_inter(1, 0)
    for name in ("descrip", "aux_file", "db_name", "intent_name"):
        if name in own:
            own[name] = b""
    for name in ("cal_min", "cal_max", "intent_code", "intent_p1", "intent_p2", "intent_p3"):
        own[name] = 0
    own["magic"], own["vox_offset"] = own.single_magic, own.single_vox_offset
    return own


def _digest(of: Image | Label) -> str:
    return of.content[:DIGITS]


def _error(target: Path, expected: str, found: str) -> ReaderError:
    return ReaderError([Problem(str(target), expected, found)])
