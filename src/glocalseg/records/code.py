"""The code behind a number, as a digest that changes only where a number can.

A phase's code is what its entry modules import, compared as syntax trees (``records.trees``), without modules that shape no
number. Modules that are imported by a name put together while the program runs are not seen: whoever does that says so to
``code_digest`` as a further entry (``plan.entries``).
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from glocalseg.records.digest import digest
from glocalseg.records.files import write_json
from glocalseg.records.trees import tree_digest, without_words

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT.name
# What shapes no number. Of configuration all values are in keys already, defaults included; of the rest each only watches,
# carries, or writes down what others made, and its own tests hold it to that.
NOT_SCIENCE = frozenset(
    f"{PACKAGE}.{name}"
    for name in (
        "config.benchmark", "config.model", "config.settings", "config.kinds", "methods.catalogue",
        "records.code", "records.digest", "records.duration", "records.environment", "records.files", "records.generations",
        "records.progress", "records.sealed", "records.trees",
        "stages.specs", "training.checkpoint", "training.divergence", "training.meter",
    )
)  # fmt: skip


def code_digest(*entries: str) -> str:
    """Digest of the package modules that the entry modules import, directly or not.

    Args:
        entries: dotted module names inside the package.

    Raises:
        ModuleNotFoundError: if an entry is no module of the package.
    """
    return _digest_of(tuple(sorted(set(entries))))


@contextmanager
def remembering(path: Path) -> Iterator[None]:
    """Take what was found out about files of code from ``path``, and leave there what is found out meanwhile.

    It is known by the text that was read, and by that of the modules that read it, so it cannot be out of date. A file that
    cannot be read or written is done without.
    """
    with suppress(OSError, ValueError, TypeError, AttributeError, RecursionError):
        for key, (of, names) in json.loads(path.read_text(encoding="utf-8")).items():
            _KNOWN.setdefault(key, (str(of), tuple(map(str, names))))
    before = len(_KNOWN)
    yield
    if len(_KNOWN) > before:
        with suppress(OSError):
            write_json(path, dict(sorted(_KNOWN.items())))


@cache
def _digest_of(entries: tuple[str, ...]) -> str:
    found = {name: _look(name)[0] for name in sorted(closure(*entries))}
    return digest({name: of for name, of in found.items() if of != tree_digest("")})  # most packages' __init__ says nothing


_KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {}


@cache
def _look(name: str) -> tuple[str, tuple[str, ...]]:
    """The digest of a module's tree, and the names that it imports: modules, or things inside modules."""
    package = name if module_path(name).stem == "__init__" else name.rpartition(".")[0]
    text = _text(name)
    key = hashlib.sha256("\0".join((_reader(), package, text)).encode()).hexdigest()
    if key not in _KNOWN:
        _KNOWN[key] = tree_digest(text), tuple(_imported(without_words(ast.parse(text)), package))
    return _KNOWN[key]


@cache
def _reader() -> str:
    """The text of what looks at code."""
    return "\0".join(
        Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8") for name in ("code", "digest", "trees")
    )


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


def module_path(name: str) -> Path:
    """The file of one of the package's modules. Raises ModuleNotFoundError."""
    parent, _, last = name.rpartition(".")
    extensions = getattr(sys.modules.get(parent), "__path__", ())  # folders beside ours that add strategies
    for stem in (ROOT.joinpath(*name.split(".")[1:]), *(Path(folder) / last for folder in extensions)):
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    raise ModuleNotFoundError(f"{name}: expected a module below {ROOT}, found none")


def _text(name: str) -> str:
    return module_path(name).read_text(encoding="utf-8")


@cache
def _imports(name: str) -> tuple[str, ...]:
    """The package's modules that a module imports, anywhere in its text, and the packages that it lies in."""
    parents = [name.rsplit(".", n)[0] for n in range(1, name.count("."))]
    names = (*parents, *_look(name)[1])
    return tuple(dict.fromkeys(m for m in names if m.startswith(f"{PACKAGE}.") and _is_module(m)))


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """Names that a module of a package imports: modules, or things inside modules."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from _with_parents(a.name for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield from (module, *(f"{module}.{a.name}" for a in node.names))


def _with_parents(names: Iterator[str]) -> Iterator[str]:
    for name in names:
        yield from (".".join(name.split(".")[: n + 1]) for n in range(name.count(".") + 1))


def _is_module(name: str) -> bool:
    try:
        module_path(name)
    except ModuleNotFoundError:
        return False
    return True
