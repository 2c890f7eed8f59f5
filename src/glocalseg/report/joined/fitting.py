"""Whether benchmarks go together, and the one benchmark that holds all of them.

What a number depends on has to agree: settings, data sets, and methods, budgets and repeats of one name. What was declared before
the runs is declared still: how is judged has to agree, and claims are those of all. What is compared may differ: the joined
benchmark has every data set, method, budget and repeat.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glocalseg.config.benchmark import Benchmark, Method, Repeat, parse_benchmark
from glocalseg.config.lines import one_line, shown
from glocalseg.config.model import keyed
from glocalseg.data.cards.card import Card
from glocalseg.report.collected.ledger import ReportError
from glocalseg.report.joined.source import Source

OPTIONS = ("strategies", "regimes")  # sections of settings that a benchmark only needs for methods that it has
BROUGHT = {"source", "loss_limit"}  # what of a card shapes no number: where files come from, and what stops a verification
JUDGED = ("confidence", "seed", "margin")
Flat = Mapping[str, Any]


def join_benchmarks(sources: Sequence[Source]) -> Benchmark:
    """The benchmark with all data sets, methods, budgets and repeats.

    Raises:
        ReportError: for what does not go together, a line each: the folder, the setting, what was expected and found.
        ConfigError: if the joined benchmark is none, because it is too large for one.
    """
    problems = [line for find in (_settings, _options, _methods, _judged, _cards, _identities) for line in find(sources)]
    if problems:
        raise ReportError("\n".join(problems))
    first = sources[0].benchmark
    every = [source.benchmark for source in sources]
    raw = {
        **first.model_dump(mode="json", by_alias=True, exclude={"mirror", "hardware"}),
        "name": "_and_".join(dict.fromkeys(b.name for b in every)),
        "title": "; ".join(dict.fromkeys(b.title for b in every)),
        "datasets": list(dict.fromkeys(name for b in every for name in b.datasets)),
        "methods": [m.model_dump(mode="json", by_alias=True, exclude_defaults=True) for m in _every_method(every).values()],
        "budgets": _budgets(every),
        "repeats": _repeats(every),
        "upper_bound": any(b.upper_bound for b in every),
        "statistics": {**first.statistics.model_dump(mode="json"), "primary": _primary(every), "claims": _claims(every)},
        **{section: _joined_options(every, section) for section in OPTIONS},
    }
    return parse_benchmark(raw, where=" and ".join(source.name for source in sources))


def differences(first: Flat, other: Flat) -> Iterator[tuple[str, str, str]]:
    """Every path at which two flat mappings differ, and both values as a person reads them."""
    for path in dict.fromkeys((*first, *other)):
        one, two = (_written(side, path) for side in (first, other))
        if one != two:
            yield path, one, two


def _written(side: Flat, path: str) -> str:
    return one_line(shown(side[path])) if path in side else "nothing"


def flat(value: Any, where: str = "") -> dict[str, Any]:
    """The values inside a JSON-able mapping by dotted path; lists are values, and an empty mapping holds none."""
    if not isinstance(value, Mapping):
        return {where: value}
    found: dict[str, Any] = {}
    for name, inside in value.items():
        found |= flat(inside, f"{where}.{name}" if where else str(name))
    return found


def _said(source: Source, first: Source, path: str, expected: str, found: str) -> str:
    return f"{source.name}: {path}: expected {expected} as in {first.name}, found {found}"


def _settings(sources: Sequence[Source]) -> Iterator[str]:
    def of(source: Source) -> dict[str, Any]:
        kept = {name: value for name, value in keyed(source.benchmark.settings()).items() if name not in OPTIONS}
        return flat(kept)

    first = sources[0]
    for source in sources[1:]:
        for path, expected, found in differences(of(first), of(source)):
            yield _said(source, first, path, expected, found)


def _options(sources: Sequence[Source]) -> Iterator[str]:
    """Options of a strategy or regime, compared between those that have methods with it."""
    for section in OPTIONS:
        names = dict.fromkeys(name for s in sources for name in getattr(s.benchmark, section))
        for name in names:
            users = [s for s in sources if name in _used(s.benchmark)]
            for source in users[1:]:
                given = [flat({name: getattr(s.benchmark, section).get(name, {})}, section) for s in (users[0], source)]
                for path, expected, found in differences(*given):
                    yield _said(source, users[0], path, expected, found)


def _used(b: Benchmark) -> set[str]:
    return {name for m in b.methods for name in (m.global_, m.local, m.regime) if name}


def _methods(sources: Sequence[Source]) -> Iterator[str]:
    known: dict[str, tuple[Source, Method]] = {}
    for source in sources:
        for method in source.benchmark.methods:
            first, there = known.setdefault(method.id, (source, method))
            sides = (flat(m.model_dump(mode="json", by_alias=True)) for m in (there, method))
            for path, expected, found in differences(*sides):
                yield _said(source, first, f"methods: {method.id}: {path}", expected, found)


def _judged(sources: Sequence[Source]) -> Iterator[str]:
    first = sources[0]
    for source in sources[1:]:
        sides = ({name: getattr(s.benchmark.statistics, name) for name in JUDGED} for s in (first, source))
        for path, expected, found in differences(*sides):
            yield _said(source, first, f"statistics.{path}", expected, found)
    known = [s for s in sources if s.benchmark.primary]
    for source in known[1:]:
        if source.benchmark.primary != known[0].benchmark.primary:
            sides = ({"statistics.primary": list(s.benchmark.primary or ())} for s in (known[0], source))
            for path, expected, found in differences(*sides):
                yield _said(source, known[0], path, expected, found)


def _cards(sources: Sequence[Source]) -> Iterator[str]:
    known: dict[str, tuple[Source, Card]] = {}
    for source in sources:
        for name, card in source.cards.items():
            first, there = known.setdefault(name, (source, card))
            sides = (flat(c.model_dump(mode="json", exclude=BROUGHT)) for c in (there, card))
            for path, expected, found in differences(*sides):
                yield _said(source, first, f"card of {name}: {path}", expected, found)


def _identities(sources: Sequence[Source]) -> Iterator[str]:
    """The contents of the data sets: images, labels and subjects."""
    known: dict[str, tuple[Source, str]] = {}
    for source in sources:
        for name, identity in source.identities.items():
            first, there = known.setdefault(name, (source, identity))
            if identity != there:
                expected, found = f"data of identity {there[:10]}", f"{identity[:10]}: other images, labels or subjects"
                yield _said(source, first, name, expected, found)


def _every_method(every: Sequence[Benchmark]) -> dict[str, Method]:
    found: dict[str, Method] = {}
    for b in every:
        for method in b.methods:
            found.setdefault(method.id, method)
    return found


def _budgets(every: Sequence[Benchmark]) -> list[int | str]:
    found = dict.fromkeys(budget for b in every for budget in b.budgets)
    return [*sorted(n for n in found if isinstance(n, int)), *(n for n in found if isinstance(n, str))]


def _repeats(every: Sequence[Benchmark]) -> int | list[dict[str, int]]:
    """All repeats: their number, where they are the first ones of all that vary together."""
    found = {repeat.name: repeat for b in every for repeat in b.all_repeats}
    ordered = sorted(found.values(), key=lambda r: (r.draw, r.pretraining, r.finetuning))
    if ordered == [Repeat.joint(number) for number in range(1, len(ordered) + 1)]:
        return len(ordered)
    return [repeat.model_dump() for repeat in ordered]


def _primary(every: Sequence[Benchmark]) -> list[str] | None:
    return next((b.statistics.primary for b in every if b.statistics.primary), None)


def _claims(every: Sequence[Benchmark]) -> list[list[str]] | None:
    """The claims of all; those that are claimed without being written down where nobody wrote any."""
    if all(b.statistics.claims is None for b in every):
        return None
    return [list(pair) for pair in dict.fromkeys(pair for b in every for pair in b.claims)]


def _joined_options(every: Sequence[Benchmark], section: str) -> dict[str, Any]:
    """By strategy or regime the options of those that have methods with it, which agree; of others, whoever gives some."""
    names = dict.fromkeys(name for b in every for name in getattr(b, section))
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        users = [b for b in every if name in _used(b)]
        given = [getattr(b, section).get(name, {}) for b in users or every]
        found[name] = next((options for options in given if options), {})
    return {name: options for name, options in found.items() if options}
