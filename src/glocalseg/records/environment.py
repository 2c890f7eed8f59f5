"""What numbers were made with: recorded beside them, part of no key."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def environment() -> dict[str, Any]:
    """Python, packages, machine and commit that this process runs on: recorded in run.json, not part of any key."""
    packages = (
        "torch",
        "numpy",
        "scipy",
        "pandas",
        "nibabel",
        "SimpleITK",
        "timm",
        "scikit-learn",
        "snakemake",
    )
    return {
        "python": platform.python_version(),
        "packages": {name: found for name in packages if (found := _version(name))},
        "machine": platform.machine(),
        "system": platform.platform(),
        "commit": _commit(),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        head, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + ("+changes" if changed.strip() else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, check=True)
    return done.stdout.decode(errors="replace")
