"""Content keys, sealed folders and the digests behind them (DESIGN.md 7, WORKFLOW.md 4).

A *sealed folder* is finished: its ``run.json`` (or ``manifest.json``) was written last, by a rename, and holds the sha256 of
every other file of the folder. Whoever reads the folder goes through ``open_sealed``, so an edited byte is an error.
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGE = "glocalseg"
KEY_DIGITS = 10
# Their effect on a number is in the key already: as resolved values (config), or none at all.
NOT_SCIENCE = frozenset({f"{PACKAGE}.config", f"{PACKAGE}.provenance", f"{PACKAGE}.plan"})
RESUME = "resume"  # undeclared state of an unfinished run, in files that start with this
FAILURE = f"{RESUME}-failure.json"  # why the last attempt at it ended: error and message


class CorruptedError(RuntimeError):
    """A sealed folder whose files are not those that were sealed: names the file, what was expected and found."""


def digest(value: Any) -> str:
    """Hex sha256 of a JSON-able value in canonical form (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def content_key(parts: Mapping[str, Any]) -> str:
    """The first ten hex digits of the digest of everything that a folder's content depends on."""
    return digest(dict(parts))[:KEY_DIGITS]


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file, read in blocks."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


# ---------------------------------------------------------------- code


@cache
def code_digest(*entries: str) -> str:
    """Digest of the package modules that the entry modules import, directly or not, without comments or docstrings.

    Args:
        entries: dotted module names inside the package.

    Raises:
        ModuleNotFoundError: if an entry is no module of the package.
    """
    return digest({name: _tree(_module_path(name)) for name in sorted(closure(*entries))})


@cache
def closure(*entries: str) -> frozenset[str]:
    """Names of the package's modules that the entries import, themselves included, NOT_SCIENCE left out."""
    seen: set[str] = set()
    todo = list(entries)
    while todo:
        name = todo.pop()
        if name in seen or name in NOT_SCIENCE:
            continue
        seen.add(name)
        todo.extend(_imports(name))
    return frozenset(seen)


def _module_path(name: str) -> Path:
    root = Path(__file__).parent
    stem = root.joinpath(*name.split(".")[1:])
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    raise ModuleNotFoundError(f"{name}: expected a module below {root}, found none")


@cache
def _imports(name: str) -> tuple[str, ...]:
    """The package's modules that a module imports, anywhere in its text."""
    return tuple(_imported(name))


def _imported(name: str) -> Iterable[str]:
    for node in ast.walk(_parse(_module_path(name))):
        if isinstance(node, ast.Import):
            candidates = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            candidates = [f"{node.module}.{a.name}" for a in node.names] + [node.module]
        else:
            continue
        for candidate in candidates:
            if candidate.split(".")[0] == PACKAGE and _is_module(candidate):
                yield candidate


def _is_module(name: str) -> bool:
    try:
        _module_path(name)
    except ModuleNotFoundError:
        return False
    return name != PACKAGE


def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


@cache
def _tree(path: Path) -> str:
    tree = _parse(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:]
    return ast.dump(tree, annotate_fields=False)


# ---------------------------------------------------------------- sealed folders


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file by a temporary name, flush it to disk, and rename it: the old content stays until then."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with temporary.open("wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, indented, keys in the order given."""
    write_atomic(path, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())


def seal(record: Path, payload: Mapping[str, Any]) -> None:
    """Finish a folder: drop the resume state, hash every file, write ``record`` last, its twin before it.

    Args:
        record: ``<folder>/run.json`` or ``<folder>/manifest.json``.
        payload: JSON-able; ``files`` is added.
    """
    folder = record.parent
    for leftover in [*folder.glob(f"{RESUME}*"), *folder.glob(".*.part")]:
        leftover.unlink()
    own = (record, _twin(record))
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p not in own)
    finished = {**payload, "files": {name: sha256_file(folder / name) for name in names}}
    for path in reversed(own):
        write_json(path, finished)


def restore(record: Path) -> bool:
    """True if the folder is finished: its record is there, or came back from its twin, every file being as sealed.

    Snakemake removes a record before it runs a job again, even where the job had ended well beside one that failed.
    """
    twin = _twin(record)
    if record.is_file():
        return True
    if not twin.is_file():
        return False
    try:
        payload = read_record(twin)
        intact = all(sha256_file(record.parent / name) == expected for name, expected in payload["files"].items())
    except (OSError, CorruptedError):
        return False
    if intact:
        write_json(record, payload)
    return intact


def _twin(record: Path) -> Path:
    return record.with_name(f".{record.name}")


def open_sealed(record: Path) -> dict[str, Any]:
    """The payload of a sealed folder after every file of it was checked.

    Raises:
        CorruptedError: if the record or a file is missing, unreadable or changed.
    """
    payload = read_record(record)
    for name, expected in payload["files"].items():
        path = record.parent / name
        if not path.is_file():
            raise CorruptedError(f"{path}: expected a file with sha256 {expected}, found none")
        found = sha256_file(path)
        if found != expected:
            raise CorruptedError(
                f"{path}: expected sha256 {expected}, found {found}: the file was changed after it was made. "
                f"Delete {record.parent} to make it again"
            )
    return payload


def read_record(record: Path) -> dict[str, Any]:
    """The payload of a sealed folder, its files unchecked. Raises CorruptedError."""
    try:
        payload: dict[str, Any] = json.loads(record.read_text())
        payload["files"]
    except FileNotFoundError:
        raise CorruptedError(f"{record}: expected a finished run or store, found nothing") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise CorruptedError(f"{record}: expected JSON with a 'files' entry, found {error!r}") from None
    return payload


# ---------------------------------------------------------------- where numbers were made


def environment() -> dict[str, Any]:
    """Python, packages, machine and commit that this process runs on: recorded in run.json, not part of any key."""
    packages = (
        "torch",
        "numpy",
        "scipy",
        "pandas",
        "nibabel",
        "SimpleITK",
        "medpy",
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
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "--", "."], cwd=here, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changes" if dirty.stdout.strip() else "")
