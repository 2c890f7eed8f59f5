"""Archives through ``unpack``: refused, or exactly the files of the archive below the target, and nothing anywhere else."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from corruptions import Rng, corrupted, pick
from worker import WrongError

from glocalseg.data.acquire.unpack import unpack

Files = dict[str, bytes]
FORMATS = ("tar", "tar", "tar.gz", "tar.xz", "tar.bz2", "zip", "zip")
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "tar.gz": lambda data: gzip.compress(data, mtime=0),
    "tar.xz": lzma.compress,
    "tar.bz2": bz2.compress,
}
TAR_FORMATS = (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)
DATE = (2020, 1, 1, 0, 0, 0)


@dataclass
class Hostile:
    """Members beside the sound ones.

    Args:
        refused: nothing may be written; None: it need not be.
        more: sound files that are to be there.
    """

    name: str
    refused: bool | None = True
    more: Files | None = None


def prepare(folder: Path) -> Files:
    rng = np.random.default_rng(0)
    names = (
        "Task/dataset.json",
        "Task/imagesTr/a_1.nii.gz",
        "Task/imagesTr/a_2.nii.gz",
        "Task/labelsTr/a_1.nii.gz",
        "Task/empty.txt",
    )
    sizes = (700, 5000, 512, 3000, 0)
    return {name: rng.bytes(size) for name, size in zip(names, sizes, strict=True)}


def make(rng: Rng, base: Files, folder: Path) -> tuple[str, Callable[[], str]]:
    # deep enough that `..` a few times stays in the case's folder, where it is seen
    target = folder / "a" / "b" / "c" / "target"
    target.mkdir(parents=True)
    kind = pick(rng, FORMATS)
    archive = folder / f"archive.{kind}"
    if rng.random() < 0.5:
        data = _zip(rng, base) if kind == "zip" else PACKED[kind](_tar(rng, base))
        what, spoilt = corrupted(rng, data)
        archive.write_bytes(spoilt)
        changed = len(spoilt) - len(data), int(sum(a != b for a, b in zip(data, spoilt, strict=False)))
        return f"{kind}: {what}", lambda: _check(
            archive, target, base, loose=kind == "tar" and changed[0] == 0, bits=changed[1]
        )
    hostile = (_hostile_zip if kind == "zip" else _hostile_tar)(rng, base, archive, kind)
    expected = {} if hostile.refused else {**base, **(hostile.more or {})}
    return f"{kind}: {hostile.name}", lambda: _check(archive, target, expected, refused=hostile.refused)


def _check(
    archive: Path, target: Path, expected: Files, *, refused: bool | None = False, loose: bool = False, bits: int = 0
) -> str:
    """Unpack, and compare.

    Args:
        loose: a plain tar has no checksum of its files: bytes of theirs may be other ones, ``bits`` at most.
    """
    root = next(p for p in target.parents if p.name == "a").parent
    before = _everything(root)
    try:
        unpack(archive, target)
    finally:
        outside = {p: v for p, v in _everything(root).items() if not p.startswith("a/b/c/target")}
        if outside != {p: v for p, v in before.items() if not p.startswith("a/b/c/target")}:
            raise WrongError(f"something was written outside of the target: {sorted(outside)}")
    found = {p.relative_to(target).as_posix(): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    if refused:
        raise WrongError(f"unpacked, and should not have been: {sorted(found)}")
    if any(p.is_symlink() or not (p.is_file() or p.is_dir()) for p in target.rglob("*")):
        raise WrongError("a link or a device")
    if loose and set(found) == set(expected) and all(len(found[n]) == len(expected[n]) for n in found):
        others = sum(a != b for n in found for a, b in zip(found[n], expected[n], strict=True))
        if others <= bits:
            return "as the archive says"
    if found != expected:
        names = {n: len(v) for n, v in found.items() if expected.get(n) != v}
        raise WrongError(f"expected {sorted(expected)}, missing {sorted(set(expected) - set(found))}, other ones {names}")
    return "the same files"


def _everything(root: Path) -> dict[str, int]:
    return {os.path.relpath(p, root): os.lstat(p).st_size if p.is_file() else -1 for p in root.rglob("*")}


# ---------------------------------------------------------------- archives


def _tar(rng: Rng, files: Files, more: Callable[[tarfile.TarFile], None] | None = None, *, fmt: int | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt if fmt is not None else pick(rng, TAR_FORMATS)) as tar:
        names = list(files)
        after = int(rng.integers(len(names) + 1))
        for number, name in enumerate(names):
            if number == after and more is not None:
                more(tar)
            _add(tar, name, files[name])
        if after == len(names) and more is not None:
            more(tar)
    return out.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes = b"evil", **fields: Any) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for key, value in fields.items():
        setattr(info, key, value)
    tar.addfile(info, io.BytesIO(data) if info.isreg() else None)


def _zip(rng: Rng, files: Files, more: Callable[[zipfile.ZipFile], None] | None = None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", pick(rng, (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    ) as z:
        for name, data in files.items():
            z.writestr(zipfile.ZipInfo(name, DATE), data, z.compression)
        if more is not None:
            more(z)
    return out.getvalue()


OUTSIDE = (
    "/evil",
    "../evil",
    "Task/../../evil",
    "a/../../../evil",
    "..",
    "Task/..",
    "C:\\evil",
    "C:evil",
    "\\\\server\\share\\evil",
    "..\\evil",
    "Task\\..\\..\\evil",
    "//evil",
    "/",
)


def _names(rng: Rng, base: Files, archive: Path) -> tuple[str, str, bool, Files | None]:
    """What a hostile name is, the name, whether it must be refused, and what is to be written otherwise."""
    first = next(iter(base))
    options: list[tuple[str, str, bool, Files | None]] = [
        *[("outside", name, True, None) for name in OUTSIDE],
        ("absolute", str(archive.parent / "evil"), True, None),
        ("twice", first, True, None),
        ("twice but for case", first.upper(), True, None),
        ("a file that is a folder", "Task/imagesTr", True, None),
        ("a folder that is a file", f"{first}/x", True, None),
        ("composed letters", "Task/e\u0301.txt", False, {"Task/e\u0301.txt": b"evil"}),
        ("a long name", "Task/" + "x" * 300, True, None),
        ("a deep name", "Task/" + "x/" * 60 + "x", True, None),
        ("a very long path", "Task/" + ("x" * 200 + "/") * 25 + "x", True, None),
        ("a shadow", "__MACOSX/Task/._dataset.json", False, None),
        ("a shadow", "Task/._x.nii.gz", False, None),
        ("dots", "./Task/./x.txt", False, {"Task/x.txt": b"evil"}),
        ("spaces and braces", "Task/ {x} %s \u540d.txt", False, {"Task/ {x} %s \u540d.txt": b"evil"}),
        ("control letters", "Task/\x1b[31m\n.txt", False, {"Task/\x1b[31m\n.txt": b"evil"}),
        ("not UTF-8", "Task/\udcff.txt", True, None),
    ]
    return pick(rng, options)  # type: ignore[no-any-return]


def _hostile_tar(rng: Rng, base: Files, archive: Path, kind: str) -> Hostile:
    def write(more: Callable[[tarfile.TarFile], None], **options: Any) -> None:
        archive.write_bytes(PACKED[kind](_tar(rng, base, more, **options)))

    how = int(rng.integers(12))
    if how < 4:
        what, name, refused, more = _names(rng, base, archive)
        write(lambda tar: _add(tar, name), fmt=pick(rng, (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)))
        return Hostile(f"{what}: {name[:50]!r}", refused, more)
    if how < 7:
        type_, link = pick(
            rng,
            [(tarfile.SYMTYPE, t) for t in ("/etc/passwd", "../../..", "dataset.json", "", "loop")]
            + [(tarfile.LNKTYPE, t) for t in ("/etc/passwd", "../../../x", next(iter(base)))]
            + [(t, "") for t in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z", b"V", b"M")],
        )

        def linked(tar: tarfile.TarFile) -> None:
            _add(tar, "loop", b"", type=type_, linkname=link)
            _add(tar, "loop/evil")

        write(linked)
        return Hostile(f"type {type_!r} to {link!r}")  # a file in it, too: a member of an unknown type counts as a file
    if how == 7:  # a size that is not there
        size = int(pick(rng, (10**6, 2**33, 2**40, 2**62)))
        data = bytearray(_tar(rng, base, fmt=tarfile.GNU_FORMAT))
        info = tarfile.TarInfo("Task/huge")
        info.size = size
        at = int(pick(rng, (0, len(data) - 10240 if len(data) > 10240 else 0)))
        archive.write_bytes(PACKED[kind](bytes(data[: at // 512 * 512]) + info.tobuf(tarfile.GNU_FORMAT)))
        return Hostile(f"{size} bytes that are not there")
    if how == 8:  # headers of headers
        return _odd_headers(rng, base, archive, kind)
    if how == 9:  # many
        count = int(pick(rng, (1000, 5000)))
        write(lambda tar: [_add(tar, f"Task/many/{i}", b"") for i in range(count)])  # type: ignore[arg-type, return-value]
        return Hostile(f"{count} members", False, {f"Task/many/{i}": b"" for i in range(count)})
    if how == 10:  # archives in archives are files
        inner = _tar(rng, base)
        write(lambda tar: _add(tar, "Task/inner.tar", inner))
        return Hostile("an archive in it", False, {"Task/inner.tar": inner})
    others = {
        "nothing": b"",
        "folders alone": _tar(rng, {}, lambda tar: _add(tar, "x", b"", type=tarfile.DIRTYPE)),
        "zeros": bytes(20480),
        "gzip of nothing": gzip.compress(b""),
        "a page": b"<html>",
        "7z": b"7z\xbc\xaf\x27\x1c",
        "noise": rng.bytes(3000),
    }
    name = pick(rng, list(others))
    archive.write_bytes(others[name])
    return Hostile(name)


def _odd_headers(rng: Rng, base: Files, archive: Path, kind: str) -> Hostile:
    """Extended headers that are huge, wrong, or say something hostile."""
    what = pick(
        rng, ("huge pax", "huge GNU name", "bad pax", "pax path", "pax size", "pax NUL", "sparse", "bad sparse", "negative")
    )
    out = io.BytesIO(_tar(rng, base, fmt=tarfile.GNU_FORMAT))
    members = b""
    if what == "huge pax":
        members = _raw("x", 2**31, tarfile.XHDTYPE)
    elif what == "huge GNU name":
        members = _raw("././@LongLink", 2**33, tarfile.GNUTYPE_LONGNAME)
    elif what == "negative":
        info = bytearray(_raw("Task/negative", 0, tarfile.REGTYPE))
        info[124:136] = struct.pack(">qi", -1, -512)
        members = _summed(info)
    elif what == "sparse":
        members = bytes(_raw("Task/sparse", 0, tarfile.GNUTYPE_SPARSE))
    else:
        records = _odd_records(rng, what, archive)
        body = records + bytes(-len(records) % 512)
        members = (
            _raw("pax", len(records), tarfile.XHDTYPE) + body + _raw("Task/x", 4, tarfile.REGTYPE) + b"evil" + bytes(508)
        )
    archive.write_bytes(PACKED[kind](members + out.getvalue()))
    return Hostile(what, False, {"Task/sparse": b""}) if what == "sparse" else Hostile(what)


BAD_RECORDS = (b"99999999999999999999 path=x\n", b"0 path=x\n", b"-5 path=x\n", b"abc", b"12 pathx\n", b"\xff" * 512)


def _odd_records(rng: Rng, what: str, archive: Path) -> bytes:
    if what == "bad pax":
        return pick(rng, BAD_RECORDS)  # type: ignore[no-any-return]
    if what == "pax path":
        return _pax("path", pick(rng, ("../../evil", str(archive.parent / "evil"), "Task/dataset.json", "")))
    if what == "pax size":
        return _pax("size", pick(rng, ("99999999999999999", "-1", "abc", "1e5", "2" * 5000)))
    if what == "pax NUL":
        return _pax("path", "Task/a\0b")
    size = _pax("GNU.sparse.realsize", pick(rng, ("9" * 15, "-1", "x")))
    return _pax("GNU.sparse.major", "1") + _pax("GNU.sparse.minor", "0") + size


def _pax(key: str, value: str) -> bytes:
    inner = f" {key}={value}\n".encode()
    length = len(inner) + 1
    while length != len(inner) + len(str(length)):
        length = len(inner) + len(str(length))
    return str(length).encode() + inner


def _raw(name: str, size: int, type_: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, type_
    return info.tobuf(tarfile.GNU_FORMAT)


def _summed(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    return bytes(header)


def _hostile_zip(rng: Rng, base: Files, archive: Path, kind: str) -> Hostile:
    how = int(rng.integers(8))
    if how < 4:
        what, name, refused, more = _names(rng, base, archive)
        if "\udcff" in name:  # in a zip file letters are UTF-8, or of an old code page: never half of one
            name, refused, more = "Task/\u00e9.txt", False, {"Task/\u00e9.txt": b"evil"}
        archive.write_bytes(_zip(rng, base, lambda z: z.writestr(zipfile.ZipInfo(name, DATE), b"evil")))
        return Hostile(f"{what}: {name[:50]!r}", refused, more)
    if how == 4:
        mode = int(pick(rng, (0o120777, 0o020666, 0o060666, 0o010666, 0o140777)))
        info = zipfile.ZipInfo("Task/special", DATE)
        info.external_attr = mode << 16
        archive.write_bytes(_zip(rng, base, lambda z: z.writestr(info, b"/etc/passwd")))
        return Hostile(f"mode {mode:o}")
    if how == 5:  # a size that is not that of the data, in the central directory or the local header
        data = bytearray(_zip(rng, base))
        at = data.index(b"PK\x01\x02") + int(pick(rng, (20, 24)))
        data[at : at + 4] = struct.pack("<I", int(pick(rng, (0, 1, 10**6, 2**31, 2**32 - 2))))
        archive.write_bytes(bytes(data))
        return Hostile("another size", None, {})  # of the packed data alone: what is read is what is there
    if how == 6:  # zeros, a thousand times smaller
        size = int(pick(rng, (50, 300))) << 20
        archive.write_bytes(_bomb(size))
        with zipfile.ZipFile(archive, "a") as z:
            for _ in range(1 if size > 100 << 20 else 0):
                z.writestr("x", b"x")
        _declare(archive, int(pick(rng, (2**31, 2**32 - 2))))
        return Hostile("a bomb")
    inner = _zip(rng, base)
    archive.write_bytes(_zip(rng, base, lambda z: z.writestr(zipfile.ZipInfo("Task/inner.zip", DATE), inner)))
    return Hostile("an archive in it", False, {"Task/inner.zip": inner})


def _bomb(size: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z, z.open(zipfile.ZipInfo("zeros", DATE), "w") as f:
        f.write(bytes(1 << 20))
    return out.getvalue()


def _declare(archive: Path, size: int) -> None:
    """Another size of the first member, in the central directory."""
    data = bytearray(archive.read_bytes())
    at = data.index(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", size)
    archive.write_bytes(bytes(data))
