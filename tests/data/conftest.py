"""A folder of further readers and sources, as if their files lay beside those that there are."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from glocalseg.data import readers
from glocalseg.data.acquire import sources


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are readers and sources too."""
    folder = tmp_path / "further"
    folder.mkdir()
    loaded = set(sys.modules)
    for package in (readers, sources):
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    importlib.invalidate_caches()
    yield folder
    for name in set(sys.modules) - loaded:
        if name.startswith(("glocalseg.data.readers.", "glocalseg.data.acquire.sources.")):
            del sys.modules[name]
