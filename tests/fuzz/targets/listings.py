"""Lists, tables and records of data sets through their readers: refused, or the cases that another look at the file gives."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from corruptions import Rng, corrupted, json_of, pick, spoiled_json, turned_over
from worker import WrongError

from glocalrun.data import current
from glocalseg.data.acquire.lock.file import facts_of, read_lock
from glocalseg.data.acquire.verify import accept, verify
from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import scan_cases
from glocalseg.data.files.table import read_table
from glocalseg.data.readers.base import ReaderError
from glocalseg.plan.make import verified_record
from targets.nifti import card, write_cases

CARD: dict[str, Any] = {"source": {"kind": "folder", "path": "cases"}}
TABLE = "volume\tsubject\n# a word\ncase_0\tanna\ncase_1\tbert\ncase_2\tc\n"
LINES = (  # that a table of subjects may have beside its own
    "\t", '"', "case_0\tdora", "\0", "x" * 200_000, "a\t" + "y" * 300, "case_1.nii.gz\tx\ty", "subject\tvolume", "  ", "#",
)  # fmt: skip
INFO = "ED: 1\nES: 12\nGroup: DCM\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"


@dataclass(frozen=True)
class Base:
    """A folder of three cases, verified: its lock file and its record."""

    folder: Path
    listing: dict[str, Any]
    lock: dict[str, Any]
    verified: dict[str, Any]


def prepare(folder: Path) -> Base:
    write_cases(folder / "cases")
    pairs = [{"image": f"./imagesTr/case_{i}.nii.gz", "label": f"./labelsTr/case_{i}.nii.gz"} for i in range(3)]
    listing = {
        "name": "Tiny", "modality": {"0": "MR"}, "labels": {"0": "background", "1": "one", "2": "two"},
        "numTraining": 3, "numTest": 0, "training": pairs, "test": [],
    }  # fmt: skip
    os.chdir(folder)
    used = card(**CARD)
    found = verify(used, Path("cases"))
    accept(found, record=folder / "verified.json", lock=folder / "tiny.lock.json", code="none")
    lock, verified = (
        json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("tiny.lock", "verified")
    )
    return Base(folder, listing, lock, verified)


def make(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    kind = pick(rng, (_listing, _listing, _table, _info, _lock, _lock, _verified, _verified))
    what, check = kind(rng, base, folder)
    return f"{kind.__name__[1:]}: {what}", check


def _listing(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """``dataset.json``."""
    root = folder / "cases"
    shutil.copytree(base.folder / "cases", root)
    what, data = spoiled_json(rng, base.listing)
    (root / "dataset.json").write_bytes(data)
    used = card(reader="msd", labels=pick(rng, ("all", "some")))

    def check() -> str:
        scan = scan_cases(used.reading, root)
        _readable([str(note) for note in scan.notes])
        if scan.problems:
            raise ReaderError(scan.problems)
        listed = json.loads(data.decode("utf-8-sig"))
        pairs = {_two(root, entry) for entry in listed["training"]}
        found = {(os.path.normpath(c.image), os.path.normpath(c.label)) for c in scan.cases if c.label is not None}
        if found != pairs:
            raise WrongError(f"cases {sorted(found)}, listed {sorted(pairs)}")
        return "as listed"

    return what, check


def _two(root: Path, entry: Any) -> tuple[str, str]:
    image, label = (entry[key][0] if isinstance(entry[key], list) else entry[key] for key in ("image", "label"))
    return os.path.normpath(root / image), os.path.normpath(root / label)


def _table(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """A table of subjects, beside the data."""
    root = folder / "cases"
    shutil.copytree(base.folder / "cases", root)
    text = TABLE
    for _ in range(int(rng.integers(3))):
        lines = text.split("\n")
        at = int(rng.integers(len(lines)))
        line = lines[at]
        change = pick(rng, (*LINES, f"{line}\tx", line.replace("\t", ","), f"{line}\r"))
        text = "\n".join([*lines[:at], change, *lines[at + int(rng.integers(2)) :]])
    what, data = (
        corrupted(rng, text.encode())
        if rng.random() < 0.4
        else ("lines", text.encode(pick(rng, ("utf-8", "utf-8", "utf-16", "utf-8-sig"))))
    )
    (root / "subjects.tsv").write_bytes(data)
    used = card(subject={"table": "subjects.tsv"})

    def check() -> str:
        scan = scan_cases(used.reading, root)
        _readable([str(note) for note in scan.notes])
        if scan.problems:
            raise ReaderError(scan.problems)
        table = read_table(root / "subjects.tsv")
        for case in scan.cases:
            if not case.subject or table[case.volume] != case.subject or case.subject not in data.decode("utf-8-sig"):
                raise WrongError(f"{case.volume} shows {case.subject!r}")
        return "as the table says"

    return what, check


def _info(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """``Info.cfg`` of ACDC."""
    root = folder / "cases"
    place = root / "patient001"
    place.mkdir(parents=True)
    for frame in ("01", "12"):
        for end, kind in (("", "imagesTr"), ("_gt", "labelsTr")):
            shutil.copy(base.folder / "cases" / kind / "case_0.nii.gz", place / f"patient001_frame{frame}{end}.nii.gz")
    text = INFO.replace(
        "ED: 1\n",
        pick(
            rng,
            ("ED: 1\n", "ED: 12\n", "ED: 99999999999\n", "ED: -1\n", "ED 1\n", "ED: 1\nED: 12\n", "ED: \u0661\n", "ed: 1\n"),
        ),
    )
    what, data = (
        corrupted(rng, text.encode())
        if rng.random() < 0.7
        else ("another frame", text.encode(pick(rng, ("utf-8", "utf-16"))))
    )
    (place / "Info.cfg").write_bytes(data)
    used = card(reader={"kind": "acdc", "phases": pick(rng, (["ED"], ["ED", "ES"]))}, subject={"pattern": r"^(patient\d+)"})

    def check() -> str:
        scan = scan_cases(used.reading, root)
        _readable([str(note) for note in scan.notes])
        if scan.problems:
            raise ReaderError(scan.problems)
        lines = [line.strip() for line in data.decode("utf-8-sig", "replace").splitlines()]
        for case in scan.cases:
            phase = case.volume.rpartition("_")[2]
            frame = int(case.image.name.removeprefix("patient001_frame").removesuffix(".nii.gz"))
            if not any(line.replace(" ", "") == f"{phase}:{frame}" for line in lines) and not any(
                f"{frame}" in line for line in lines
            ):
                raise WrongError(f"{case.volume} is frame {frame}, and no line says so")
        return "as the file says"

    return what, check


def _lock(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """A lock file, by itself and as the plan and the next call read it."""
    what, data = spoiled_json(rng, base.lock)
    return what, _current(base, folder, lock=data, verified=json_of(base.verified))


def _verified(rng: Rng, base: Base, folder: Path) -> tuple[str, Callable[[], str]]:
    """The record of a verification, or its seal of files, as the next call reads it."""
    if rng.random() < 0.2:
        what, tree = turned_over(rng, base.verified["contents"])
        data = json_of({**base.verified, "contents": tree})
    else:
        what, data = spoiled_json(rng, base.verified)
    return what, _current(base, folder, lock=json_of(base.lock), verified=data)


def _current(base: Base, folder: Path, *, lock: bytes, verified: bytes) -> Callable[[], str]:
    used: Card = card(**CARD)
    shutil.copytree(base.folder / "cases", folder / "cases")
    (folder / "tiny.lock.json").write_bytes(lock)

    def check() -> str:
        os.chdir(folder)
        current.CARDS = folder
        record = verified_record(used)
        record.parent.mkdir(parents=True)
        record.write_bytes(verified)
        for path in (*Path("cases/imagesTr").iterdir(), *Path("cases/labelsTr").iterdir()):
            if str(path) in base.verified["stats"]:
                os.utime(path, ns=(base.verified["stats"][str(path)][1],) * 2)
        read = read_lock(folder / "tiny.lock.json")
        assert read is not None
        table = facts_of(read.cases, used.preparation)
        current.require_current(used)
        current.forget_stale(used)
        return "nothing lost" if len(table) == len(read.cases) else "other rows"

    return check


def _readable(lines: list[str]) -> None:
    if bad := [line for line in lines if len(line) > 400 or not line.isprintable()]:
        raise WrongError(f"a note that nobody can read: {bad[0][:600]!r}")
