"""Bringing a data set to this machine: the only step that uses the network.

Every source ends in the same state: ``raw/fetched.json`` was written last and holds the sha256 of every file below
``raw/files``. A fetch that is killed leaves ``raw/resume...``, from which the next one goes on.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlparse

import requests

from glocalseg.config import ArchiveSource, Card, FolderSource, GeneratedSource, RegistrationSource
from glocalseg.data.archive import unpack
from glocalseg.data.download import FetchError, Retry, download, forget, require_space
from glocalseg.provenance import RESUME, seal, write_json

__all__ = ["RECORD", "FetchError", "check_source", "dataset_root", "fetch"]
RECORD = "fetched.json"
FILES = "files"


def dataset_root(card: Card, raw: Path, incoming: Path) -> Path:
    """The folder that the reader gets: below ``raw/files``, or where a person put the data."""
    source = card.source
    if isinstance(source, ArchiveSource):
        return raw / FILES / source.root
    if isinstance(source, GeneratedSource):
        return raw / FILES
    return Path(source.path) if isinstance(source, FolderSource) else incoming


def fetch(card: Card, raw: Path, *, mirror: str | None = None, incoming: Path, retry: Retry | None = None) -> None:
    """Make ``raw/files`` and, last, ``raw/fetched.json``; for data that a person brings, check that it is there.

    Args:
        raw: folder of this version of the data set, ``data/raw/<dataset>/<identity>``.
        mirror: folder or url in which the archive's file name is looked for, instead of the card's url.
        incoming: folder into which a person puts data behind a registration, ``data/incoming/<dataset>``.
        retry: how patiently a download is repeated.

    Raises:
        FetchError: what was expected, what was found, and what to do.
    """
    raw.mkdir(parents=True, exist_ok=True)
    source = card.source
    if isinstance(source, ArchiveSource):
        _fetch_archive(card, source, raw, mirror, retry)
    elif isinstance(source, GeneratedSource):
        _generate(card, source, raw)
    else:
        if isinstance(source, RegistrationSource):
            _check_incoming(card, source, incoming)
        else:
            _check_folder(card, Path(source.path))
        found = {"dataset": card.name, "kind": source.kind, "folder": dataset_root(card, raw, incoming).as_posix()}
        write_json(raw / RECORD, {**found, "files": {}})  # its bytes are known to verification, by the lock file


def check_source(card: Card, *, mirror: str | None = None, incoming: Path, timeout: float = 10.0) -> None:
    """Look whether this machine could fetch the data, without fetching it: the archive's server answers, the files are there.

    Args:
        mirror, incoming: as ``fetch``.
        timeout: seconds for the server to answer; any answer will do.

    Raises:
        FetchError: what was expected, what was found, and what to do.
    """
    source = card.source
    if isinstance(source, ArchiveSource):
        url, local = _locate(card, source, mirror)
        if local is None:
            try:
                requests.head(url, timeout=timeout, allow_redirects=True)
            except requests.RequestException as error:
                raise FetchError(
                    f"{card.name}: expected an answer from {urlparse(url).netloc}, found {type(error).__name__}: the data is "
                    "not here yet, and this machine does not reach its server. Fetch it on one that does, in this same "
                    "folder: the same command with `--profile local --until fetch`"
                ) from None
    elif isinstance(source, RegistrationSource):
        _check_incoming(card, source, incoming)
    elif not isinstance(source, GeneratedSource):
        _check_folder(card, Path(source.path))


# ---------------------------------------------------------------- archives


def _fetch_archive(card: Card, source: ArchiveSource, raw: Path, mirror: str | None, retry: Retry | None) -> None:
    payload: dict[str, Any] = {"dataset": card.name, "source": source.model_dump(exclude={"steps"})}
    if not (raw / FILES).is_dir():  # there, but no record: the fetch was killed when all but the hashing was done
        payload["from"] = _bring_and_unpack(card, source, raw, mirror, retry)
    seal(raw / RECORD, payload)


def _bring_and_unpack(card: Card, source: ArchiveSource, raw: Path, mirror: str | None, retry: Retry | None) -> str:
    url, local = _locate(card, source, mirror)
    if local is not None:
        archive = local  # read where it lies, never copied
        require_space(raw, source.size or local.stat().st_size, f"the contents of {local.name}")
    else:
        archive = raw / f"{RESUME}-{source.file_name}"
        if source.size:
            left = source.size - (archive.stat().st_size if archive.is_file() else 0)
            require_space(raw, left + source.size, f"{source.file_name} and its contents")
        download(url, archive, size=source.size, space=2.0, retry=retry)
    _check_archive(source, archive, keep=local is not None)
    _put_files(raw, lambda folder: _unpack_root(source, archive, folder))
    if local is None:
        forget(archive)
    return url


def _locate(card: Card, source: ArchiveSource, mirror: str | None) -> tuple[str, Path | None]:
    """Where the archive is, for the record, and its path if it needs no network."""
    address = f"{mirror.rstrip('/')}/{quote(source.file_name)}" if mirror else source.url
    if address is None:
        steps = "".join(f"\n  {i}. {step}" for i, step in enumerate(source.steps, 1))
        raise FetchError(
            f"{card.name}: {source.file_name} has no public address of its own: expected a mirror (a folder or url that "
            f"holds it), found none in the configuration (mirror: <url or folder>){steps}"
        )
    scheme = urlparse(address).scheme
    if scheme in ("http", "https"):
        return address, None
    folder = Path(unquote(urlparse(mirror or address).path)) if scheme == "file" else Path(mirror or address)
    path = folder / source.file_name if mirror else folder
    if not path.is_file():
        raise FetchError(f"{path}: expected the archive of {card.name!r} in the mirror, found no such file")
    return str(path), path


def _check_archive(source: ArchiveSource, archive: Path, *, keep: bool) -> None:
    """Raise FetchError if size or checksum are not the card's; a file that this project downloaded is then removed."""
    found_size = archive.stat().st_size
    problem = None
    if source.size is not None and found_size != source.size:
        problem = f"expected {source.size} bytes, found {found_size}"
    for kind, expected in (("sha256", source.sha256), ("md5", source.md5)):
        if problem is None and expected is not None:
            with archive.open("rb") as f:
                found = hashlib.file_digest(f, kind).hexdigest()
            if found != expected:
                problem = f"expected {kind} {expected}, found {found} ({found_size} bytes)"
    if problem is None:
        return
    advice = "the file was left as it is" if keep else "the file was removed, the next fetch starts anew"
    if not keep:
        forget(archive)
    raise FetchError(f"{archive}: {problem}: this is not the archive that the card describes; {advice}")


