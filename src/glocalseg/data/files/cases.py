"""The cases of a data set: what its reader finds, looked at as a whole, and every file that looks like data and is not used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from glocalseg.data.files.names import NIFTI, folded, is_file, left_out, looks_like_data, name_problem
from glocalseg.data.files.unused import Unused, sweep
from glocalseg.data.readers.base import Case, Note, Problem, ReaderError, Said, Scan, SubjectNames

if TYPE_CHECKING:
    from glocalseg.data.cards.reading import Reading

NAMED = 20  # unused files of one folder that get a line each
FEW = 5  # volumes without a label that a note names
FOLDERS = 10  # folders from which no case comes that get a line each
USED = "a file that a case uses (those that none is to use are named by the card's ignore)"


def scan_cases(reading: Reading, root: Path) -> Scan:
    """The cases of a data set as its reader finds them, sorted by volume, with all problems and notes.

    Cases without a label are left out, and noted, unless ``labels: some`` has them.
    """
    if not root.is_dir():
        return Scan(problems=[Problem(str(root), "the data's folder", "a file" if root.exists() else "no such folder")])
    subjects, ignored = SubjectNames(reading.subject, root), left_out(root, reading.ignore)
    scan = reading.reader.scan(root, subjects)
    there, named = _not_ignored(scan.cases, ignored)
    named |= {*scan.named, *_files(there)}
    cases = sorted(there, key=lambda c: (c.volume, str(c.image), str(c.label)))
    notes = list(scan.notes)
    if reading.labels == "some":
        cases = [c if c.label is None or is_file(c.label) else replace(c, label=None) for c in cases]
    else:
        notes += _without_label(cases)
        cases = [c for c in cases if c.label is not None]
    unused = sweep(root, used=named, folders={p.parent for p in _files(cases)}, left=scan.left, ignored=ignored)
    problems = [p for p in scan.problems if not ignored(Path(p.file))]
    problems += _channel(reading, scan.said)
    problems += subjects.problems_of(c.volume for c in cases)
    problems += [*_names(cases), *_twice(cases), *_shared(cases), *_unused(unused, reading.reader.kind)]
    notes += [*_told(unused, root, reading.reader.kind), *subjects.notes(), *_alike(cases)]
    cases = list({folded(c.volume): c for c in reversed(cases) if not name_problem(c.volume)}.values())[::-1]
    if not cases and not problems:
        problems = [Problem(str(root), f"cases in the layout of reader {reading.reader.kind!r}", "none")]
    return replace(scan, cases=cases, problems=problems, notes=notes)


def require_cases(reading: Reading, root: Path) -> list[Case]:
    """The cases of a data set, sorted by volume.

    Raises:
        ReaderError: if the layout is not the reader's, or a volume's subject cannot be told: all problems at once.
    """
    scan = scan_cases(reading, root)
    if scan.problems:
        raise ReaderError(scan.problems)
    return scan.cases


def _files(cases: list[Case]) -> set[Path]:
    """The files of cases, those that are there."""
    return {path for c in cases for path in (c.image, c.label) if path is not None and is_file(path)}


def _not_ignored(cases: list[Case], ignored: Callable[[Path], bool]) -> tuple[list[Case], set[Path]]:
    """Cases without the files that the card leaves out, and labels of which only the image was left out."""
    kept = [c for c in cases if not ignored(c.image)]
    whole = [c for c in kept if c.label is None or not ignored(c.label)]
    volumes = {c.volume for c in whole}
    bare = {c.volume: c for c in kept if c.volume not in volumes and is_file(c.image)}
    used = {c.label for c in whole}
    return [*whole, *(replace(c, label=None) for c in bare.values())], {
        c.label for c in cases if c.label and c.label not in used
    }


def _channel(reading: Reading, said: Said | None) -> Iterator[Problem]:
    if said is not None and said.channels is not None and reading.channel >= len(said.channels):
        expected = f"channel {reading.channel}, which the card asks for (counted from 0)"
        yield Problem(str(said.file), expected, f"{len(said.channels)}: {', '.join(said.channels)}")


# ---------------------------------------------------------------- names


def _names(cases: list[Case]) -> Iterator[Problem]:
    """Names of volumes and subjects that cannot be used."""
    for case in {c.volume: c for c in cases}.values():
        for what, name in (("volume", case.volume), ("subject", case.subject)):
            if name and (problem := name_problem(name)):
                yield Problem(str(case.image), f"{problem[0]}, as its {what} is to have one", problem[1])


def _twice(cases: list[Case]) -> Iterator[Problem]:
    """A problem for every further file of a case: which of them is meant nobody can tell."""
    alike: dict[str, list[Case]] = {}
    for case in cases:
        alike.setdefault(folded(case.volume), []).append(case)
    for same in alike.values():
        for what in ("image", "label"):
            first, *more = dict.fromkeys(getattr(c, what) for c in same)
            for path in more:
                found = "a second one" if len({c.volume for c in same}) == 1 else "a name that differs in letter case alone"
                where = next(p for p in (path, first) if p is not None)
                yield Problem(str(where), f"each case once, one {what} of {same[0].volume!r} (also {first})", found)


def _shared(cases: list[Case]) -> Iterator[Problem]:
    """A problem for every file that two cases have."""
    owners: dict[Path, str] = {}
    for case in cases:
        for path in dict.fromkeys((case.image, case.label)):
            if path is not None and owners.setdefault(path, case.volume) != case.volume:
                yield Problem(str(path), f"a file of one case ({owners[path]!r})", f"it in another ({case.volume!r})")
        if case.image == case.label:
            yield Problem(str(case.image), "an image and a label", "one file for both")


def _alike(cases: list[Case]) -> Iterator[Note]:
    """Subjects whose names differ in letter case alone: two people, or one in two lists?"""
    alike: dict[str, dict[str, Case]] = {}
    for case in cases:
        alike.setdefault(folded(case.subject), {}).setdefault(case.subject, case)
    for same in alike.values():
        if len(same) > 1:
            yield Note(str(next(iter(same.values())).image), f"{' and '.join(map(repr, same))} are taken for two subjects")


# ---------------------------------------------------------------- files that are not used


def _without_label(cases: list[Case]) -> Iterator[Note]:
    bare = [c.image for c in cases if c.label is None and is_file(c.image)]
    for folder in dict.fromkeys(path.parent for path in bare):
        names = [path.name for path in bare if path.parent == folder]
        said = f"{len(names)} volumes without a label are" if len(names) > 1 else "one volume without a label is"
        some = ", ".join(names[:FEW]) + (", ..." if len(names) > FEW else "")
        yield Note(str(folder), f"{said} not used ('labels: some' uses them): {some}")


def _unused(unused: Unused, kind: str) -> Iterator[Problem]:
    """A problem for every unused file where files of cases lie."""
    for folder in dict.fromkeys(path.parent for path in unused.beside):
        files = [path for path in unused.beside if path.parent == folder]
        for path in files[:NAMED]:
            none = f"one that none does by reader {kind!r}"
            found = none if path.name.lower().endswith(NIFTI) else "one that is not called .nii.gz or .nii"
            yield Problem(str(path), USED, found)
        if len(files) > NAMED:
            yield Problem(
                str(folder), f"files that cases use, beside those {NAMED}", f"{len(files) - NAMED} more that none does"
            )
    for path, found in unused.odd:
        yield Problem(str(path), "a file, by its name (card: ignore)", found)
    for path, found in unused.unread:
        yield Problem(str(path), "a folder that can be read", found)


def _told(unused: Unused, root: Path, kind: str) -> Iterator[Note]:
    """Notes of unused files elsewhere."""
    for files in list(unused.elsewhere.values())[:FOLDERS]:
        yield Note(str(files[0].parent), _count(files, "that no case uses"))
    if more := [path for files in list(unused.elsewhere.values())[FOLDERS:] for path in files]:
        yield Note(str(root), _count(more, f"that no case uses, in {len(unused.elsewhere) - FOLDERS} more folders"))
    if unused.left:
        yield Note(str(root), _count(unused.left, f"that reader {kind!r} knows and leaves"))
    yield from _resources(unused.resources)
    if unused.shadows:
        yield Note(
            str(root),
            _count(
                unused.shadows, "that are hidden are not used" if len(unused.shadows) > 1 else "that is hidden is not used"
            ),
        )


def _resources(folders: Mapping[Path, list[Path]]) -> Iterator[Note]:
    """What macOS added to an archive, and what else was put there."""
    for folder, files in folders.items():
        count = f"{len(files)} file{'s' if len(files) != 1 else ''}"
        text = f"what macOS adds to archives, {count}, of which nothing is used"
        if data := [path for path in files if not path.name.startswith(".") and looks_like_data(path.name)]:
            text += f"; {_count(data, 'look like data all the same' if len(data) > 1 else 'looks like data all the same')}"
        yield Note(str(folder), text)


def _count(files: list[Path], what: str) -> str:
    return f"{len(files)} files {what}, such as {files[0].name}" if len(files) > 1 else f"one file {what}: {files[0].name}"
