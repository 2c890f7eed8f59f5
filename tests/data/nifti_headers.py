"""NIfTI files whose headers say what a test wants them to; nibabel would repair most of it while writing."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

AFFINE = np.diag([1.5, 1.5, 8.0, 1.0])


def write(
    path: Path, voxels: NDArray[Any], affine: NDArray[np.float64] | None = AFFINE, *, kind: Any = nib.Nifti1Image
) -> Path:
    """A file with an affine as sform (code 2) and pixdim; qform_code 0, as nibabel writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = kind(voxels, affine)
    image.to_filename(path)
    return path


def edit(path: Path, **fields: Any) -> Path:
    """The same file, with other values in fields of its header (``srow`` for its three rows), unchecked."""
    packed = path.name.endswith(".gz")
    raw = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    kind = nib.Nifti2Header if raw[4:8] == b"n+2\0" else nib.Nifti1Header
    size = kind.template_dtype.itemsize
    header = kind(raw[:size], check=False)
    for name, value in fields.items():
        if name == "srow":
            for axis, row in zip("xyz", value, strict=True):
                header[f"srow_{axis}"] = row
        elif name == "pixdim":
            header["pixdim"][1:4] = value
        else:
            header[name] = value
    raw = header.binaryblock + raw[size:]
    path.write_bytes(gzip.compress(raw, 1) if packed else raw)
    return path