def _unpack_root(source: ArchiveSource, archive: Path, folder: Path) -> None:
    unpack(archive, folder)
    if not (folder / source.root).is_dir():
        there = ", ".join(sorted(p.name for p in folder.iterdir())[:5])
        raise FetchError(f"{archive}: expected a folder {source.root!r} inside, found {there}")


def _put_files(raw: Path, fill: Callable[[Path], None]) -> None:
    """Fill a temporary folder and rename it to ``raw/files``: there is never half of it."""
    temporary = raw / f".{FILES}.part"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        fill(temporary)
        os.sync()  # the rename must not reach the disk before the files do
        temporary.rename(raw / FILES)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


# ---------------------------------------------------------------- other sources


def _generate(card: Card, source: GeneratedSource, raw: Path) -> None:
    if not (raw / FILES).is_dir():
        from glocalseg.data.phantom import generate  # here, because only generated data needs it

        _put_files(raw, lambda folder: generate(source, folder))
    seal(raw / RECORD, {"dataset": card.name, "source": source.model_dump()})


def _check_incoming(card: Card, source: RegistrationSource, incoming: Path) -> None:
    files = [p for p in incoming.rglob("*") if p.is_file() and not p.name.startswith(".")] if incoming.is_dir() else []
    if any(p.name.endswith((".nii", ".nii.gz")) for p in files):
        return
    packed = [p.name for p in files if p.name.endswith((".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z"))]
    found = f"{packed[0]}, not unpacked" if packed else f"{len(files)} other files" if files else "nothing"
    steps = "\n".join(f"  {i}. {step}" for i, step in enumerate(source.steps, 1))
    raise FetchError(
        f"{incoming}: expected the NIfTI files of {card.title}, found {found}. A person has to get this data:\n"
        f"{steps}\n  Put it into the folder {incoming} and start again. ({source.url})"
    )


def _check_folder(card: Card, folder: Path) -> None:
    if not folder.is_dir():
        raise FetchError(f"{folder}: expected the folder of data set {card.name!r} (source: path), found none")
