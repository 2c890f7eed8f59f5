"""Data that already lies in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from glocalseg.data.acquire.shared import FetchError
from glocalseg.data.acquire.sources.base import Fact, Source, Wanted
from glocalseg.records.digest import KEY_DIGITS, digest


class FolderSource(Source):
    """A folder of files; a lock file stands for its contents."""

    brought: ClassVar[bool] = True
    path: str = Field(description="relative to the repository, or absolute")

    @property
    def origin(self) -> str:
        return digest(self.path)[:KEY_DIGITS]

    def folder(self, raw: Path, incoming: Path) -> Path:
        return Path(self.path)

    def facts(self) -> tuple[Fact, ...]:
        return (("Source", "a local folder"),)

    def check(self, wanted: Wanted, *, timeout: float) -> None:
        if not Path(self.path).is_dir():
            raise FetchError(f"{self.path}: expected the folder of data set {wanted.name!r} (source: path), found none")

    def bring(self, wanted: Wanted, raw: Path) -> dict[str, Any]:
        self.check(wanted, timeout=0)
        return {"kind": self.kind, "folder": Path(self.path).as_posix()}
