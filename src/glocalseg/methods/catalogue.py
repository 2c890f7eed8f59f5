"""What strategies, regimes and untrained controls there are, and what each is, read from their own files without running them.

The docstring of such a file begins ``SYMBOL: sentence`` and names its source; whoever shows a method asks here, so that nothing
is said of it in two places. Nothing here imports torch: a plan of thousands of runs needs no more than names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from glocalseg.config.model import ConfigError, Model, parse

Part = Literal["encoder", "decoder", "network"]
PARTS: tuple[Part, ...] = ("encoder", "decoder", "network")
LEVELS: dict[str, tuple[Part, ...]] = {"global": ("encoder", "network"), "local": ("decoder",)}  # what a level may train
STRATEGIES = "glocalseg.methods.pretraining"
REGIMES = "glocalseg.methods.finetuning.regimes"
UNTRAINED = "glocalseg.methods.untrained"


@dataclass(frozen=True)
class Entry:
    """A strategy, a regime, or a control that is not trained.

    ``symbol`` is rich text (``G^{D}``), ``part`` what a strategy trains and hands on, empty for a regime; ``unread`` are the
    settings of pretraining that it does not read, ``unlabelled`` says whether a regime reads unlabelled slices, ``frozen``
    whether it starts from features of slices, ``unet_only`` whether a strategy trains no encoder but the U-Net's,
    ``by_partition`` is of a strategy that shows one slice of every partition of some volumes: the fewest volumes of a batch, and
    the views of a slice; ``diagnostics`` are columns of its log that show its known way of failing, with what to read from them;
    ``said`` is what the docstring of its class says of its options.
    """

    name: str
    symbol: str
    sentence: str
    source: str
    departures: tuple[str, ...]
    part: Part | Literal[""]
    unread: tuple[str, ...]
    unlabelled: bool
    unet_only: bool
    frozen: bool
    by_partition: tuple[int, int] | None
    diagnostics: dict[str, str]
    said: dict[str, str]
    module: str
    path: Path

    def option_class(self) -> type[Model]:
        """The class whose fields are its options; imports its module, and torch with it."""
        return cast("type[Model]", import_module(self.module).METHOD)


def strategies() -> dict[str, Entry]:
    """The strategies of pretraining by name: a file each in ``pretraining/{encoder,decoder,network}``, or in a kind's folder."""
    found: dict[str, Entry] = {}
    for part in PARTS:
        for entry in _entries(f"{STRATEGIES}.{part}", part):
            if entry.name in found:
                raise ConfigError(f"{entry.path}: expected a name of its own, found that of {found[entry.name].path}")
            found[entry.name] = entry
    return dict(sorted(found.items()))


def regimes() -> dict[str, Entry]:
    """The regimes of fine-tuning by name: one file each in ``finetuning/regimes/<kind>``."""
    return {entry.name: entry for entry in _entries(REGIMES, "")}


def untrained() -> dict[str, Entry]:
    """What labels without training, by name: one file each in ``untrained``. In a benchmark they stand where a regime does."""
    return {entry.name: entry for entry in _entries(UNTRAINED, "")}


def options(entry: Entry, raw: Mapping[str, Any], *, where: str) -> dict[str, Any]:
    """The options that differ from the defaults, as the method's class has them; an option at its default is in no key.

    Raises:
        ConfigError: if one is unknown or has a value that it cannot have, one line each.
    """
    if not raw:
        return {}
    return parse(entry.option_class(), raw, where).model_dump(exclude_defaults=True)


def _entries(package: str, part: Part | Literal[""]) -> Iterable[Entry]:
    """The methods of a package and of its folders, one for each kind, by name."""
    folders = cast(ModuleType, import_module(package)).__path__  # several, where an extension adds its own
    found = [(package, path) for folder in folders for path in Path(folder).glob("*.py")]
    found += [(f"{package}.{path.parent.name}", path) for folder in folders for path in Path(folder).glob("*/*.py")]
    seen: dict[str, Path] = {}
    for kind, path in sorted(found, key=lambda pair: pair[1].stem):
        if path.stem.startswith("_"):
            continue
        if path.stem in seen:
            raise ConfigError(f"{path}: expected a name of its own, found that of {seen[path.stem]}")
        seen[path.stem] = path
        yield _entry(path, kind, part)


@cache
def _entry(path: Path, package: str, part: Part | Literal[""]) -> Entry:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    text = ast.get_docstring(tree) or ""
    symbol, colon, sentence = " ".join(text.split("\n\n")[0].split()).partition(": ")
    if not colon:
        raise ConfigError(f"{path}: expected a docstring that begins 'SYMBOL: what the method does.', found {text[:60]!r}")
    return Entry(
        name=path.stem,
        symbol=symbol,
        sentence=sentence,
        source=_section(text, "Source"),
        departures=tuple(_items(text)),
        part=part,
        unread=tuple(_literal(tree, "unread", ())),
        unlabelled=bool(_literal(tree, "unlabelled", False)),
        unet_only=bool(_literal(tree, "unet_only", False)),
        frozen=bool(_literal(tree, "frozen", False)),
        by_partition=_literal(tree, "by_partition", None),
        diagnostics=_literal(tree, "diagnostics", {}),
        said=_options_said(tree),
        module=f"{package}.{path.stem}",
        path=path,
    )


def _section(text: str, name: str) -> str:
    """The paragraph that begins ``name: ``, on one line."""
    found = re.search(rf"^{name}: (.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def _items(text: str) -> Iterable[str]:
    """The items of the list under ``Departures:``."""
    found = re.search(r"^Departures:\n(.*?)(?=\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    lines = re.split(r"^\s*- ", found[1], flags=re.MULTILINE) if found else []
    return [" ".join(line.split()) for line in lines if line.strip()]


def _options_said(tree: ast.Module) -> dict[str, str]:
    """The list under ``Options`` in the docstring of a class, by option: ``views: D3, paper: ...; release: ...``."""
    docstrings = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    lists = [found[1] for text in docstrings if (found := re.search(r"^Options.*:\n((?:    .*\n?)+)", text, re.MULTILINE))]
    items = [item for text in lists for item in re.findall(r"^    (\w[\w, ]*): ((?:.|\n {5,})*)", text, re.MULTILINE)]
    return {name: " ".join(said.split()) for names, said in items for name in names.split(", ")}


def _literal(tree: ast.Module, name: str, default: Any) -> Any:
    """What a class of the file assigns to ``name`` in its body, a literal; the default where none does."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.ClassDef):
            continue
        for statement in node.body:
            target, value = (
                (statement.target, statement.value) if isinstance(statement, ast.AnnAssign)
                else (statement.targets[0], statement.value) if isinstance(statement, ast.Assign) else (None, None)
            )  # fmt: skip
            if isinstance(target, ast.Name) and target.id == name and value is not None:
                return ast.literal_eval(value)
    return default
