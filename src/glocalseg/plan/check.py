"""What of a benchmark does not exist or does not go together, before anything runs: one line a problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from glocalseg.config.benchmark import RANDOM, Benchmark
from glocalseg.config.lines import one_line, shortened, shown
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.given import SplitRule, check_lists, whole_budget
from glocalseg.methods.catalogue import LEVELS, Entry, options, regimes, strategies, untrained
from glocalseg.networks.levels import fitting, roomy_halvings, roomy_levels
from glocalseg.plan.bought import UNET, Bought, all_settings, weights_problems, where_of

ENCODER_RATE = "encoder_rate"  # option of regimes


def check(benchmark: Benchmark, cards: Mapping[str, Card], bought: Mapping[str, Bought] | None = None) -> None:
    """Raise ConfigError if a method, a budget, an option or a file of the benchmark does not exist, or lists overlap.

    Args:
        bought: the bought-in weights that its methods use, by the name of their card.
    """
    problems = [*_methods(benchmark), *_encoders(benchmark), *_options(benchmark)]
    problems += [*weights_problems(benchmark, bought or {}), *_frozen(benchmark)]
    for name, card in cards.items():
        problems += [*_budgets(benchmark, name, card), *dict.fromkeys(_frames(benchmark, name, card))]
        try:
            check_lists(card.splits)
        except ConfigError as error:
            problems += [f"{name}: {line}" for line in str(error).split("\n")]
    if problems:
        raise ConfigError("\n".join(problems))


def _methods(benchmark: Benchmark) -> Iterator[str]:
    known, ways = strategies(), {**regimes(), **untrained()}
    for method in benchmark.methods:
        for level, name in (("global", method.global_), ("local", method.local)):
            fitting = [n for n, entry in known.items() if entry.part in LEVELS[level]]
            if name and name not in fitting:
                yield f"methods: {level}: expected one of {', '.join(fitting)}, found {shown(name)}"
        if method.regime not in ways:
            yield f"methods: regime: expected one of {', '.join(ways)}, found {shown(method.regime)}"
        if method.name and method.name != method.chain and set(method.name.split("+")) <= {*known, *ways, RANDOM}:
            yield f"methods: name: expected one that is no other method's, found {shown(method.name)} for {shown(method.chain)}"
        if method.name and method.name != RANDOM and method.chain == RANDOM and not (method.set_ or method.other_seeds):
            yield f"methods: name: expected none for random weights, which others are compared with, found {shown(method.name)}"


def _encoders(benchmark: Benchmark) -> Iterator[str]:
    known = strategies()
    for method in benchmark.methods:
        encoder = benchmark.settings(method).network.encoder
        for name in (method.global_, method.local):
            if encoder != UNET and name in known and known[name].unet_only:
                yield f"network.encoder: expected unet, which {name} needs, found {shown(encoder)} for {shown(method.id)}"


def _options(benchmark: Benchmark) -> Iterator[str]:
    base = benchmark.settings()
    for where, settings in all_settings(benchmark):
        for section, entries in (("strategies", strategies()), ("regimes", {**regimes(), **untrained()})):
            given: dict[str, dict[str, object]] = getattr(settings, section)
            for name, raw in given.items():
                if where and getattr(base, section).get(name) == raw:
                    continue  # said of the benchmark already
                if name not in entries:
                    yield f"{where}{section}: expected one of {', '.join(entries)}, found {shown(name)}"
                elif problem := _refused(entries[name], raw, f"{where}{section}.{name}"):
                    yield problem


def _refused(entry: Entry, raw: Mapping[str, object], where: str) -> str | None:
    try:
        options(entry, raw, where=where)
    except ConfigError as error:
        return str(error)
    return None


def _frozen(benchmark: Benchmark) -> Iterator[str]:
    """Encoders that are to stay as they are, and cannot."""
    ways = regimes()
    for method in benchmark.methods:
        if method.regime in ways and ways[method.regime].frozen:
            network = benchmark.settings(method).network
            if method.global_:
                yield (
                    f"methods: {shortened(one_line(method.id))}: global: expected none with regime {method.regime!r}, whose "
                    f"network stays as it is, found {shown(method.global_)}"
                )
            if network.encoder == UNET:
                yield (
                    f"{where_of(method)}network.encoder: expected a vision transformer of timm for regime {method.regime!r}, "
                    f"found {network.encoder}"
                )
            continue
        if method.global_ and benchmark.settings(method).regimes.get(method.regime, {}).get(ENCODER_RATE) == 0:
            yield (
                f"methods: {shortened(one_line(method.id))}: regimes.{method.regime}.{ENCODER_RATE}: expected more than 0, "
                "because a pretraining hands on no running averages, found 0"
            )


def _frames(benchmark: Benchmark, name: str, card: Card) -> Iterator[str]:
    """Where a frame would make the network smaller than on a frame of about its size, or blocks are asked for that it lacks."""
    size, ways = card.frame.size, regimes()
    halving_nothing = {where_of(m) for m in benchmark.methods if m.regime in ways and ways[m.regime].frozen}
    for where, settings in all_settings(benchmark):
        if where in halving_nothing:
            continue
        network, blocks = settings.network, settings.pretrain_local.blocks
        if network.encoder == UNET:
            most = len(network.channels)
            if network.levels and network.levels > most:
                yield f"{where}network.levels: expected at most {most}, the number of channels, found {network.levels}"
                continue
            levels = network.levels or roomy_levels(size, most)
            halvings, what = levels - 1, f"a U-Net of {levels} levels"
        else:
            halvings = network.levels or roomy_halvings(size)
            what = f"{network.encoder}, which halves it {halvings} times"
        if any(s % 2**halvings for s in size):
            rows, columns = (" or ".join(map(str, sizes)) for sizes in fitting(size, halvings))
            yield (
                f"{name}: frame.size: expected a size for {what}, such as {rows} rows and {columns} columns, found "
                f"{size[0]} x {size[1]} ({where}network.levels in the benchmark may ask for fewer)"
            )
        elif network.encoder == UNET and blocks and blocks > halvings:
            yield f"{where}pretrain_local.blocks: expected at most {halvings} for {what} ({name}), found {blocks}"


def _budgets(benchmark: Benchmark, name: str, card: Card) -> Iterator[str]:
    """Budgets, as far as a card alone tells: what is known of a data set's volumes is asked in ``plan.facts``."""
    splits = card.splits
    if isinstance(splits, SplitRule) and (pool := card.subjects - splits.test - splits.validation) < 1:
        yield (
            f"{name}: splits: expected fewer test and validation subjects than the card's {card.subjects}, found "
            f"{splits.test} + {splits.validation}"
        )
        return
    for budget in benchmark.budgets:
        if isinstance(splits, SplitRule):
            if isinstance(budget, int) and budget > pool:
                yield f"budgets: expected at most {pool}, the training list of {name!r}, found {budget}"
        elif whole_budget(budget, pool := len(splits.all.train)) > pool:
            yield f"budgets: expected at most {pool}, the training list of {name!r}, found {budget}"
