"""Data behind a registration: a person must fetch it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from glocalseg.data.acquire.shared import FetchError
from glocalseg.data.acquire.sources.base import Fact, Source, Wanted
from glocalseg.data.files.names import nifti_stem
from glocalseg.data.files.unused import look

PACKED = (".zip", ".tar", ".tar.gz", ".tgz", ".rar", ".7z")


class RegistrationSource(Source):
    """A page to register at. ``steps`` are shown when the data is missing; a lock file stands for its contents."""

    brought: ClassVar[bool] = True
    url: str
    steps: list[str] = Field(min_length=1)

    @property
    def origin(self) -> str:
        return "brought"

    def folder(self, raw: Path, incoming: Path) -> Path:
        return incoming

    def facts(self) -> tuple[Fact, ...]:
        return (("Source", f"{self.url} (registration)"),)

    def check(self, wanted: Wanted, *, timeout: float) -> None:
        incoming = wanted.incoming
        files = [p.name for p in look(incoming).files] if incoming.is_dir() else []
        if any(nifti_stem(Path(name)) is not None for name in files):
            return
        packed = [name for name in files if name.lower().endswith(PACKED)]
        found = f"{packed[0]}, not unpacked" if packed else f"{len(files)} other files" if files else "nothing"
        steps = "\n".join(f"  {i}. {step}" for i, step in enumerate(self.steps, 1))
        raise FetchError(
            f"{incoming}: expected the NIfTI files of {wanted.title}, found {found}. A person has to get this data:\n"
            f"{steps}\n  Put it into the folder {incoming} and start again. ({self.url})"
        )

    def bring(self, wanted: Wanted, raw: Path) -> dict[str, Any]:
        self.check(wanted, timeout=0)
        return {"kind": self.kind, "folder": wanted.incoming.as_posix()}
