"""Looking at every file of a data set before anything is computed from it: all problems at once, none by surprise later.

Each file is read once: what is checked goes to the network's frame at the same time, and lies as a *piece* beside the record
until the slice store is made of it.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glocalseg.data.acquire.examine.case import Examined, examine
from glocalseg.data.acquire.examine.summary import gather, summarise
from glocalseg.data.acquire.listed import compare_channels, compare_with_list
from glocalseg.data.acquire.lock.changes import stat
from glocalseg.data.acquire.lock.file import (
    Lock,
    LockedCase,
    advice,
    check_cases,
    check_contents,
    facts_of,
    how_read,
    identity_of,
    locked,
    write_lock,
)
from glocalseg.data.cards.card import Card
from glocalseg.data.files.cases import scan_cases
from glocalseg.data.readers.base import Case, Note, Problem
from glocalseg.data.slices.pieces import PIECES, write_piece
from glocalseg.data.splits.given import listed_subjects
from glocalseg.records.digest import sha256_file
from glocalseg.records.progress import Progress
from glocalseg.records.sealed import write_record

if TYPE_CHECKING:
    import pandas as pd

RECORD = "verified.json"


class VerifyError(RuntimeError):
    """A data set that is not what its card says: holds every problem, one line each.

    Args:
        asked: what a benchmark asks of the data besides and does not get, a line each.
    """

    def __init__(self, card: Card, problems: list[Problem], asked: Sequence[str] = ()) -> None:
        self.problems = problems
        told = [*map(str, problems), *asked]
        lines = "\n".join(f"  {line}" for line in told)
        super().__init__(f"{card.name}: {len(told)} problem{'s' if len(told) > 1 else ''}\n{lines}")


@dataclass(frozen=True)
class Verified:
    """What was found of a data set. ``examined`` is without the prepared arrays; ``losses`` are in the record.

    Args:
        stats: size and date of every file, from before it was read.
        complete: whether ``examined`` are the cases of the data set, whatever may be wrong with their files.
    """

    card: Card
    examined: list[Examined]
    problems: list[Problem]
    notes: list[Note]
    stats: dict[str, list[int]]
    complete: bool

    @property
    def cases(self) -> dict[str, LockedCase]:
        """Every case that could be read, as a lock file has it."""
        found = {}
        for e in self.examined:
            if e.facts is not None and e.image is not None and (e.label is not None or e.case.label is None):
                facts = (e.facts.shape, e.facts.spacing, e.facts.orientation, e.facts.values)
                found[e.case.volume] = LockedCase(e.case.subject, e.image, e.label, *facts)
        return found

    @property
    def facts(self) -> pd.DataFrame:
        """One row a volume: volume, subject, labelled, slices, voxels of each class; NaN for what problems leave unknown."""
        import pandas as pd

        sound = {e.case.volume for e in self.examined if not e.problems}
        table = facts_of({v: case for v, case in self.cases.items() if v in sound}, self.card.preparation)
        others = [
            {"volume": e.case.volume, "subject": e.case.subject, "labelled": e.case.label is not None}
            | {"slices": math.nan if e.slices is None else e.slices}
            | ({} if e.case.label is not None else {f"voxels_{number}": 0 for number in self.card.structures})
            for e in self.examined
            if e.case.volume not in set(table.get("volume", ()))
        ]
        if not others:
            return table
        columns = ["volume", "subject", "labelled", "slices", *(f"voxels_{number}" for number in self.card.structures)]
        rows = [*table.to_dict("records"), *others]
        return pd.DataFrame(rows, columns=columns).sort_values("volume", ignore_index=True)


def verify(card: Card, root: Path, *, lock: Path | None = None, pieces: Path | None = None, workers: int = 1) -> Verified:
    """Look at every case of a data set; its problems are empty if it is what its card says.

    Args:
        root: the folder that ``fetch.dataset_root`` gives.
        lock: ``config/datasets/<dataset>.lock.json``; what was verified before, if it is there and was read in the same way.
        pieces: folder for what goes to the frame; None: it is dropped.
        workers: processes; the result does not depend on it.
    """
    scan = scan_cases(card.reading, root)
    files = [path for case in scan.cases for path in (case.image, case.label) if path is not None]
    stats = {str(path): stat(path) for path in files}  # before they are read: what is written meanwhile is then another file
    examined = list(_examine_all(card, scan.cases, pieces, workers))
    counts = list(_counts(card, root, scan.cases)) if scan.cases else []
    problems = [*scan.problems, *(p for e in examined for p in e.problems), *counts]
    problems += [
        Problem(str(path), "a file that stays as it is while it is verified", "one that was changed or replaced meanwhile")
        for path in files
        if stat(path) != stats[str(path)]
    ]
    channels = {e.case.image: e.channels for e in examined if e.image is not None}
    listed, taken = compare_with_list(card, scan.said), compare_channels(card, scan.said, channels)
    problems += [*listed[0], *taken[0]]
    notes = [*scan.notes, *listed[1], *taken[1], *(n for e in examined for n in e.notes)]
    if scan.cases:
        more = summarise(card, examined)
        problems, notes = [*problems, *more[0]], [*notes, *more[1]]
    strangers: list[Problem] = []
    before = locked(lock, card.reading) if lock is not None else None
    if before is not None and lock is not None:
        known, what = {v: c.content for v, c in before.cases.items()}, advice(lock)
        strangers = check_cases(scan.cases, known, what)
        problems += strangers
        problems += check_contents(scan.cases, {e.case.volume: (e.image, e.label) for e in examined}, known, what)
    complete = not scan.problems and not counts and not strangers
    return Verified(card, examined, problems, gather(notes), stats, complete)


def accept(verified: Verified, *, record: Path, lock: Path | None, code: str) -> None:
    """Write what was verified: the lock file, where there is none of this reading, and then the record.

    Args:
        record: ``data/raw/<dataset>/<origin>/<check>/verified.json``, written last.
        lock: as ``verify``; None for data whose identity does not come from it.
        code: what stands for the code that made the pieces.

    Raises:
        VerifyError: with all problems.
    """
    card = verified.card
    if verified.problems:
        raise VerifyError(card, verified.problems)
    found = Lock(how_read(card.reading), verified.cases)
    if lock is not None and locked(lock, card.reading) is None:
        write_lock(lock, found)
    contents = {volume: case.content for volume, case in found.cases.items()}
    payload = {
        "dataset": card.name,
        "identity": identity_of(contents),
        "subjects": len({case.subject for case in found.cases.values()}),
        "volumes": len(contents),
        "labelled": sum(case.label is not None for case in found.cases.values()),
        "notes": [str(note) for note in verified.notes],
        "losses": _losses(verified.examined),
        "contents": {volume: list(content) for volume, content in contents.items()},
        "stats": verified.stats,
        "code": code,
        "pieces": _pieces(record.parent / PIECES),
        "files": {},
    }
    write_record(record, payload)


def _losses(examined: list[Examined]) -> dict[str, dict[str, float]]:
    """Area in mm2 of each structure, over all volumes: as it is, after resampling, in the frame."""
    totals: dict[str, dict[str, float]] = {}
    for e in examined:
        for name, loss in e.losses.items():
            total = totals.setdefault(name, {"native": 0.0, "resampled": 0.0, "framed": 0.0})
            for part in total:
                total[part] += getattr(loss, part)
    return {name: {part: round(value, 3) for part, value in total.items()} for name, total in totals.items()}


def _pieces(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in sorted(folder.glob("*.npz"))} if folder.is_dir() else {}


def _counts(card: Card, root: Path, cases: list[Case]) -> Iterator[Problem]:
    found = {case.subject for case in cases} - {""}
    if len(found) != card.subjects:
        yield Problem(str(root), f"{card.subjects} subjects, as the card says", f"{len(found)}")
    if card.volumes is not None and len(cases) != card.volumes:
        yield Problem(str(root), f"{card.volumes} volumes, as the card says", f"{len(cases)}")
    if missing := sorted(listed_subjects(card.splits) - found):
        yield Problem(str(root), "every subject of the card's split lists", f"none of {', '.join(missing)}")


def _examine_all(card: Card, cases: list[Case], pieces: Path | None, workers: int) -> Iterator[Examined]:
    if pieces is not None:
        pieces.mkdir(parents=True, exist_ok=True)
        for old in pieces.iterdir():
            old.unlink()
    work = partial(_examine, card.reading, card.preparation, pieces)
    with Progress(f"verifying {card.name}", len(cases), "volumes") as progress:
        if workers <= 1:
            yield from _counted(map(work, cases), progress)
            return
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
            yield from _counted(pool.map(work, cases, chunksize=4), progress)


def _examine(reading: Any, preparation: Any, pieces: Path | None, case: Case) -> Examined:
    """One case, its piece written, without the arrays."""
    found = examine(reading, preparation, case)
    if pieces is not None and found.prepared is not None and not found.problems:
        write_piece(pieces, found.prepared)
    return replace(found, prepared=None)


def _counted(results: Iterator[Examined], progress: Progress) -> Iterator[Examined]:
    for result in results:
        progress.add()
        yield result
