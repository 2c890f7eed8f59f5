"""Methods that change settings, each beside the method that it is a variant of, and what becomes of a number that is varied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.config.model import Model
from glocalseg.evaluation.statistics.intervals import Gain, gain_of
from glocalseg.methods.catalogue import regimes, strategies
from glocalseg.report.analysis.cells import Cell, Compared, DatasetAnalysis

POOL = "pool"


@dataclass(frozen=True)
class Variant:
    """A method that changes settings (``changes``, by dotted path) of another, its ``twin``, at a budget.

    ``usual`` holds the twin's values of the same settings. ``twin``, and ``gain`` over it, are None where the benchmark has no
    method that is the same but for them; ``compared`` is the declared comparison of the two, if there is one.
    """

    method: str
    changes: Mapping[str, Any]
    usual: Mapping[str, Any]
    twin: str | None
    budget: str
    gain: Gain | None
    compared: Compared | None


@dataclass(frozen=True)
class Series:
    """The rows that differ in the number of one setting alone, that of the ``twin`` among them where it has a number.

    ``points`` holds the cells by value, in order of values, at one budget.
    """

    twin: str
    setting: str
    budget: str
    points: Mapping[float, Cell]
    usual: float | None


def variants(a: DatasetAnalysis, b: Benchmark) -> list[Variant]:
    """Every method whose line of the configuration changes settings, at every budget at which it ran."""
    return [_variant(a, b, m, n) for m in b.methods if m.set_ for n in a.budgets if a.cell(m.id, n)]


def _variant(a: DatasetAnalysis, b: Benchmark, m: Method, budget: str) -> Variant:
    twin = next((o for o in b.methods if not o.set_ and not o.other_seeds and o.chain == m.chain), None)
    gain = compared = None
    if twin is not None and a.cell(twin.id, budget):
        gain = gain_of(a.scores(m.id, budget), a.scores(twin.id, budget), confidence=a.statistics.confidence)
        pair = (m.id, twin.id, budget)  # claims come before what is compared with random weights anyway
        compared = next((c for c in a.comparisons if (c.method, c.other, c.budget) == pair), None)
    usual = {path: value_of(b, path) for path in m.set_}
    return Variant(m.id, m.set_, usual, twin.id if twin else None, budget, gain, compared)


def value_of(b: Benchmark, path: str) -> Any:
    """The benchmark's own value of a setting, named by its dotted path; an option that it does not set has its default."""
    first, *rest = path.split(".")
    if first in ("strategies", "regimes") and len(rest) == 2:
        name, option = rest
        given: Mapping[str, Any] = getattr(b, first).get(name, {})
        if option in given:
            return given[option]
        entry = {**regimes(), **strategies()}.get(name)
        return entry.option_class().model_fields[option].default if entry else None
    value: Any = b
    for part in path.split("."):
        value = getattr(value, part) if isinstance(value, Model) else value.get(part)
    return value


def series(a: DatasetAnalysis, b: Benchmark) -> list[Series]:
    """Every setting that variants of one method change alone, where their values and its own are at least two numbers."""
    found: dict[tuple[str, str, str], dict[float, Cell]] = {}
    for v in variants(a, b):
        (setting, value), *others = v.changes.items()
        number = number_of(setting, value)
        if v.twin is not None and not others and number is not None:
            found.setdefault((v.twin, setting, v.budget), {})[number] = a.cells[v.method, v.budget]
    return [_series(a, b, *key, cells) for key, cells in found.items() if len(cells) + _counts(a, b, *key) > 1]


def _counts(a: DatasetAnalysis, b: Benchmark, twin: str, setting: str, budget: str) -> bool:
    return number_of(setting, value_of(b, setting)) is not None and a.cell(twin, budget) is not None


def _series(a: DatasetAnalysis, b: Benchmark, twin: str, setting: str, budget: str, cells: Mapping[float, Cell]) -> Series:
    usual, own = number_of(setting, value_of(b, setting)), a.cell(twin, budget)
    there = {**cells, **({usual: own} if usual is not None and own else {})}
    return Series(twin, setting, budget, dict(sorted(there.items())), usual)


def number_of(setting: str, value: Any) -> float | None:
    """A value as a number, a percentage by its number; None for one that is none. All of the pool is 100%."""
    if setting == POOL and value is None:
        return 100.0
    if isinstance(value, str) and value.endswith("%"):
        return float(value.removesuffix("%"))
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
