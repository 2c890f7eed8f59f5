"""The plans that programs and tools work with: of a configuration's file, and of what DVC keeps up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from glocalrun.calls import STATE
from glocalseg.config.benchmark import load_benchmark, parse_benchmark
from glocalseg.config.model import ConfigError, read_yaml
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.jobs import Plan
from glocalseg.plan.make import make_plan
from glocalseg.plan.narrow import narrowed
from glocalseg.records.code import remembering

CARDS = Path(__file__).resolve().parents[2] / "config" / "datasets"  # of the checkout whose code this is
WEIGHTS = CARDS.with_name("weights")  # cards of bought-in weights
INCOMING = Path("data/incoming")  # where a person puts data, a folder a data set
PIPELINES = Path("pipelines.yaml")
MEMORY = STATE / "code.json"  # what was found out about the code's files


def incoming_weights(name: str) -> Path:
    """Where a person puts the file of bought-in weights, by the name of their card."""
    return INCOMING / "weights" / name


def plan_of(path: Path, **changes: object) -> Plan:
    """The plan of a configuration's file with some keys changed. Raises ConfigError."""
    benchmark = load_benchmark(path)
    if changes:
        raw = {**benchmark.model_dump(mode="json", by_alias=True), **changes}
        benchmark = parse_benchmark(raw, where=str(path))
    with remembering(MEMORY):
        return make_plan(benchmark, load_cards(benchmark.datasets, CARDS), lock_folder=CARDS)


def plan_around(path: Path, record: Path) -> Plan:
    """The plan of a configuration's file, or the part of it that holds a record. Raises ConfigError."""
    part = narrowed(load_benchmark(path), record)
    if part is None:
        return plan_of(path)
    with remembering(MEMORY):
        return make_plan(part, load_cards(part.datasets, CARDS), lock_folder=CARDS, checked=True)


def all_plans(configurations: Sequence[Path]) -> list[Plan]:
    """The plans of configurations, and those of the data sets that DVC keeps up to date. Raises ConfigError."""
    plans = [plan_of(path) for path in configurations]
    chosen = (read_yaml(PIPELINES).get("pipelines") or {}) if PIPELINES.is_file() else {}
    try:
        own = [(name, Path(entry["config"]), entry["results"]) for name, entry in chosen.items()]
    except (AttributeError, KeyError, TypeError):
        raise ConfigError(f"{PIPELINES}: pipelines: expected data sets with config and results, found {chosen!r}") from None
    return plans + [plan_of(config, datasets=[name], name=results) for name, config, results in own]
