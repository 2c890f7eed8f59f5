"""NIfTI files through ``examine`` and ``verify``: refused, or what nibabel gives by the header's own units."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from corruptions import Rng, corrupted, flipped, pick
from worker import WrongError

from glocalseg.data.acquire.examine.case import Examined, examine
from glocalseg.data.acquire.verify import accept, verify
from glocalseg.data.cards.card import Card
from glocalseg.data.images.volumes import count_values, load_image, load_label
from glocalseg.data.readers.base import Case, ReaderError

SHAPE = (20, 22, 6)
AFFINE = np.diag([1.5, -1.25, 8.0, 1.0]) + np.array([[0, 0, 0, -20.0], [0, 0, 0, 30.0], [0, 0, 0, 5.0], [0] * 4])
UNITS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
EXTREMES = (
    0,
    1,
    -1,
    2,
    3,
    5,
    7,
    8,
    16,
    64,
    127,
    255,
    256,
    348,
    352,
    353,
    512,
    540,
    1024,
    32767,
    -32768,
    65535,
    2**31 - 1,
    -(2**31),
    0.5,
    1e-30,
    1e-3,
    0.1,
    1000.0,
    1e10,
    3e38,
    float("inf"),
    float("-inf"),
    float("nan"),
)
FIELDS = (
    "sizeof_hdr", "dim", "dim", "dim", "datatype", "bitpix", "pixdim", "pixdim", "pixdim", "vox_offset", "scl_slope", "scl_inter",
    "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "srow_x", "srow_y",
    "srow_z", "magic", "intent_code", "cal_max", "descrip", "dim_info", "slice_start",
)  # fmt: skip


@dataclass(frozen=True)
class Base:
    """Sound pairs of files, by how they are written: bytes of image and label; and folders of three cases."""

    pairs: dict[str, tuple[bytes, bytes]]
    folder: Path


def card(**changes: Any) -> Card:
    base: dict[str, Any] = {
        "name": "tiny", "title": "Tiny", "modality": "MR", "subjects": 3, "licence": "none", "citation": ["nobody"],
        "source": {"kind": "folder", "path": "unused"}, "reader": "folders", "structures": {1: "one", 2: "two"},
        "slice_axis": "S", "frame": {"spacing": [1.5, 1.5], "size": [32, 32]}, "subject": {"pattern": r"^(case_\d+)$"},
        "splits": {"kind": "rule", "test": 1, "validation": 1, "seed": 0}, "loss_limit": 1,
    }  # fmt: skip
    return Card.model_validate({**base, **changes})


def prepare(folder: Path) -> Base:
    pairs = {}
    for name in ("plain", "gz", "second", "big-endian", "channels", "both", "scaled", "micrometres", "unplaced"):
        pairs[name] = tuple(_written(name, voxels, folder) for voxels in (_image(0), _label()))
    write_cases(folder / "cases")
    return Base(pairs, folder / "cases")  # type: ignore[arg-type]


def write_cases(root: Path) -> None:
    """Three cases in two folders."""
    for number in range(3):
        for kind, voxels in (("imagesTr", _image(number)), ("labelsTr", _label())):
            path = root / kind / f"case_{number}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(gzip.compress(_written("plain", voxels, root), 1, mtime=0))
    (root / "plain.nii").unlink()


def _label() -> np.ndarray:
    x, y, z = np.meshgrid(*map(np.arange, SHAPE), indexing="ij")
    r = np.hypot(x - 9, y - 10)
    return (np.where(r < 4, 2, np.where(r < 7, 1, 0)) * ((z > 0) & (z < 5))).astype(np.uint8)


def _image(seed: int) -> np.ndarray:
    return (80 * _label() + np.random.default_rng(seed).normal(0, 10, SHAPE)).round().astype(np.int16)


def _written(name: str, voxels: np.ndarray, folder: Path) -> bytes:
    kind: Any = nib.Nifti2Image if name == "second" else nib.Nifti1Image
    header = kind.header_class(endianness=">") if name == "big-endian" else None
    if name == "channels" and voxels.dtype == np.int16:
        voxels = np.stack([voxels, voxels[::-1]], axis=-1)
    scale = 1000 if name == "micrometres" else 1
    image = kind(voxels, np.diag([scale, scale, scale, 1]) @ AFFINE, header)
    image.set_data_dtype(voxels.dtype)
    image.header.set_xyzt_units({"micrometres": 3}.get(name, 2))
    if name in ("both", "big-endian"):
        image.set_qform(image.affine, code=1)
    if name == "unplaced":
        image.set_sform(None, code=0)
        image.set_qform(None, code=0)
    if name == "scaled":
        image.header.set_slope_inter(1, 0)
    path = folder / f"{name}.nii"
    image.to_filename(path)
    data = bytearray(path.read_bytes())
    if name == "scaled" and voxels.dtype == np.int16:
        data[112:120] = np.array([0.5, -3.0], "<f4").tobytes()
    return gzip.compress(bytes(data), 1, mtime=0) if name == "gz" else bytes(data)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    if rng.random() < 0.15:
        return _whole_set(rng, base, folder)
    name = pick(rng, list(base.pairs))
    image, label = base.pairs[name]
    which = pick(rng, ("image", "image", "label", "both"))
    what = ""
    if which != "label":
        what, image = _spoil(rng, image)
    if which != "image":
        what, label = _spoil(rng, label)
    end = pick(rng, (".nii.gz", ".nii")) if name != "gz" or rng.random() < 0.2 else ".nii.gz"
    paths = folder / f"image{end}", folder / f"label{end}"
    for path, data in zip(paths, (image, label), strict=True):
        path.write_bytes(data)
    counts = pick(rng, ("agree", "agree", "agree", "sform", "qform", "spacing"))
    used = card(header=counts, channel=1 if name == "channels" else 0, **_preparation(rng))
    return f"{name}, {which}: {what}, header: {counts}", lambda: _check_pair(used, *paths)


def _preparation(rng: Rng) -> dict[str, Any]:
    return pick(rng, ({}, {}, {"window": (-10, 100)}, {"padding": -3024.0}, {"slice_axis": "A"}, {"percentiles": (0, 100)}))  # type: ignore[no-any-return]


def _spoil(rng: Rng, data: bytes) -> tuple[str, bytes]:
    """A file with its header or its bytes changed."""
    packed = data[:2] == b"\x1f\x8b"
    if rng.random() < (0.6 if packed else 0.2):
        return corrupted(rng, data)
    inner = gzip.decompress(data) if packed else data
    second = inner[4:8] == b"n+2\0"
    kind: Any = nib.Nifti2Header if second else nib.Nifti1Header
    size = kind.template_dtype.itemsize
    if rng.random() < 0.3:
        what, inner = "bits of the header", flipped(rng, inner, last=size)
    else:
        header, done = kind(inner[:size], check=False), []
        for _ in range(int(pick(rng, (1, 1, 2, 3)))):
            done.append(_set(rng, header, pick(rng, FIELDS)))
        what, inner = ", ".join(done), header.binaryblock + inner[size:]
    return what, gzip.compress(inner, 1, mtime=0) if packed else inner


def _set(rng: Rng, header: Any, name: str) -> str:
    """One field at another value, whatever it means."""
    array = header.structarr[name]
    value: Any = pick(rng, EXTREMES)
    if array.dtype.kind == "S":
        value = pick(rng, (b"n+1", b"ni1", b"n+2", b"ni2", b"\xff\xff\xff", b"", b"abc"))
        header.structarr[name] = value
    else:
        if array.dtype.kind in "iu":
            bounds = np.iinfo(array.dtype)
            value = int(np.clip(np.nan_to_num(value, posinf=2**40, neginf=-(2**40)), bounds.min, bounds.max))
        with np.errstate(over="ignore"):
            if array.ndim:
                at = int(rng.integers(array.shape[0]))
                if name == "dim" and rng.random() < 0.5:
                    value = int(array[at]) + int(pick(rng, (-1, 1, 2)))
                array[at] = np.clip(value, bounds.min, bounds.max) if array.dtype.kind in "iu" else value
            else:
                header.structarr[name] = value
    return f"{name} = {value}"


# ---------------------------------------------------------------- what is right


def _check_pair(used: Card, image: Path, label: Path) -> str:
    found = examine(used.reading, used.preparation, Case("case_0", "case_0", image, label))
    for note in found.notes:
        if len(str(note)) > 400 or not str(note).isprintable():
            raise WrongError(f"a note that nobody can read: {note}")
    if found.problems:
        raise ReaderError(found.problems)
    _compare(used, found)
    return "as the files say"


def _compare(used: Card, found: Examined) -> None:
    """Whether a case is what its files hold, by another reader."""
    image, label = load_image(used.reading, found.case.image), load_label(used.reading, found.case.label)  # type: ignore[arg-type]
    if (image.content, label.content) != (found.image, found.label):
        raise WrongError("examine and load_image or load_label give different contents")
    for path, voxels, affine, channel in (
        (found.case.image, image.voxels, image.affine, used.channel),
        (found.case.label, label.values, label.affine, None),
    ):
        expected, place = _by_nibabel(path, used.header, channel)  # type: ignore[arg-type]
        with np.errstate(all="ignore"):
            same = np.array_equal(np.asarray(expected, voxels.dtype if channel is not None else None), voxels)
        if not same:
            raise WrongError(f"{path.name}: voxels other than nibabel's")  # type: ignore[union-attr]
        if not np.allclose(affine, place, rtol=1e-5, atol=2e-4):
            raise WrongError(f"{path.name}: affine {affine.tolist()}, nibabel's is {place.tolist()}")  # type: ignore[union-attr]
    facts = found.facts
    assert facts is not None
    counts = {int(v): n for v, n in count_values(label.values).items() if v}
    if facts.shape != image.voxels.shape or facts.values != counts:
        raise WrongError(f"facts {facts}, {counts}")
    prepared = found.prepared
    if prepared is None or not np.isfinite(prepared.image).all() or prepared.image.shape[1:] != used.frame.size:
        raise WrongError("no finite image on the frame, and no problem")


def _by_nibabel(path: Path, counts: str, channel: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Voxels and affine in mm, read by nibabel from the whole of the file."""
    data = path.read_bytes()
    data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    kind: Any = nib.Nifti2Image if data[4:8] == b"n+2\0" else nib.Nifti1Image
    header = kind.header_class(data[: kind.header_class.template_dtype.itemsize], check=False)
    if counts == "agree":
        counts = "sform" if header["sform_code"] else "qform" if header["qform_code"] else "spacing"
    read = kind.from_bytes(_sound(header, data, counts))
    voxels = np.asanyarray(read.dataobj)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim == 4:
        voxels = voxels[..., channel]
    zooms = np.diag([*np.asarray(header["pixdim"][1:4], np.float64), 1.0])
    affine = {"sform": header.get_sform, "qform": read.header.get_qform, "spacing": lambda: zooms}[counts]()
    return voxels, np.diag([*[UNITS[int(header["xyzt_units"]) & 7]] * 3, 1.0]) @ affine


