"""Pages of made-up benchmarks in a headless Chromium: how it is found and started, and what a page is asked."""

from __future__ import annotations

import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fabricated_runs import KINDS, fabricate

from glocalseg.report.build import build

NAMES = ("chromium", "chromium-browser", "google-chrome")
PHONE, TABLET, SCREEN = (390, 844), (800, 1000), (1280, 800)
_MADE: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
Look = tuple[tuple[int, int], str]  # width and height in pixels, light or dark
LOOKS: tuple[Look, ...] = tuple((size, scheme) for size in (PHONE, TABLET, SCREEN) for scheme in ("light", "dark"))
FEW: tuple[Look, ...] = ((PHONE, "dark"), (SCREEN, "light"))
MOST_TOLD = ("found", "too_small", "missing", "three_datasets")  # kinds whose pages differ most


def combined(looks: tuple[Look, ...]) -> list[Any]:
    """Parameters (kind, look): the first kind with each look, others that are ``MOST_TOLD`` with ``FEW``; the rest is slow."""
    return [
        pytest.param(kind, look, id=f"{kind}-{look[0][0]}-{look[1]}", marks=[] if _quick(kind, look) else pytest.mark.slow)
        for kind in sorted(KINDS, key=lambda kind: kind not in MOST_TOLD)
        for look in looks
    ]


def _quick(kind: str, look: Look) -> bool:
    return kind == MOST_TOLD[0] or (kind in MOST_TOLD and look in FEW)


@dataclass
class Opened:
    """A page in a browser, with what went wrong while it was open."""

    page: Any
    folder: Path
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def asked(self, script: str, argument: Any = None) -> Any:
        """What a function of JavaScript gives on the page."""
        return self.page.evaluate(script, argument)

    def unfold(self) -> None:
        """Open everything that is folded."""
        self.asked("() => document.querySelectorAll('details').forEach((d) => { d.open = true; })")

    def loaded(self) -> None:
        """Wait until all pictures are decoded."""
        self.asked("() => Promise.all([...document.images].map((i) => i.decode().catch(() => null)))")


@functools.cache
def folder_of(kind: str) -> Path:
    """``results/toy`` of a benchmark of a kind, made once in a process."""
    _MADE.append(tempfile.TemporaryDirectory(prefix=f"glocalseg-{kind}-"))
    root = Path(_MADE[-1].name)
    build(fabricate(root, KINDS[kind]), root)
    return root / "results/toy"


@contextmanager
def started() -> Iterator[Any]:
    """A headless Chromium of this machine; skips where there is none, or no package to drive it."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install 'glocalseg[test]'")
    path = next((found for name in NAMES if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is in PATH (Debian: apt install chromium)")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, kind: str, look: Look, *, script: bool = True) -> Iterator[Opened]:
    """The report's page of a kind. Whatever it asks of a network is refused and noted."""
    (width, height), scheme = look
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce", java_script_enabled=script
    )
    shown = Opened(context.new_page(), folder_of(kind))

    def refuse(route: Any) -> None:
        shown.outside.append(route.request.url)
        route.abort()

    context.route(lambda url: not url.startswith(("file:", "data:")), refuse)
    shown.page.on("console", lambda said: shown.errors.append(said.text) if said.type in ("error", "warning") else None)
    shown.page.on("pageerror", lambda error: shown.errors.append(str(error)))
    shown.page.goto((shown.folder / "report/index.html").as_uri())
    yield shown
    context.close()
