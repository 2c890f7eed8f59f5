"""The lock file of a data set: what stands for the contents of each of its cases, and facts of them that a plan needs.

It lies beside the card and is kept in git: it is what tells the next person that their files are these. A data set's identity,
which is in the keys of all that is made of it, is the digest of the contents: who is shown, image and label of every case, as
they are used. How the files are wrapped, where they lie and what else lies there is no part of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glocalseg.config.model import ConfigError
from glocalseg.data.readers.base import Case, Problem
from glocalseg.records.digest import digest
from glocalseg.records.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd

    from glocalseg.data.cards.reading import Preparation, Reading

Contents = Mapping[str, tuple[str, str, str | None]]  # subject, digest of the image, digest of the label, by volume
MOST = 2**40  # of voxels, and of whatever is counted
SHOWN = 200  # letters of another error in a message
EXPECTED = "JSON with 'reading' and 'cases', as verification writes it"


@dataclass(frozen=True)
class LockedCase:
    """One case: who is shown, what stands for image and label, and facts.

    Args:
        subject: whom it shows.
        image: digest of the image's content.
        label: digest of the label's; None without one.
        shape: (X, Y, Z) as stored.
        spacing: mm, in that order.
        orientation: axis codes of the stored grid, ``LPS``.
        values: voxels by label value, 0 left out.
    """

    subject: str
    image: str
    label: str | None
    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    orientation: str
    values: Mapping[int, int] = field(default_factory=dict)

    @property
    def content(self) -> tuple[str, str, str | None]:
        """What of it is in the identity: subject, image, label."""
        return self.subject, self.image, self.label

    def slices(self, axis: str) -> int:
        """How many slices it has along an axis, named by the direction towards which they are counted."""
        return self.shape[next(i for i, code in enumerate(self.orientation) if {code, axis} in LINES)]


LINES = ({"R", "L"}, {"A", "P"}, {"S", "I"}, {"R"}, {"L"}, {"A"}, {"P"}, {"S"}, {"I"})


@dataclass(frozen=True)
class Lock:
    """A lock file: how the data was read, and its cases by volume."""

    reading: Mapping[str, Any]
    cases: Mapping[str, LockedCase]

    @cached_property
    def identity(self) -> str:
        """What stands for the data set in keys."""
        return identity_of({volume: case.content for volume, case in self.cases.items()})


def identity_of(contents: Contents) -> str:
    """The digest of subject, image and label of every case by volume."""
    return digest({volume: list(contents[volume]) for volume in sorted(contents)})


def how_read(reading: Reading) -> dict[str, Any]:
    """What of a reading a lock file remembers: all but what it names otherwise, or what only says that files are not used."""
    raw = reading.model_dump(mode="json", exclude_defaults=True)  # a new option makes no lock file another reading's
    raw.pop("ignore", None)
    raw["subject"].pop("rows", None)
    return raw


def read_lock(path: Path) -> Lock | None:
    """A lock file, None where there is none. Raises ConfigError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        cases = {volume: _locked_case(volume, case) for volume, case in raw["cases"].items()}
        return Lock(dict(raw["reading"]), cases)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{path}: expected {EXPECTED}, found {type(error).__name__}: {str(error)[:SHOWN]}") from None