def _sound(header: Any, data: bytes, counts: str) -> bytes:
    """The file without what nibabel refuses although it is no part of voxels or of the placing that counts."""
    if counts != "qform":
        header["qform_code"], header["quatern_b"], header["quatern_c"], header["quatern_d"] = 0, 0, 0, 0
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1
    return bytes(header.binaryblock) + data[len(header.binaryblock) :]


# ---------------------------------------------------------------- a data set


def _whole_set(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    root = folder / "set"
    shutil.copytree(base.folder, root)
    path = root / pick(rng, ("imagesTr", "labelsTr")) / f"case_{int(rng.integers(3))}.nii.gz"
    what, data = _spoil(rng, path.read_bytes())
    path.write_bytes(data)
    used = card()

    def check() -> str:
        found = verify(used, root, pieces=folder / "pieces")
        accept(found, record=folder / "verified.json", lock=folder / "tiny.lock.json", code="none")
        for examined in found.examined:
            _compare_stored(used, examined)
        return "as the files say"

    return f"set: {path.parent.name}: {what}", check


def _compare_stored(used: Card, found: Examined) -> None:
    again = examine(used.reading, used.preparation, found.case)
    _compare(used, again)
    if (again.image, again.label, again.facts) != (found.image, found.label, found.facts):
        raise WrongError("verify and examine differ")
