"""A NIfTI file, read once: its header as it stands, nothing repaired, and its voxels as they are stored.

Readers stop after the last voxel, before the checksum of a compressed file and whatever else follows; and they trust a header's
sizes before they look whether so much is there. Here a file is read to its end, and no more memory is asked for than it fills.
"""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import nibabel as nib
import numpy as np
from nibabel.nifti1 import Nifti1Header
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling
from numpy.typing import NDArray

from glocalseg.data.readers.base import Note, Problem, ReaderError

CHUNK = 1 << 22  # bytes
MOST_VOXELS = 2**31  # of one channel
TRAILING = 1 << 30  # bytes after the last voxel that are still counted
FORMATS = {b"n+1\0": Nifti1Header, b"n+2\0": nib.Nifti2Header}
PAIRS = (b"ni1\0", b"ni2\0")


class Stream(Protocol):
    """What is read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the next bytes, none at the end."""


@dataclass(frozen=True)
class Nifti:
    """What a file holds: ``values`` (X, Y, Z) of one of its ``channels``, with the header's scaling applied, in the order of the
    file."""

    header: Nifti1Header
    values: NDArray[np.generic]
    notes: list[Note] = field(default_factory=list)
    channels: int = 1


def read_nifti(path: Path, *, channel: int | None) -> Nifti:
    """The header and the voxels of a file, read to its end.

    Args:
        channel: along the fourth axis, from 0; None for a file that may have three only.

    Raises:
        ReaderError: if it is no NIfTI file, is cut off or damaged, or has not the dimensions that are asked for.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == b"\x1f\x8b"
            plain.seek(0)
            return _read(gzip.GzipFile(fileobj=plain) if packed else plain, path, channel)
    except FileNotFoundError:
        raise _error(path, "a NIfTI file", "no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        expected = "a gzip file that can be read to its end" if path.name.endswith(".gz") else "a readable NIfTI file"
        raise _error(path, expected, f"{type(error).__name__}: {error}") from None


def _read(stream: Stream, path: Path, channel: int | None) -> Nifti:
    header = _header(stream, path)
    shape, dtype, start, notes = _shape(header, path, channel), _dtype(header, path), _offset(header, path), []
    one = int(np.prod(shape[:3], dtype=object)) * dtype.itemsize
    end = start + one * shape[3]
    at = _skip(stream, start + one * (channel or 0) - header.template_dtype.itemsize)
    raw = _take(stream, one) if at else b""
    rest = start + one * (channel or 0) + len(raw)
    whole = len(raw) == one and _skip(stream, end - rest)
    if not whole:
        expected = f"{_bytes(end - start)} of voxels ({_times(shape)} of type {dtype.name}, as its header says)"
        raise _error(path, expected, "the end of the file before that")
    beyond = _count(stream)
    if beyond >= one // max(shape[:3]):  # of a whole plane: the header has fewer voxels than the file
        expected = f"the end of the file after {_times(shape)} voxels, as its header says"
        raise _error(path, expected, f"{_bytes(beyond)} more")
    if beyond:
        notes.append(Note(str(path), f"{_bytes(beyond)} after its last voxel are not used"))
    if header["bitpix"] != dtype.itemsize * 8:
        notes.append(
            Note(str(path), f"its header says {header['bitpix']} bits a voxel and type {dtype.name}: the type is used")
        )
    stored: NDArray[np.generic] = np.frombuffer(raw, dtype).reshape(shape[:3], order="F")
    return Nifti(header, _scaled(header, stored, path, notes, label=channel is None), notes, shape[3])


def _header(stream: Stream, path: Path) -> Nifti1Header:
    """The header as it stands. Raises ReaderError where it is not that of a single NIfTI file."""
    raw = stream.read(nib.Nifti1Header.template_dtype.itemsize)
    second = raw[4:8] in (b"n+2\0", b"ni2\0")
    kind = nib.Nifti2Header if second else nib.Nifti1Header
    raw += stream.read(kind.template_dtype.itemsize - len(raw)) if second else b""
    if len(raw) < kind.template_dtype.itemsize:
        raise _error(path, "a NIfTI file", f"{len(raw)} bytes" if raw else "an empty file")
    magic = raw[4:8] if second else raw[344:348]
    if magic in PAIRS:
        raise _error(path, "header and voxels in one file", "the header of a pair of files, .hdr and .img")
    header = kind(raw, check=False)
    if FORMATS.get(magic) is not kind:
        analyze = header["sizeof_hdr"] == kind.sizeof_hdr
        raise _error(
            path, "a NIfTI file", "an Analyze header, or a damaged one" if analyze else f"a file that begins {raw[:12]!r}"
        )
    if header["sizeof_hdr"] != kind.sizeof_hdr:
        raise _error(path, f"a header of {kind.sizeof_hdr} bytes", f"one that says {header['sizeof_hdr']}")
    return header


def _shape(header: Nifti1Header, path: Path, channel: int | None) -> tuple[int, int, int, int]:
    """X, Y, Z and the number of channels. Raises ReaderError."""
    dims = [int(d) for d in header["dim"]]
    if not 1 <= dims[0] <= 7:
        raise _error(path, "1 to 7 dimensions", f"{dims[0]}")
    shape = dims[1 : dims[0] + 1]
    if min(shape) < 1:
        raise _error(path, "dimensions of at least one voxel", f"shape {tuple(shape)}")
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    said = f"shape {tuple(shape)}"
    if channel is None and len(shape) == 4:
        hint = "one channel a class? they must become one volume of label values" if shape[3] < 64 else "a series?"
        raise _error(path, "three dimensions", f"{said}: {hint}")
    if len(shape) != 3 and (channel is None or len(shape) != 4):
        raise _error(path, "three dimensions" if channel is None else "three dimensions, or four with channels last", said)
    x, y, z, channels = [*shape, 1][:4]
    if (channel or 0) >= channels:
        found = f"{channels} channel{'s' if channels > 1 else ''}, {said}"
        raise _error(path, f"channel {channel} (counted from 0)", found)
    if x * y * z > MOST_VOXELS:
        raise _error(path, f"at most {MOST_VOXELS} voxels", said)
    return x, y, z, channels


def _dtype(header: Nifti1Header, path: Path) -> np.dtype[np.generic]:
    try:
        dtype: np.dtype[np.generic] = header.get_data_dtype()
    except (HeaderDataError, KeyError):
        raise _error(path, "a known type of voxels", f"datatype {header['datatype']}") from None
    if dtype.kind not in "iuf" or not dtype.itemsize:
        kind = "complex numbers" if dtype.kind == "c" else "colours" if dtype.names else f"type {dtype}"
        raise _error(path, "voxels that are whole or real numbers", f"{kind} (datatype {header['datatype']})")
    return dtype


def _offset(header: Nifti1Header, path: Path) -> int:
    """The byte at which the voxels begin. Raises ReaderError."""
    offset, least = float(header["vox_offset"]), header.single_vox_offset
    if not offset >= least or not offset.is_integer():  # NaN and infinity are neither
        raise _error(path, f"voxels from byte {least} or later", f"vox_offset {offset:g}")
    return int(offset)


def _scaled(
    header: Nifti1Header, stored: NDArray[np.generic], path: Path, notes: list[Note], *, label: bool
) -> NDArray[np.generic]:
    """The values that are meant: float32 for an image, whatever type is exact for a label. Slices at a time, to spare memory."""
    slope, inter = float(header["scl_slope"]), float(header["scl_inter"])
    if np.isinf(slope) or (np.isfinite(slope) and slope != 0 and not np.isfinite(inter)):
        raise _error(path, "a scaling of finite numbers", f"scl_slope {slope:g} and scl_inter {inter:g}")
    if slope == 0 or np.isnan(slope):
        if np.isfinite(inter) and inter != 0:
            notes.append(Note(str(path), f"scl_inter {inter:g} is not used, as its scl_slope is {slope:g}"))
        slope, inter = 1.0, 0.0
    if label:
        scaled: NDArray[np.generic] = apply_read_scaling(stored, np.float64(slope), np.float64(inter))
        return scaled
    out = np.empty(stored.shape, np.float32, order="F")
    with np.errstate(over="ignore", invalid="ignore"):  # becomes infinite, which is looked for
        for k in range(stored.shape[2]):
            out[..., k] = apply_read_scaling(stored[..., k], np.float64(slope), np.float64(inter))
    return out


# ---------------------------------------------------------------- a stream, by pieces


def _take(stream: Stream, count: int) -> bytearray:
    """The next bytes, fewer at the end of the stream; memory grows with what is there."""
    taken = bytearray()
    while len(taken) < count and (piece := stream.read(min(CHUNK, count - len(taken)))):
        taken += piece
    return taken


def _skip(stream: Stream, count: int) -> bool:
    """Read on without keeping anything; whether so much was there."""
    while count > 0 and (piece := stream.read(min(CHUNK, count))):
        count -= len(piece)
    return count == 0


def _count(stream: Stream) -> int:
    """How many bytes are left, at most about TRAILING."""
    left = 0
    while left < TRAILING and (piece := stream.read(CHUNK)):
        left += len(piece)
    return left


def _error(path: Path, expected: str, found: str) -> ReaderError:
    return ReaderError([Problem(str(path), expected, found)])


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in shape[: 3 if shape[3] == 1 else 4])


def _bytes(count: int) -> str:
    return f"{count} byte{'s' if count != 1 else ''}"
