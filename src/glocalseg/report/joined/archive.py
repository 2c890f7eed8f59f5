"""The runs of a published report as one small file, ``runs.tar.xz``: their records, curves and scores, and nothing that is large.

Weights, predictions, slices and whatever else shows an image stay where they are: a site may not hand them on, and git cannot
hold them. Of every run its record is there with the sha256 of all its files, so a run that is made elsewhere can be held against
it, bit by bit. A run that failed is there as its reason. ``plan.phases`` says which files of a job are kept.
"""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path, PurePosixPath

from glocalseg.plan.phases import PHASES, phase_of
from glocalseg.records.digest import sha256_file
from glocalseg.records.files import write_atomic
from glocalseg.records.sealed import FAILURE, SHOWN, CorruptedError, note_absent, read_record

NAME = "runs.tar.xz"
LIMIT = 64_000_000  # bytes of a file in it: what unpacks to more is no table


def packed(root: Path, runs: Sequence[Path], missing: Collection[Path]) -> bytes:
    """The archive, the same bytes every time: names in order, no dates, no owners.

    It is compressed as a whole, because the scores of a benchmark are the larger part and have their rows in common: half of
    what gzip makes of them.

    Args:
        root: folder that paths are relative to.
        runs: records of a report.
        missing: those of them that the report was made without; of these the reason is kept, where there is one.

    Raises:
        CorruptedError: if a record or a file that is kept is not there, or was changed.
    """
    found: dict[str, bytes] = {}
    for record in runs:
        found |= _reason(root, record) if record in missing else _kept(root, record)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(found):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(found[name]), 0o644
            tar.addfile(member, io.BytesIO(found[name]))
    return lzma.compress(content.getvalue(), preset=9 | lzma.PRESET_EXTREME)


def _reason(root: Path, record: Path) -> dict[str, bytes]:
    note = record.with_name(FAILURE)
    return {note.as_posix(): (root / note).read_bytes()} if (root / note).is_file() else {}


def _kept(root: Path, record: Path) -> dict[str, bytes]:
    """A record and the small files beside it that it names, each as it was sealed."""
    payload = read_record(root / record)
    found = {record.as_posix(): (root / record).read_bytes()}
    for name in PHASES[phase_of(record)].kept:
        if name in payload["files"]:  # a control that is not trained has no curves
            _require(root / record.with_name(name), payload["files"][name])
            found[record.with_name(name).as_posix()] = (root / record.with_name(name)).read_bytes()
    return found


def _require(path: Path, expected: str, called: str | None = None) -> None:
    """Raise CorruptedError unless a file is there with a digest."""
    found = f"sha256 {sha256_file(path)}" if path.is_file() else "no file"
    if found != f"sha256 {expected}":
        raise CorruptedError(f"{called or path}: expected sha256 {expected}, found {found}")


def unpack(folder: Path, runs: Collection[Path], into: Path, *, sealed: str | None) -> None:
    """Put the runs of a published folder's archive below ``into``, each file checked, with a note of what is not there.

    Args:
        folder: the published report.
        runs: the records that the report names: there is no other path in an archive.
        into: a folder of this call's own.
        sealed: the archive's sha256 as the report's record has it; None if it names none.

    Raises:
        CorruptedError: if the archive is broken, holds another path, or a file that is not the one that was sealed; it names
            the file.
    """
    archive = folder / NAME
    members = _members(archive, _places(runs))
    for name, content in members.items():
        write_atomic(into / name, content)
    there: dict[Path, list[str]] = {}
    for path in map(Path, members):
        there.setdefault(path.parent, []).append(path.name)
    for record in runs:
        _check(archive, into, record, there.get(record.parent, ()))
    if sha256_file(archive) != sealed:  # last: what is wrong inside says more
        raise CorruptedError(f"{archive}: expected the archive that the report was published with, found another")


def _places(runs: Collection[Path]) -> frozenset[str]:
    """Every path that an archive of some runs may hold."""
    return frozenset(
        record.with_name(name).as_posix()
        for record in runs
        for name in (record.name, FAILURE, *PHASES[phase_of(record)].kept)
    )


def _members(archive: Path, places: Collection[str]) -> dict[str, bytes]:
    try:
        with tarfile.open(archive, "r:xz") as tar:
            return dict(_read(archive, tar, places))
    except (OSError, EOFError, tarfile.TarError, lzma.LZMAError, ValueError) as error:
        raise CorruptedError(f"{archive}: expected an archive of runs, found a broken one: {str(error)[:SHOWN]}") from None


def _read(archive: Path, tar: tarfile.TarFile, places: Collection[str]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    for member in tar:
        name = member.name
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise CorruptedError(
                f"{archive}: {name[:SHOWN]!r}: expected a path below the checkout, found one that leaves it"
            )
        if name not in places:
            raise CorruptedError(
                f"{archive}: {name[:SHOWN]!r}: expected small files of runs of the report, found another path"
            )
        if not member.isreg() or member.size > LIMIT or name in seen:
            raise CorruptedError(f"{archive}: {name[:SHOWN]!r}: expected one plain small file, found something else")
        seen.add(name)
        content = tar.extractfile(member)
        assert content is not None  # of a plain file
        yield name, content.read()


def _check(archive: Path, into: Path, record: Path, there: Collection[str]) -> None:
    """Raise CorruptedError unless the files of a run are those of its record; note which never came."""
    if record.name not in there:
        if set(there) - {FAILURE}:
            raise CorruptedError(f"{archive}: {record}: expected the record of the files beside it, found none")
        return
    try:
        files = read_record(into / record)["files"]
    except CorruptedError:
        raise CorruptedError(f"{archive}: {record}: expected a record as it was written, found another") from None
    kept = PHASES[phase_of(record)].kept
    for name in {*there, *kept} - {record.name}:
        path = record.with_name(name)
        if (name in files) != (name in there):
            found = ("no file" if name in files else "a file") + f" called {name}"
            raise CorruptedError(f"{archive}: {path}: expected the files that its record names, found {found}")
        if name in files:
            _require(into / path, files[name], f"{archive}: {path}")
    note_absent(into / record, str(archive.parent), [name for name in files if name not in there])
