"""All that changed between two reports: what is compared, means, verdicts, settings and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from glocalseg.evaluation.statistics.arrays import RUN
from glocalseg.plan.phases import PHASES
from glocalseg.report.joined.change import CELL, Change, changes
from glocalseg.report.joined.fitting import differences, flat
from glocalseg.report.joined.side import ROW, Side
from glocalseg.report.tables.long.rows import SCORES

AXES = {"dataset": "data sets", "method": "methods", "budget": "numbers of labelled volumes", "structure": "structures",
        "metric": "metrics", "subject": "test subjects", "repeat": "repeats"}  # fmt: skip
MEASURED = (AXES["structure"], AXES["metric"])  # without one of these, less is said than before
Words = tuple[str, ...]


@dataclass(frozen=True)
class Difference:
    """What changed from ``first`` to ``second``.

    ``equal``: all scores are the same bytes. ``levels`` has what is only in one: what of, its names, whether added; ``added``
    and ``gone`` are cells (data set, method, budget). ``runs`` are in both, ``rescored`` of them have other scores. ``means``
    are those that both have, ``verdicts`` those that changed (comparison, before, after). ``settings``: path, before, after.
    ``facts`` are further lines. ``confidence`` is that of each family of intervals.
    """

    first: str
    second: str
    equal: bool
    levels: tuple[tuple[str, Words, bool], ...]
    added: tuple[Words, ...]
    gone: tuple[Words, ...]
    runs: int
    rescored: int
    means: tuple[Change, ...]
    verdicts: tuple[tuple[Words, str, str], ...]
    settings: tuple[tuple[str, str, str], ...]
    facts: tuple[str, ...]
    confidence: float

    @property
    def changed(self) -> tuple[Change, ...]:
        """The means that are other ones."""
        return tuple(c for c in self.means if c.changed)

    @property
    def beyond(self) -> tuple[Change, ...]:
        """The changes that are not within noise, or of which nobody can tell."""
        return tuple(c for c in self.changed if c.within is not True)

    @property
    def within_noise(self) -> bool:
        """Whether both say the same as far as can be told: the same cells, structures and metrics, and no change beyond noise."""
        measured = any(what in MEASURED for what, _, _ in self.levels)
        return not (self.added or self.gone or self.beyond or measured)


def difference(first: Side, second: Side) -> Difference:
    """What changed between two reports."""
    confidence = min(first.statistics.confidence, second.statistics.confidence)
    cells = [list(dict.fromkeys(map(tuple, side.scores[CELL].to_numpy().tolist()))) for side in (first, second)]
    runs, rescored = _runs(first.scores, second.scores)
    return Difference(
        first=first.name,
        second=second.name,
        equal=first.files.get(SCORES) == second.files.get(SCORES),
        levels=tuple(_levels(first.scores, second.scores)),
        added=tuple(c for c in cells[1] if c not in cells[0]),
        gone=tuple(c for c in cells[0] if c not in cells[1]),
        runs=runs,
        rescored=rescored,
        means=tuple(changes(first, second, confidence)),
        verdicts=tuple(_verdicts(first.verdicts, second.verdicts)),
        settings=tuple(_settings(first.spec, second.spec)),
        facts=tuple(_facts(first, second)),
        confidence=confidence,
    )


def _levels(first: pd.DataFrame, second: pd.DataFrame) -> Iterator[tuple[str, Words, bool]]:
    for column, what in AXES.items():
        sides = [list(dict.fromkeys(side[column])) for side in (first, second)]
        for own, other, is_added in ((sides[1], sides[0], True), (sides[0], sides[1], False)):
            if names := tuple(name for name in own if name not in set(other)):
                yield what, names, is_added


def _runs(first: pd.DataFrame, second: pd.DataFrame) -> tuple[int, int]:
    """How many runs are in both, and how many of these have other scores."""
    sides = [side.set_index(ROW)["value"].rename(name) for name, side in (("first", first), ("second", second))]
    common = set(map(tuple, first[RUN].to_numpy())) & set(map(tuple, second[RUN].to_numpy()))
    both = pd.concat(sides, axis=1, join="outer")
    same = (both["first"] == both["second"]) | both.isna().all(axis=1)
    other = set(both.index[~same].droplevel(list(range(len(RUN), len(ROW)))))
    return len(common), len(common & other)


def _verdicts(first: Mapping[Words, str], second: Mapping[Words, str]) -> Iterator[tuple[Words, str, str]]:
    for key in dict.fromkeys((*first, *second)):
        before, after = first.get(key, "not compared"), second.get(key, "not compared")
        if before != after:
            yield key, before or "no verdict", after or "no verdict"


def _settings(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> Iterator[tuple[str, str, str]]:
    """What the benchmark and the cards say otherwise, and the code of the report."""
    if first is None or second is None:
        return
    shared = [[set(side) for side in (_methods(spec), spec.get("cards") or {})] for spec in (first, second)]
    common = [a & b for a, b in zip(*shared, strict=True)]
    yield from differences(*(_flat_spec(spec, *common) for spec in (first, second)))


def _flat_spec(spec: Mapping[str, Any], methods: set[str], cards: set[str]) -> dict[str, Any]:
    """The settings by path; of methods and data sets that only one report has, that they are there is said elsewhere."""
    own = {name: m for name, m in _methods(spec).items() if name in methods}
    of_cards = {f"card of {name}": card for name, card in (spec.get("cards") or {}).items() if name in cards}
    rest = {k: v for k, v in (spec.get("benchmark") or {}).items() if k not in ("methods", "datasets")}
    return {**flat(rest), **flat(own, "methods"), **flat(of_cards), "code of the report": spec.get("code")}


def _methods(spec: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {_id(method): method for method in (spec.get("benchmark") or {}).get("methods", ())}


def _id(method: Mapping[str, Any]) -> str:
    parts = [method.get("global"), method.get("local"), method.get("regime")]
    return str(method.get("name") or "+".join(str(part) for part in parts if part))


def _facts(first: Side, second: Side) -> Iterator[str]:
    yield _bytes(first.files, second.files)
    for side in (first, second):
        if side.missing:
            yield f"{side.name} lacks {len(side.missing)} runs that were planned."
    unknown = [side.name for side in (first, second) if side.spec is None]
    if unknown:
        yield f"No record lies beside {' and '.join(unknown)}: settings, keys and commits are not compared."
        return
    assert first.spec is not None
    assert second.spec is not None
    yield from _keys(first.spec.get("runs", ()), second.spec.get("runs", ()))
    if first.commits != second.commits:
        yield f"Commits of the runs: {_counted(first.commits)} before, {_counted(second.commits)} after."
    elif first.commits:
        yield f"Commits of the runs: {_counted(first.commits)}, the same."


def _bytes(first: Mapping[str, str], second: Mapping[str, str]) -> str:
    common = [path for path in first if path in second]
    other = [path for path in common if first[path] != second[path]]
    only = len({*first, *second}) - len(common)
    if not other and not only:
        return f"All {len(common)} files are equal, byte for byte."
    said = f"{len(common) - len(other)} of {len(common)} files of both are equal, byte for byte"
    return f"{said}; {only} are in one of the two alone." if only else f"{said}."


def _keys(first: Iterable[str], second: Iterable[str]) -> Iterator[str]:
    """By phase: how many runs have other keys, for runs of one place in the paths."""
    sides = [_by_place(runs) for runs in (first, second)]
    if sides[0] == sides[1]:
        yield f"Keys of the runs: all {sum(map(len, sides[0].values()))} are the same."
        return
    other = Counter[str]()
    for place in sides[0].keys() & sides[1].keys():
        other[_phase(place)] += len(sides[1][place] - sides[0][place])
    gone, added = (sum(len(a[p]) for p in a.keys() - b.keys()) for a, b in (sides, sides[::-1]))
    parts = [f"{n} of {name}" for name, n in sorted(other.items()) if n]
    said = [
        f"other keys: {', '.join(parts)}" if parts else "",
        f"{gone} gone" if gone else "",
        f"{added} added" if added else "",
    ]
    yield f"Keys of the runs: {'; '.join(text for text in said if text)}."


def _by_place(runs: Iterable[str]) -> dict[Path, set[str]]:
    found: dict[Path, set[str]] = {}
    for run in map(Path, runs):
        found.setdefault(run.parent.parent, set()).add(run.parent.name)
    return found


def _phase(place: Path) -> str:
    titles = {phase.folder: phase.title.lower() for phase in PHASES.values()}
    return next((title for folder, title in titles.items() if place.is_relative_to(folder)), str(place))


def _counted(commits: Mapping[str, int] | None) -> str:
    return ", ".join(f"{commit[:10]} ({n})" for commit, n in commits.items()) if commits else "not known"
