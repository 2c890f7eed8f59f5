"""Calling snakemake as a person does, in a copy of the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def command(*arguments: str) -> list[str]:
    """Snakemake of the running environment."""
    return [sys.executable, "-m", "snakemake", *arguments]


def environment() -> dict[str, str]:
    """The environment without what would make a call here different from one in a fresh shell."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE", "PYTHONPATH", "PYTEST", "MAKE", "MFLAGS"))}


def snakemake(tree: Path, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """A finished call of snakemake in ``tree``, standard error in ``stdout``."""
    return subprocess.run(
        command(*arguments),
        cwd=tree,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )
