"""The bought-in weights of a benchmark: the cards that its methods name, and what stands for the files in keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from glocalseg.config.benchmark import Benchmark, Method
from glocalseg.config.lines import one_line, shortened
from glocalseg.config.model import ConfigError
from glocalseg.config.settings import NetworkConfig, Settings
from glocalseg.records.digest import sha256_file
from glocalseg.weights.card import CALLED, RECORD, WeightsCard, load_weights_card
from glocalseg.weights.lock import known_sha256

UNFETCHED = "not fetched yet"
UNET = "unet"


@dataclass(frozen=True)
class Bought:
    """Weights with a card; ``sha256`` is None until they are fetched for the first time."""

    card: WeightsCard
    sha256: str | None

    @property
    def record(self) -> Path:
        """``data/weights/<name>/fetched.json``: that they were brought here."""
        return Path("data/weights") / self.card.name / RECORD

    @property
    def file(self) -> Path:
        """The weights themselves."""
        return self.record.with_name(self.card.source.file_name)


def all_settings(benchmark: Benchmark) -> Iterator[tuple[str, Settings]]:
    """The benchmark's settings and those of each method that sets some, with where they stand. Raises ConfigError."""
    yield "", benchmark.settings()
    for method in benchmark.methods:
        if method.set_:
            yield where_of(method), benchmark.settings(method)


def where_of(method: Method) -> str:
    """Where the settings of a method stand, as lines about them begin."""
    return f"methods: {shortened(one_line(method.id))}: set: "


def bought_of(benchmark: Benchmark, folder: Path) -> dict[str, Bought]:
    """The bought-in weights that methods use, by the name of their card.

    Args:
        folder: of cards and lock files of weights.

    Raises:
        ConfigError: a line for each that cannot be used.
    """
    found: dict[str, Bought] = {}
    problems = []
    for where, settings in all_settings(benchmark):
        name = settings.network.weights
        if name and CALLED.fullmatch(name) and name not in found:
            try:
                card = load_weights_card(name, folder)
                found[name] = Bought(card, known_sha256(card, folder))
            except ConfigError as error:
                problems += [f"{where}{error}" if str(error).startswith("network.") else str(error)]
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return found


def weights_problems(benchmark: Benchmark, bought: Mapping[str, Bought]) -> Iterator[str]:
    """What is wrong with how a benchmark uses bought-in weights, a line each."""
    base = benchmark.settings().network
    for where, settings in all_settings(benchmark):
        network = settings.network
        if where and network == base:
            continue  # said of the benchmark already
        own = bought.get(network.weights or "")
        if network.weights and not where:
            yield (
                "network.weights: expected in the set of a method, found for all: the rows that others are held against would "
                "start from bought-in weights, too"
            )
        elif network.weights and not own and not Path(network.weights).is_file():
            yield f"{where}network.weights: expected a safetensors file, found nothing at {network.weights}"
        elif own and network.encoder != own.card.encoder:
            yield (
                f"{where}network.encoder: expected {own.card.encoder}, which the weights {network.weights!r} are of, found "
                f"{network.encoder}"
            )
        elif own and network.input_statistics:
            yield f"{where}network.input_statistics: expected none, because the card {network.weights!r} says them, found some"
        elif network.encoder == UNET and (network.weights or network.input_statistics):
            what = "weights" if network.weights else "input_statistics"
            yield f"{where}network.{what}: expected none, because they are of a timm encoder, found some for {UNET}"


def network_of(settings: Settings, bought: Mapping[str, Bought]) -> NetworkConfig:
    """The network as a specification has it: bought-in weights by their sha256, with what they expect of an image."""
    name = settings.network.weights
    if not name:
        return settings.network
    if own := bought.get(name):
        changes = {"weights": own.sha256 or UNFETCHED, "input_statistics": own.card.input.grey}
        return settings.network.model_copy(update=changes)
    return settings.network.model_copy(update={"weights": sha256_file(Path(name))})


def file_of(settings: Settings, bought: Mapping[str, Bought]) -> Path | None:
    """The file with the bought-in weights, there or not; None for random ones."""
    name = settings.network.weights
    return (bought[name].file if name in bought else Path(name)) if name else None
