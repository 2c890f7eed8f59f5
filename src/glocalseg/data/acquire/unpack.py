"""Unpacking an archive that is not trusted: every member is looked at before the first byte is written."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from lzma import LZMAError
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Self

from glocalseg.data.acquire.shared import FetchError, require_space
from glocalseg.data.files.names import folded
from glocalseg.records.progress import Progress

MEMBERS = 500_000
DEPTH = 40  # folders in each other
LONGEST = 255  # bytes of one name
SWELLS = 200  # an archive that unpacks to more than so many times its size, and a gigabyte, is none of medical images
GIGABYTE = 1 << 30
HEADER = 1 << 20  # bytes of a tar's extended header
BLOCK = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)  # of a tar
SHOWN = 100  # letters of a name
BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, LZMAError, struct.error, LookupError, ValueError)
LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
OTHERS = {  # how files begin that are taken for archives, and are none
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a rar archive",
    b"version https://git-lfs": "a pointer of git LFS",
    b"<": "a page of HTML or XML",
    b"\x1f\x8b": "a gzip file of something else, or of a damaged one",
    b"PK": "a zip archive without its end",
}


@dataclass(frozen=True)
class _Member:
    name: str
    size: int
    folder: bool
    refused: str | None  # what it is, if it is neither file nor folder
    open: Callable[[], IO[bytes] | None]

    @property
    def called(self) -> str:
        """Its name as a message has it."""
        return _short(self.name)

    @cached_property
    def parts(self) -> tuple[str, ...]:
        """Its path, by folders."""
        return PurePosixPath(self.name).parts

    @property
    def shadow(self) -> bool:
        """Whether it is what macOS adds to an archive, which is left out."""
        return "__MACOSX" in self.parts or (bool(self.parts) and self.parts[-1].startswith("._"))


@dataclass(frozen=True)
class _Found:
    """The members of an archive, read as they are asked for; ``finish`` reads on behind the last one."""

    members: Iterable[_Member]
    finish: Callable[[], None] = lambda: None


def unpack(archive: Path, target: Path) -> None:
    """Write the files of a tar (plain, gz, bz2, xz) or zip archive below ``target``, an empty folder.

    Owners, modes and dates of the archive are not taken over; what macOS adds (``._`` files, ``__MACOSX``) is left out.

    Raises:
        FetchError: a member is absolute, lies outside of the target, is a link or a device, has a name that cannot be written or
            that another member has, too (then nothing is written); the archive is broken or of another format, unpacks to far
            more than its size, or the disk is too small for its contents.
    """
    try:
        with _members(archive) as found:
            members = list(_checked(archive, found.members))
            if all(m.folder for m in members):
                raise FetchError(f"{archive}: expected files in the archive, found none")
            total = sum(m.size for m in members)
            require_space(target, total, f"the contents of {archive.name}")
            with Progress(f"unpacking {archive.name}", total, "B") as progress:
                for member in members:
                    _write(archive, member, target)
                    progress.add(member.size)
            found.finish()
    except FetchError:
        raise
    except BROKEN as error:
        raise FetchError(f"{archive}: expected an archive that can be read to its end, found {error!r}") from None
    except (OSError, RuntimeError, MemoryError) as error:
        raise FetchError(f"{archive}: expected to unpack it below {target}, found {error!r}") from None


def _checked(archive: Path, members: Iterable[_Member]) -> Iterator[_Member]:
    """The members to be written. Raises FetchError at the first that cannot be."""
    seen: dict[tuple[str, ...], str] = {}
    folders: set[tuple[str, ...]] = set()
    most, total = max(SWELLS * archive.stat().st_size, GIGABYTE), 0
    for number, member in enumerate(members):
        total += member.size
        if number == MEMBERS or total > most:
            found = f"more than {MEMBERS}" if number == MEMBERS else f"more than {most / 1e9:.1f} GB of them"
            raise FetchError(f"{archive}: expected members as many and large as those of a data set, found {found}")
        if problem := member.refused or _wrong(member):
            raise FetchError(
                f"{archive}: member {member.called}: expected a file or a folder inside the archive, found {problem}"
            )
        path = tuple(folded(part) for part in member.parts)
        above = {path[:n] for n in range(1, len(path))}
        if member.shadow or not path:
            continue
        clash = next((p for p in above if p in seen), None) or (path if path in seen else None)
        if clash is None and not member.folder and path in folders:
            clash = path
        if clash is not None:
            other = seen.get(clash, "a folder")
            expected = "a path of its own (letter case and composed letters do not count)"
            raise FetchError(f"{archive}: member {member.called}: expected {expected}, found that of {_short(other)}")
        folders |= above
        if member.folder:
            folders.add(path)
        else:
            seen[path] = member.name
        yield member


def _wrong(member: _Member) -> str | None:
    """What is wrong with a member's name, if anything."""
    posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    if posix.is_absolute() or windows.is_absolute() or windows.drive:
        return "an absolute path"
    if ".." in posix.parts or ".." in windows.parts:
        return "a path that can lead out of the folder"
    if member.size < 0:
        return f"{member.size} bytes"
    if "\0" in member.name or (not member.folder and not member.parts):
        return "a name that no file can have"
    if any("\ud800" <= c <= "\udfff" for c in member.name):
        return "a name that is not UTF-8"
    if len(member.parts) > DEPTH or any(len(part.encode()) > LONGEST for part in member.parts):
        return f"more than {DEPTH} folders in each other, or a name of more than {LONGEST} bytes"
    return None


