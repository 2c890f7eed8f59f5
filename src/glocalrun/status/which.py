"""Which jobs a person means who names a configuration: those of its last call, or of what the file says now."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from glocalrun.calls import STATE
from glocalrun.plans import CARDS, MEMORY
from glocalrun.status.listed import ASIDE, SUFFIX, Listing, listed, made_of, read_list, write_list
from glocalrun.status.machine import date, entries
from glocalrun.status.progress import RUN
from glocalseg.config.benchmark import Benchmark, load_benchmark, parse_benchmark
from glocalseg.config.lines import shown
from glocalseg.config.model import ConfigError
from glocalseg.data.cards.card import load_cards
from glocalseg.plan.make import make_plan
from glocalseg.records.code import remembering

CHANGED = "code, cards or lock files are others than when the call began"


@dataclass(frozen=True)
class Meant:
    """A benchmark's name and jobs, when its last call began (seconds of the epoch; None for none), and what to say of that."""

    name: str
    listing: Listing
    started: float | None = None
    notes: tuple[str, ...] = ()


def meant(root: Path, config: Path, cache: Path, *, at_work: bool = False, cards: Path = CARDS) -> Meant:
    """The jobs of a configuration's file.

    Args:
        root: the checkout where it is run; only ``cache`` is written to.
        config: the benchmark's file.
        cache: folder for what was planned anew, which need not exist or be writable.
        at_work: whether a call is at work there; it is then meant, whatever was written into the file since.
        cards: folder of the data sets' cards.

    Raises:
        ConfigError: if the configuration cannot run.
    """
    benchmark = load_benchmark(config)
    call = last_call(root, benchmark.name)
    if call is None:
        return _of(benchmark, root, cache, cards, said=[f"no call of {config} has begun here"])
    path, started, _ = call
    as_called = _as_called(path)
    different = _differences(benchmark, as_called)
    if different and not at_work and date(config) > started:
        return _of(
            benchmark, root, cache, cards, said=[f"{config} was changed after its last call: this is what it says now"]
        )
    said = [f"as called, with {', '.join(different)}; {config} says otherwise"] if different else []
    return _of(as_called, root, cache, cards, path.with_suffix(SUFFIX), started, said, at_work=at_work)


def _of(
    benchmark: Benchmark,
    root: Path,
    cache: Path,
    cards: Path,
    beside: Path | None = None,
    started: float | None = None,
    said: Sequence[str] = (),
    *,
    at_work: bool = False,
) -> Meant:
    """The jobs of a benchmark: as its call listed them, as they were planned for an earlier question, or planned anew.

    A call that is at work makes what it listed, whatever changed since.
    """
    digest, own = made_of(benchmark, cards), cache / f"{benchmark.name}{SUFFIX}"
    called = read_list(beside) if beside is not None else None
    if called is not None and called.made_of == digest:
        return Meant(benchmark.name, called, started, tuple(said))
    if called is not None and at_work:
        return Meant(benchmark.name, called, started, (*said, f"{CHANGED}: what begins from now on may be refused"))
    listing = read_list(own)
    if listing is None or listing.made_of != digest:
        with remembering(_memory(root, cache)):
            listing = Listing(digest, listed(make_plan(benchmark, load_cards(benchmark.datasets, cards), lock_folder=cards)))
        with suppress(OSError):  # planned anew at the next question, too
            write_list(own, listing)
    if called is not None:
        listing = replace(listing, executor=called.executor, slots=called.slots)
        return Meant(benchmark.name, listing, started, (*said, f"{CHANGED}: planned anew with what is here now"))
    unlisted = ["planned anew: its call left no list of jobs"] if beside is not None else []
    return Meant(benchmark.name, listing, started, (*said, *unlisted))


def _as_called(path: Path) -> Benchmark:
    """The benchmark as a call resolved it: JSON, which is read in a tenth of the time of YAML. Raises ConfigError."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: expected a benchmark as JSON, found {error}") from None
    return parse_benchmark(raw, where=str(path))


def _memory(root: Path, cache: Path) -> Path:
    """What was found out about the code's files: our own copy, because jobs read theirs."""
    own = cache / MEMORY.name
    with suppress(OSError):
        if not own.is_file():
            cache.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / MEMORY, own)
    return own


def last_call(root: Path, name: str) -> tuple[Path, float, float] | None:
    """The benchmark as it ran in its last call, when that began, and when its jobs were listed (seconds of the epoch, 0 if they
    were not); None if there was no call."""
    found = []
    for entry in entries(root / STATE):
        path = Path(entry.path)
        if path.suffix == RUN and path.stem.rpartition("-")[0] == name and path.with_suffix(".json").is_file():
            with suppress(OSError, ValueError, KeyError, TypeError):
                began = float(json.loads(path.read_text(encoding="utf-8"))["started"])
                found.append((path.with_suffix(".json"), began, date(path.with_suffix(SUFFIX))))
    return max(found, key=lambda call: call[1], default=None)


def _differences(said: Benchmark, called: Benchmark) -> list[str]:
    """What a call had otherwise than the file has, beside what changes no path: ``repeats: 6``."""
    mine, other = (b.model_dump(mode="json", by_alias=True, exclude=ASIDE) for b in (said, called))
    return [f"{key}: {_short(value)}" for key, value in other.items() if value != mine.get(key)]


def _short(value: Any) -> str:
    return f"{len(value)} of them" if isinstance(value, list) and any(isinstance(v, dict) for v in value) else shown(value)