def _locked_case(volume: str, raw: Mapping[str, Any]) -> LockedCase:
    """A case as a lock file has it. Raises ValueError, or what its parts raise where they are something else."""
    label, shape, spacing, orientation, values = (raw[k] for k in ("label", "shape", "spacing", "orientation", "values"))
    right = {
        "subject": isinstance(raw["subject"], str),
        "image": isinstance(raw["image"], str),
        "label": label is None or isinstance(label, str),
        "shape": len(shape) == 3 and all(type(n) is int and 0 < n < MOST for n in shape),
        "spacing": len(spacing) == 3 and all(type(n) in (int, float) and 0 < n < MOST for n in spacing),
        "orientation": len(orientation) == 3 and all(any(code in line for code in orientation) for line in LINES[:3]),
        "values": all(type(n) is int and 0 < n < MOST for n in values.values()),
    }
    if wrong := [name for name, is_right in right.items() if not is_right]:
        raise ValueError(f"case {volume!r}: {wrong[0]}: {raw[wrong[0]]!r}")
    x, y, z = shape
    a, b, c = map(float, spacing)
    counts = {int(value): n for value, n in values.items()}
    return LockedCase(raw["subject"], raw["image"], label, (x, y, z), (a, b, c), "".join(orientation), counts)


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file, a case a line."""
    cases = ",\n".join(f"  {_json(volume)}: {_json(asdict(lock.cases[volume]))}" for volume in sorted(lock.cases))
    write_atomic(path, f'{{\n "reading": {_json(lock.reading)},\n "cases": {{\n{cases}\n }}\n}}\n'.encode())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def locked(path: Path, reading: Reading) -> Lock | None:
    """The lock file, if it is of this way of reading the data; None otherwise. Raises ConfigError."""
    lock = read_lock(path)
    return lock if lock is not None and lock.reading == how_read(reading) else None


def facts_of(cases: Mapping[str, LockedCase], preparation: Preparation) -> pd.DataFrame:
    """One row a volume, sorted: volume, subject, labelled, slices, and voxels of each class as ``voxels_<class>``."""
    import pandas as pd

    of = preparation.label_values or {number: number for number in preparation.structures}
    rows = []
    for volume in sorted(cases):
        case = cases[volume]
        voxels = dict.fromkeys(preparation.structures, 0)
        for value, n in case.values.items():
            if of.get(value, 0):
                voxels[of[value]] += n
        rows.append(
            {
                "volume": volume,
                "subject": case.subject,
                "labelled": case.label is not None,
                "slices": case.slices(preparation.slice_axis),
                **{f"voxels_{number}": n for number, n in voxels.items()},
            }
        )
    return pd.DataFrame(rows)


# ---------------------------------------------------------------- comparing


def check_cases(cases: Iterable[Case], known: Contents, what: str) -> list[Problem]:
    """A problem for every volume that is new, gone, shows somebody else, or has got or lost its label; no file is opened.

    Args:
        cases: as they are found now.
        known: subject, image and label by volume.
        what: names what knows them, and says what to do.
    """
    found = {case.volume: case for case in cases}
    problems = [
        Problem(volume, f"a volume of that name, as in {what}", "none") for volume in sorted(set(known) - set(found))
    ]
    for volume, case in sorted(found.items()):
        if volume not in known:
            problems.append(Problem(str(case.image), f"only the volumes of {what}", "one more"))
            continue
        subject, _, label = known[volume]
        if case.subject != subject:
            problems.append(Problem(volume, f"subject {subject!r}, as in {what}", repr(case.subject)))
        if (case.label is None) != (label is None):
            state = ("a label", "none") if case.label is None else ("no label", str(case.label))
            problems.append(Problem(volume, f"{state[0]}, as in {what}", state[1]))
    return problems


def check_subjects(lock: Lock, rows: Mapping[str, str], what: str) -> list[Problem]:
    """A problem for every volume of a lock file of which the table beside the card says another subject; no data is needed."""
    return [
        Problem(volume, f"subject {case.subject!r}, as in {what}", repr(rows[volume]))
        for volume, case in sorted(lock.cases.items())
        if rows.get(volume, case.subject) != case.subject
    ]


def check_contents(
    cases: Iterable[Case], found: Mapping[str, tuple[str | None, str | None]], known: Contents, what: str
) -> list[Problem]:
    """A problem for every image and label that is not the one that is known; those that could not be read are left out.

    Args:
        cases: the cases.
        found: digests of image and label by volume; None for what was not read.
        known, what: as ``check_cases``.
    """
    problems = []
    for case in cases:
        if case.volume not in known or case.volume not in found:
            continue
        for path, now, then in zip((case.image, case.label), found[case.volume], known[case.volume][1:], strict=True):
            if path is not None and now is not None and then is not None and now != then:
                problems.append(Problem(str(path), f"the contents of {what}", "others"))
    return problems


def advice(lock: Path) -> str:
    """A lock file, and what to do if its data is meant to have changed."""
    return f"{lock.name} (if the data is meant to have changed: delete {lock})"