def _write(archive: Path, member: _Member, target: Path) -> None:
    path = target.joinpath(*member.parts)
    if member.folder:
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    source = member.open()
    if source is None:
        raise FetchError(f"{archive}: member {member.called}: expected a file in the archive, found nothing to read")
    written = 0
    with source, path.open("wb") as out:
        while written <= member.size and (block := source.read(BLOCK)):
            out.write(block)
            written += len(block)
    if written != member.size:
        found = "more" if written > member.size else f"{written}"
        raise FetchError(
            f"{archive}: member {member.called}: expected {member.size} bytes, as the archive says, found {found}"
        )


# ---------------------------------------------------------------- formats


@contextmanager
def _members(archive: Path) -> Iterator[_Found]:
    """What an archive holds.

    A tar is asked for first: a zip file at its end, such as a spreadsheet, makes it look like one.
    """
    with archive.open("rb") as f:
        start = f.read(32)
    if not start.startswith(b"PK") and (tar := _tar(archive)) is not None:
        with tar:
            yield _Found((_of_tar(tar, info) for info in tar), lambda: _require_end(archive, tar))
    elif zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as z:
            yield _Found([_of_zip(z, info) for info in z.infolist()])
    else:
        empty = "an empty file" if not start else "something else"
        found = next((name for begins, name in OTHERS.items() if start.lstrip().startswith(begins)), empty)
        raise FetchError(f"{archive}: expected a tar or zip archive that can be read, found {found}")


def _tar(archive: Path) -> tarfile.TarFile | None:
    try:
        return tarfile.open(archive, tarinfo=_Info)
    except tarfile.ReadError:
        return None


def _require_end(archive: Path, tar: tarfile.TarFile) -> None:
    """Read a tar behind its last member: two blocks of zeros are its end, and a gzip file's checksum comes last of all.

    A single one may be a header that was overwritten, with more members behind it. Raises FetchError.
    """
    stream, left, most = tar.fileobj, 0, max(SWELLS * archive.stat().st_size, GIGABYTE)
    assert stream is not None
    stream.seek(tar.offset)  # forwards: a way back would start a gzip file's checksum anew, of the rest alone
    if stream.read(len(END)) != END:
        raise FetchError(f"{archive}: expected {len(END)} zeros after the archive's last file, found other bytes")
    while block := stream.read(BLOCK):
        left += len(block)
        if left > most:
            raise FetchError(
                f"{archive}: expected the end of the file after that of the archive, found {most / 1e9:.1f} GB more"
            )


class _Info(tarfile.TarInfo):
    """A header that is not taken for the archive's end where it is damaged, and does not ask for gigabytes of memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(f"a damaged header ({error})") from None
        except tarfile.EmptyHeaderError:  # type: ignore[attr-defined]
            raise tarfile.ReadError("an end of the file before that of the archive") from None
        if info.type in LONG_HEADERS and info.size > HEADER:
            raise tarfile.ReadError(f"an extended header of {info.size} bytes")
        return info


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
    name = info.filename.replace("\\", "/")  # which some programs write, and no zip file should hold
    return _Member(name, info.file_size, name.endswith("/"), refused, lambda: archive.open(info))


def _short(name: str) -> str:
    """A name as a message has it, of which a member's may have any length."""
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}...")
