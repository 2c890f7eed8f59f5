"""What lies below a data set's folder, and which of it no case uses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from glocalseg.data.files.names import (
    NIFTI,
    RESOURCES,
    hidden,
    holds_data,
    is_file,
    is_shadow,
    looks_like_data,
    what_is_there,
)


@dataclass
class Tree:
    """All below a folder, links followed: files, what is called like a volume and is no file, shadows, folders not read.

    ``resources`` are the files below each ``__MACOSX``, which macOS adds to archives.
    """

    files: list[Path] = field(default_factory=list)
    odd: list[Path] = field(default_factory=list)
    shadows: list[Path] = field(default_factory=list)
    resources: dict[Path, list[Path]] = field(default_factory=dict)
    unread: list[tuple[Path, str]] = field(default_factory=list)


@dataclass
class Unused:
    """Files that look like data and that no case uses; ``beside`` and ``odd`` lie in folders from which cases come."""

    beside: list[Path] = field(default_factory=list)
    odd: list[tuple[Path, str]] = field(default_factory=list)
    elsewhere: dict[Path, list[Path]] = field(default_factory=dict)
    left: list[Path] = field(default_factory=list)
    shadows: list[Path] = field(default_factory=list)
    resources: dict[Path, list[Path]] = field(default_factory=dict)
    unread: list[tuple[Path, str]] = field(default_factory=list)


def look(root: Path) -> Tree:
    """Everything below a folder, in order of names; a folder that is linked to twice is met once."""
    tree, seen = Tree(), set()
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        try:
            status = folder.stat()
            names = sorted(os.listdir(folder))
        except OSError as error:
            tree.unread.append((folder, error.strerror or str(error)))
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        inner = []
        for name in names:
            path = folder / name
            if name == RESOURCES and os.path.isdir(path):
                tree.resources[path] = _files(path)
            elif hidden(name):
                if is_shadow(name):
                    tree.shadows.append(path)
            elif is_file(path):
                tree.files.append(path)
            else:
                if os.path.isdir(path):
                    inner.append(path)
                if name.lower().endswith(NIFTI) or (not os.path.isdir(path) and looks_like_data(name)):
                    tree.odd.append(path)
        waiting += reversed(inner)
    return tree


def sweep(
    root: Path,
    *,
    used: Iterable[Path],
    folders: Iterable[Path],
    left: Iterable[Path],
    ignored: Callable[[Path], bool],
) -> Unused:
    """What looks like data and is not used.

    Args:
        root: the data's folder.
        used: files of cases.
        folders: those from which cases come.
        left: files that are known and left on purpose.
        ignored: whether the card leaves a path out.
    """
    real = _Real()
    known, leaving, near = {real.of(p) for p in used}, {real.of(p) for p in left}, {real.folder(p) for p in folders}
    tree = look(root)
    found = Unused(
        shadows=[p for p in tree.shadows if not ignored(p)],
        resources={folder: files for folder, files in tree.resources.items() if not ignored(folder)},
        unread=tree.unread,
    )
    for path in _data(tree.files):
        if real.of(path) in known or ignored(path):
            continue
        if real.of(path) in leaving:
            found.left.append(path)
        elif real.folder(path.parent) in near:
            found.beside.append(path)
        else:
            found.elsewhere.setdefault(path.parent, []).append(path)
    for path in tree.odd:
        if real.of(path) in known or ignored(path):  # a listed file that is none is named by whoever lists it
            continue
        if real.folder(path.parent) in near:
            found.odd.append((path, what_is_there(path)))
        else:
            found.elsewhere.setdefault(path.parent, []).append(path)
    return found


def _files(folder: Path) -> list[Path]:
    """All files below a folder, in order of names; a folder that is linked to is left out."""
    return sorted(Path(top) / name for top, _, names in os.walk(folder) for name in names)


def _data(files: list[Path]) -> Iterator[Path]:
    return (path for path in files if looks_like_data(path.name) or holds_data(path))


class _Real:
    """Paths by their real folder, so that a link to a folder and the folder are one."""

    def __init__(self) -> None:
        self._folders: dict[Path, str] = {}

    def folder(self, folder: Path) -> str:
        """A folder, links followed."""
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return self._folders[folder]

    def of(self, path: Path) -> tuple[str, str]:
        """A file: its real folder and its name."""
        return self.folder(path.parent), path.name
