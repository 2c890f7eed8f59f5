"""Unpacking an archive that is not trusted: every member is looked at before the first byte is written."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from glocalseg.data.acquire.shared import FetchError, require_space
from glocalseg.records.progress import Progress


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    refused: str | None  # what it is, if it is neither file nor folder
    open: Callable[[], IO[bytes] | None]


def unpack(archive: Path, target: Path) -> None:
    """Write the files of a tar (plain, gz, bz2, xz) or zip archive below ``target``, an empty folder.

    Owners, modes and dates of the archive are not taken over.

    Raises:
        FetchError: a member is absolute, lies outside of the target, is a link or a device (then nothing is written); the
            archive is broken or of another format; the disk is too small for its contents.
    """
    try:
        with _members(archive) as members:
            for member in members:
                _check(archive, member)
            total = sum(m.size for m in members)
            require_space(target, total, f"the contents of {archive.name}")
            with Progress(f"unpacking {archive.name}", total, "B") as progress:
                for member in members:
                    _write(member, target)
                    progress.add(member.size)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, LZMAError) as error:
        raise FetchError(f"{archive}: expected an archive that can be read to its end, found {error!r}") from None
    except (OSError, RuntimeError) as error:
        if isinstance(error, FetchError):
            raise
        raise FetchError(f"{archive}: expected to unpack it below {target}, found {error!r}") from None


def _check(archive: Path, member: _Member) -> None:
    name = member.name
    posix, windows = PurePosixPath(name), PureWindowsPath(name)
    if posix.is_absolute() or windows.is_absolute() or windows.drive:
        problem = "an absolute path"
    elif ".." in posix.parts or ".." in windows.parts:
        problem = "a path that can lead out of the folder"
    elif member.refused:
        problem = member.refused
    else:
        return
    raise FetchError(f"{archive}: member {name!r}: expected a file or a folder inside the archive, found {problem}")


def _write(member: _Member, target: Path) -> None:
    path = target.joinpath(*PurePosixPath(member.name).parts)
    if member.folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise FetchError(f"{member.name}: expected a file in the archive, found nothing to read")
    with source, path.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


@contextmanager
def _members(archive: Path) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            yield [_of_zip(z, info) for info in z.infolist()]
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as t:
            yield [_of_tar(t, info) for info in t]
    else:
        raise FetchError(f"{archive}: expected a tar or zip archive, found something else")


def _of_tar(tar: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    refused = None
    if info.issym() or info.islnk():
        refused = f"a link to {info.linkname!r}"
    elif not info.isreg() and not info.isdir():
        refused = "a device or pipe"
    return _Member(info.name, info.size if info.isreg() else 0, info.isdir(), refused, lambda: tar.extractfile(info))


def _of_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    kind = stat.S_IFMT(info.external_attr >> 16)
    refused = None
    if kind == stat.S_IFLNK:
        refused = "a link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        refused = "a device or pipe"
    elif info.flag_bits & 1:
        refused = "an encrypted file"
    return _Member(info.filename, info.file_size, info.is_dir(), refused, lambda: archive.open(info))
