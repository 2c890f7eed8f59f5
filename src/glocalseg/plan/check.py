"""What of a benchmark does not exist or does not go together, before anything runs: one line a problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from glocalseg.config.benchmark import RANDOM, Benchmark
from glocalseg.config.model import ConfigError
from glocalseg.config.settings import Settings
from glocalseg.data.card import Card
from glocalseg.data.splits import SplitRule, check_lists
from glocalseg.methods.catalogue import LEVELS, Entry, options, regimes, strategies
from glocalseg.networks.levels import fitting, roomy_levels

UNET = "unet"


def check(benchmark: Benchmark, cards: Mapping[str, Card]) -> None:
    """Raise ConfigError if a method, a budget, an option or a file of the benchmark does not exist, or lists overlap."""
    problems = [*_methods(benchmark), *_options(benchmark), *_weights(benchmark)]
    for name, card in cards.items():
        problems += [*_budgets(benchmark, name, card), *dict.fromkeys(_frames(benchmark, name, card))]
        try:
            check_lists(card.splits)
        except ConfigError as error:
            problems += [f"{name}: {line}" for line in str(error).split("\n")]
    if problems:
        raise ConfigError("\n".join(problems))


def _methods(benchmark: Benchmark) -> Iterator[str]:
    known, ways = strategies(), regimes()
    for method in benchmark.methods:
        for level, name in (("global", method.global_), ("local", method.local)):
            fitting = [n for n, entry in known.items() if entry.part in LEVELS[level]]
            if name and name not in fitting:
                yield f"methods: {level}: expected one of {', '.join(fitting)}, found {name!r}"
        if method.regime not in ways:
            yield f"methods: regime: expected one of {', '.join(ways)}, found {method.regime!r}"
        if method.name and method.name != method.chain and set(method.name.split("+")) <= {*known, *ways, RANDOM}:
            yield f"methods: name: expected one that is no other method's, found {method.name!r} for {method.chain!r}"
        if method.name and method.name != RANDOM and method.chain == RANDOM and not method.set_:
            yield f"methods: name: expected none for random weights, which all others are compared with, found {method.name!r}"


def _all_settings(benchmark: Benchmark) -> Iterator[tuple[str, Settings]]:
    """The benchmark's settings and those of each method that sets some, with where they stand. Raises ConfigError."""
    yield "", benchmark.settings()
    for method in benchmark.methods:
        if method.set_:
            yield f"methods: {method.id}: set: ", benchmark.settings(method)


def _options(benchmark: Benchmark) -> Iterator[str]:
    base = benchmark.settings()
    for where, settings in _all_settings(benchmark):
        for section, entries in (("strategies", strategies()), ("regimes", regimes())):
            given: dict[str, dict[str, object]] = getattr(settings, section)
            for name, raw in given.items():
                if where and getattr(base, section).get(name) == raw:
                    continue  # said of the benchmark already
                if name not in entries:
                    yield f"{where}{section}: expected one of {', '.join(entries)}, found {name!r}"
                elif problem := _refused(entries[name], raw, f"{where}{section}.{name}"):
                    yield problem


def _refused(entry: Entry, raw: Mapping[str, object], where: str) -> str | None:
    try:
        options(entry, raw, where=where)
    except ConfigError as error:
        return str(error)
    return None


def _weights(benchmark: Benchmark) -> Iterator[str]:
    for where, settings in _all_settings(benchmark):
        path = settings.network.weights
        if path and not Path(path).is_file():
            yield f"{where}network.weights: expected a safetensors file, found nothing at {path}"


def _frames(benchmark: Benchmark, name: str, card: Card) -> Iterator[str]:
    """Where a frame would make the U-Net smaller than a frame of about its size."""
    size = card.frame.size
    for where, settings in _all_settings(benchmark):
        network = settings.network
        if network.encoder != UNET:
            continue
        wanted = network.levels or roomy_levels(size, len(network.channels))
        rows, columns = fitting(size, max(wanted, 2))
        would_do = f"{' or '.join(map(str, rows))} rows and {' or '.join(map(str, columns))} columns"
        if wanted > len(network.channels):
            yield f"{where}network.levels: expected at most {len(network.channels)}, the number of channels, found {wanted}"
        elif wanted < 2 or any(s % 2 ** (wanted - 1) for s in size):
            yield (
                f"{name}: frame.size: expected a size for a U-Net of {max(wanted, 2)} levels, such as {would_do}, found "
                f"{size[0]} x {size[1]} (network.levels in the benchmark asks for fewer)"
            )


def _budgets(benchmark: Benchmark, name: str, card: Card) -> Iterator[str]:
    splits = card.splits
    for budget in benchmark.budgets:
        if isinstance(budget, str):
            continue
        if isinstance(splits, SplitRule):
            pool = card.subjects - splits.test - splits.validation
            if budget > pool:
                yield f"budgets: expected at most {pool}, the training list of {name!r}, found {budget}"
        elif budget not in splits.budgets:
            yield f"budgets: expected one of {sorted(splits.budgets)}, which the card of {name!r} lists, found {budget}"
