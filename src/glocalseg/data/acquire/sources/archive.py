"""An archive that is downloaded, or taken from the benchmark's mirror."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Self
from urllib.parse import quote, unquote, urlparse

from pydantic import Field, model_validator

from glocalseg.config.lines import shown
from glocalseg.data.acquire.shared import FetchError, fill_whole, require_space
from glocalseg.data.acquire.sources.base import FILES, Fact, Source, Wanted
from glocalseg.records.digest import KEY_DIGITS, digest, sha256_file
from glocalseg.records.sealed import RESUME

SHOWN = 5  # names of an archive's files in a message


class ArchiveSource(Source):
    """A tar or zip file with a checksum."""

    url: str | None = Field(default=None, description="left out: only a mirror has this very archive")
    file: str | None = Field(default=None, description="the archive's file name, where the url does not end in it")
    size: int | None = Field(default=None, gt=0, description="bytes, where known; a checksum is needed anyway")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    repacked: list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]] = Field(
        default=[], description="sha256 of other archives with the same cases, which a mirror may hold instead"
    )
    root: str = Field(default=".", description="folder inside the archive that the reader gets")
    steps: list[str] = Field(default=[], description="what a person does to get the archive where there is no url")

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("an archive needs sha256, or md5 where the publisher gives only that")
        if not self.file_name or "/" in self.file_name:
            raise ValueError("an archive needs a url that ends in its file name, or file")
        if PureWindowsPath(self.root).anchor or ".." in PureWindowsPath(self.root).parts:
            raise ValueError(f"root must be a folder inside the archive, found {self.root!r}")
        return self

    @property
    def file_name(self) -> str:
        """What the archive is called, on the publisher's server and in a mirror."""
        return self.file or (self.url or "").split("?")[0].rsplit("/", 1)[-1]

    @property
    def origin(self) -> str:
        return digest([self.sha256 or self.md5, self.root])[:KEY_DIGITS]

    def folder(self, raw: Path, incoming: Path) -> Path:
        return raw / FILES / self.root

    def facts(self) -> tuple[Fact, ...]:
        kind, value = ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)
        return ("Archive", self.url or self.file_name), (f"Archive's {kind}", str(value))

    def check(self, wanted: Wanted, *, timeout: float) -> None:
        import requests

        url, local = self._locate(wanted)
        if local is not None:
            return
        try:
            requests.head(url, timeout=timeout, allow_redirects=True)
        except requests.RequestException as error:
            raise FetchError(
                f"{wanted.name}: expected an answer from {urlparse(url).netloc}, found {type(error).__name__}: the data is "
                "not here yet, and this machine does not reach its server. Fetch it on one that does, in this same "
                "folder: the same command with `--profile local --until fetch`"
            ) from None

    def bring(self, wanted: Wanted, raw: Path) -> dict[str, Any]:
        payload: dict[str, Any] = {"source": self.model_dump(exclude={"steps"})}
        if not (raw / FILES).is_dir():  # there, but no record: the fetch was killed when all but the hashing was done
            payload["from"] = self._bring_and_unpack(wanted, raw)
        return payload

    def _bring_and_unpack(self, wanted: Wanted, raw: Path) -> str:
        from glocalseg.data.acquire.download import download, forget

        url, local = self._locate(wanted)
        if local is not None:
            archive = local  # read where it lies, never copied
            require_space(raw, self.size or local.stat().st_size, f"the contents of {local.name}")
        else:
            archive = raw / f"{RESUME}-{self.file_name}"
            if self.size:
                left = self.size - (archive.stat().st_size if archive.is_file() else 0)
                require_space(raw, left + self.size, f"{self.file_name} and its contents")
            download(url, archive, size=self.size, space=2.0, retry=wanted.retry)
        if problem := self._problem(archive):
            advice = "the file was left as it is" if local else "the file was removed, the next fetch starts anew"
            if local is None:
                forget(archive)
            raise FetchError(f"{archive}: {problem}: this is not the archive that the card describes; {advice}")
        fill_whole(raw / FILES, lambda folder: self._unpack(archive, folder))
        if local is None:
            forget(archive)
        return url

    def _locate(self, wanted: Wanted) -> tuple[str, Path | None]:
        """Where the archive is, for the record, and its path if it needs no network."""
        mirror = wanted.mirror
        address = f"{mirror.rstrip('/')}/{quote(self.file_name)}" if mirror else self.url
        if address is None:
            steps = "".join(f"\n  {i}. {step}" for i, step in enumerate(self.steps, 1))
            raise FetchError(
                f"{wanted.name}: {self.file_name} has no public address of its own: expected a mirror (a folder or url that "
                f"holds it), found none in the configuration (mirror: <url or folder>){steps}"
            )
        if not address.isprintable():
            raise FetchError(f"{wanted.name}: mirror: expected a folder or url, found {shown(mirror)}")
        try:
            scheme = urlparse(address).scheme
        except ValueError as error:
            raise FetchError(f"{wanted.name}: mirror: expected a folder or url, found {shown(address)}: {error}") from None
        if scheme in ("http", "https"):
            return address, None
        folder = Path(unquote(urlparse(mirror or address).path)) if scheme == "file" else Path(mirror or address)
        path = folder / self.file_name if mirror else folder
        if not path.is_file():
            raise FetchError(f"{path}: expected the archive of {wanted.name!r} in the mirror, found no such file")
        return str(path), path

    def _problem(self, archive: Path) -> str | None:
        """What of size and checksum is not the card's, if anything."""
        if self.repacked and sha256_file(archive) in self.repacked:
            return None  # another wrapping: its cases are compared with the lock file when they are verified
        size = archive.stat().st_size
        if self.size is not None and size != self.size:
            return f"expected {self.size} bytes, found {size}"
        for kind, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected is not None:
                with archive.open("rb") as f:
                    found = hashlib.file_digest(f, kind).hexdigest()
                if found != expected:
                    return f"expected {kind} {expected}, found {found} ({size} bytes)"
        return None

    def _unpack(self, archive: Path, folder: Path) -> None:
        from glocalseg.data.acquire.unpack import unpack

        unpack(archive, folder)
        if not (folder / self.root).is_dir():
            raise FetchError(f"{archive}: expected a folder {self.root!r} inside, found {_instead(folder, self.root)}")


def _instead(folder: Path, root: str) -> str:
    """What an archive holds in place of a folder: the same in other letters, or deeper, and what lies at the top."""
    folders = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_dir())
    wanted = PurePosixPath(root)
    same = [p for p in folders if p.as_posix().casefold() == wanted.as_posix().casefold()]
    same += [p for p in folders if p.name.casefold() == wanted.name.casefold()]
    there = sorted(p.name + "/" * p.is_dir() for p in folder.iterdir())
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    hint = f" (root: {same[0].as_posix()}?)" if same else ""
    return f"{', '.join(there[:SHOWN])}{more}{hint}"
