"""From a benchmark to the plan of all its jobs, each with the specification whose digest is its key.

Nothing here imports torch or looks at data, so that ``snakemake -n`` lists a whole grid in a second, without any data. (Options
of strategies are checked by the strategies' own classes: torch is imported where a configuration names some.)
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from glocalseg.config.benchmark import RANDOM, Benchmark, Method, Repeat
from glocalseg.config.lines import shown
from glocalseg.config.model import ConfigError, keyed, parse, share_of, without
from glocalseg.config.settings import Options, Settings
from glocalseg.data.acquire.fetch import RECORD as FETCHED
from glocalseg.data.acquire.lock.file import facts_of, how_read, locked
from glocalseg.data.cards.card import Card
from glocalseg.data.splits.given import Budget, Role
from glocalseg.data.splits.lists import split_spec
from glocalseg.methods.catalogue import Entry, options, regimes, strategies, untrained
from glocalseg.methods.described import description
from glocalseg.plan.bought import UNFETCHED, Bought, bought_of, file_of, network_of
from glocalseg.plan.check import check
from glocalseg.plan.entries import TIMM, code_of
from glocalseg.plan.facts import check_facts, whole_budgets
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.phases import PHASES
from glocalseg.records.digest import KEY_DIGITS, digest, sha256_file
from glocalseg.stages.specs import (
    DataSpec,
    DiagnoseSpec,
    FeaturesSpec,
    FinetuneSpec,
    HeadSpec,
    PretrainSpec,
    ReportSpec,
    ScoreSpec,
    UntrainedSpec,
)

if TYPE_CHECKING:
    import pandas as pd

UNVERIFIED = "not verified yet"
VERIFIED = "verified.json"
WEIGHTS = "weights"  # folder of the cards of bought-in weights, beside that of the data sets' cards
POOL: tuple[Role, ...] = ("pretrain",)
PROBED: tuple[Role, ...] = ("pretrain", "validation")
TUNED: tuple[Role, ...] = ("train", "validation", "test")
JUDGED: tuple[Role, ...] = ("train", "test")  # where nothing is held out to select weights by
TEMPLATES = Path(__file__).parents[1] / "report" / "page" / "templates"
METRICS = Path(__file__).parents[1] / "evaluation" / "metrics.py"


def make_plan(
    benchmark: Benchmark,
    cards: Mapping[str, Card],
    *,
    lock_folder: Path,
    weights: Path | None = None,
    checked: bool = False,
) -> Plan:
    """Every job of a benchmark.

    Args:
        benchmark: methods, budgets, repeats and all settings.
        cards: the card of each of its data sets.
        lock_folder: where ``<dataset>.lock.json`` lies beside the cards, for data whose archive has no checksum.
        weights: folder with the cards and lock files of bought-in weights; None: ``weights`` beside the lock folder.
        checked: that it fits together was found already, of the benchmark that it is a part of.

    Raises:
        ConfigError: what ``plan.check`` finds, one line a problem; or two methods that are one and the same.
    """
    bought = bought_of(benchmark, weights or lock_folder.parent / WEIGHTS)
    if not checked:
        check(benchmark, cards, bought)
    known = {name: None if checked else facts(cards[name], lock_folder) for name in benchmark.datasets}
    notes = _require_fitting(benchmark, cards, known)
    jobs: dict[Path, Job] = {}
    for name in benchmark.datasets:
        for job in _Dataset(benchmark, cards[name], lock_folder, known[name], bought).jobs():
            jobs.setdefault(job.record, job)
    spec = ReportSpec(
        code=code_of("report"),
        benchmark=benchmark.model_dump(mode="json", by_alias=True, exclude={"mirror", "hardware"}),
        cards={name: card.model_dump(mode="json") for name, card in cards.items()},
        runs=tuple(sorted(str(record) for record in jobs)),
        templates={p.name: sha256_file(p) for p in sorted(TEMPLATES.glob("*.*"))},
        words=_words(benchmark, bought),
    )
    record = PHASES["report"].record(benchmark=benchmark.name, key=spec.key)
    report = Job("report", record, spec, name=benchmark.name, parents=tuple(jobs))
    jobs[record] = report
    return Plan(benchmark, cards, jobs, report, notes, bought)


def _require_fitting(
    benchmark: Benchmark, cards: Mapping[str, Card], known: Mapping[str, pd.DataFrame | None]
) -> tuple[str, ...]:
    """What is odd about a benchmark with the data sets whose volumes are known. Raises ConfigError for what cannot run."""
    found = [check_facts(benchmark, cards[name], table) for name, table in known.items() if table is not None]
    if problems := [line for said, _ in found for line in said]:
        raise ConfigError("\n".join(problems))
    return tuple(note for _, notes in found for note in notes)


def _words(benchmark: Benchmark, bought: Mapping[str, Bought]) -> dict[str, tuple[str, ...]]:
    """What methods, settings that lines change, and metrics say of themselves, which no digest of code holds, and what cards of
    bought-in weights say."""
    used = {name for m in benchmark.methods for name in (m.global_, m.local, m.regime) if name}
    entries = [e for e in (*strategies().values(), *regimes().values(), *untrained().values()) if e.name in used]
    words = {
        e.name: (e.symbol, e.sentence, e.source, *e.departures, *e.diagnostics.values(), *e.said.values()) for e in entries
    }
    cards = {f"weights/{name}": (digest(keyed(own.card)), own.sha256 or UNFETCHED) for name, own in bought.items()}
    changed = dict.fromkeys(path for m in benchmark.methods for path in m.set_)
    return words | {"metrics": tuple(_sentences(METRICS)), "settings": tuple(map(description, changed))} | cards


def _sentences(path: Path) -> Iterator[str]:
    """The first paragraphs of the docstrings of a module's functions."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            yield (ast.get_docstring(node) or "").split("\n\n")[0]


def identity(card: Card, lock_folder: Path) -> str:
    """What stands for the contents of a data set in keys; ``UNVERIFIED`` while they were never verified as the card reads them.

    Raises:
        ConfigError: if the lock file cannot be read.
    """
    if (known := card.source.identity) is not None:
        return known
    lock = locked(lock_file(card, lock_folder), card.reading)
    return lock.identity if lock is not None else UNVERIFIED


def lock_file(card: Card, lock_folder: Path) -> Path:
    """Where the lock file of a data set lies."""
    return lock_folder / f"{card.name}.lock.json"


def facts(card: Card, lock_folder: Path) -> pd.DataFrame | None:
    """What a plan may know of a data set's volumes (``acquire.lock.facts_of``); None while they were never verified."""
    lock = locked(lock_file(card, lock_folder), card.reading) if card.source.identity is None else None
    return facts_of(lock.cases, card.preparation) if lock is not None else None


def fetched_record(card: Card) -> Path:
    """``data/raw/<dataset>/<origin>/fetched.json``: that a data set was brought here."""
    return Path("data/raw") / card.name / card.source.origin / FETCHED


def verified_record(card: Card) -> Path:
    """``data/raw/<dataset>/<origin>/<check>/verified.json``: that it was checked, case by case, for what the card says now."""
    asked = [
        how_read(card.reading),
        keyed(card.preparation),
        keyed(card.splits),
        card.subjects,
        card.volumes,
        card.loss_limit,
    ]
    return fetched_record(card).parent / digest(asked)[:KEY_DIGITS] / VERIFIED


def data_job(card: Card, lock_folder: Path) -> Job:
    """The job that makes the slice store of a data set. Raises ConfigError if its lock file cannot be read."""
    spec = DataSpec(code=code_of("data"), identity=identity(card, lock_folder), preparation=card.preparation)
    return Job("data", PHASES["data"].record(dataset=card.name, key=spec.key), spec, dataset=card.name)


@dataclass(frozen=True)
class _Dataset:
    """The jobs of one data set."""

    benchmark: Benchmark
    card: Card
    lock_folder: Path
    facts: pd.DataFrame | None
    bought: Mapping[str, Bought]
    pretrained: dict[str, Job] = field(default_factory=dict)  # by key of their specification
    methods: dict[str, str] = field(default_factory=dict)  # which method a fine-tuning's record is of

    def jobs(self) -> Iterator[Job]:
        """Every job, each after those that it starts from."""
        b, data, ways = self.benchmark, self.data(), regimes()
        yield data
        settings = {m.id: b.settings(m) for m in b.methods}
        seeds = dict.fromkeys((m.id, m.seeds(repeat)[0]) for repeat in b.all_repeats for m in b.methods)
        methods = {m.id: m for m in b.methods}
        starts = {(name, seed): self.start(methods[name], settings[name], seed, data) for name, seed in seeds}
        yield from self.pretrained.values()
        for seed in dict.fromkeys(repeat.finetuning for repeat in b.all_repeats):  # which random weights are drawn by
            yield self.diagnosis(b.settings(), None, RANDOM, seed, data)
        for name, seed in seeds:
            for job in starts[name, seed]:
                yield self.diagnosis(settings[name], job, job.name, seed, data)
        frozen = [method for method in b.methods if method.regime in ways and ways[method.regime].frozen]
        yield from (self.features(m, settings[m.id], repeat, data) for m in frozen for repeat in b.all_repeats)
        for method in b.methods:
            for budget in whole_budgets(b, self.card, self.facts):
                for repeat in b.all_repeats:
                    chain = starts[method.id, method.seeds(repeat)[0]]
                    yield from self.tuned(method, settings[method.id], chain[-1] if chain else None, budget, repeat, data)
        if b.upper_bound:
            for repeat in b.all_repeats:
                yield from self.tuned(Method(), b.settings(), None, "all", repeat, data)

    def brought(self, settings: Settings) -> Path | None:
        """The record of the bought-in weights of a network; None without a card of them."""
        own = self.bought.get(settings.network.weights or "")
        return own.record if own else None

    def data(self) -> Job:
        """The slice store."""
        return data_job(self.card, self.lock_folder)

    def start(self, method: Method, settings: Settings, seed: int, data: Job) -> list[Job]:
        """The pretrainings of a method, none for random weights; what another method has in common with it is one job."""
        base = self.benchmark.settings()
        chain: list[Job] = []
        usual: Job | None = None  # what the benchmark's settings give
        for level, name in (("global", method.global_), ("local", method.local)):
            if name:
                made = self.pretraining(level, name, settings, seed, data, chain[-1] if chain else None, method.id)
                usual = self.pretraining(level, name, base, seed, data, usual, method.id)
                job = self.pretrained.setdefault(made.spec.key, made if made.spec.key != usual.spec.key else _plain(usual))
                chain.append(job)
        return chain

    def pretraining(
        self, level: str, name: str, settings: Settings, seed: int, data: Job, start: Job | None, method: str
    ) -> Job:
        """One pretraining, called by its method."""
        phase = "pretrain_global" if level == "global" else "pretrain_local"
        entry = strategies()[name]
        spec = PretrainSpec(
            code=_code(f"pretrain/{name}", settings),
            data=data.spec.key,
            network=network_of(settings, self.bought),
            threads=settings.threads,
            seed=seed,
            start=start.spec.key if start else None,
            level=level,  # type: ignore[arg-type]
            strategy=name,
            options=_options(entry, settings.strategies),
            config=without(getattr(settings, phase), entry.unread),
            split=split_spec(self.card.splits, POOL, share=_share(settings)),
        )
        chain = f"{start.chain}+{name}" if start else name
        record = PHASES[phase].record(dataset=self.card.name, chain=chain, seed=seed, key=spec.key)  # type: ignore[index]
        return Job(
            phase, record, spec, self.card.name, method, chain, seed=seed, data=data.record,  # type: ignore[arg-type]
            start=start.record if start else None, weights=file_of(settings, self.bought),
            bought=self.brought(settings),
            parents=(data.record, start.record) if start else (data.record,),
        )  # fmt: skip

    def diagnosis(self, settings: Settings, start: Job | None, name: str, seed: int, data: Job) -> Job:
        """What a pretraining, or a random network, has learned."""
        spec = DiagnoseSpec(
            code=_code("diagnose", settings),
            data=data.spec.key,
            network=network_of(settings, self.bought),
            threads=settings.threads,
            seed=seed,
            start=start.spec.key if start else None,
            blocks=settings.pretrain_local.blocks,
            partitions=settings.pretrain_global.partitions,
            partition_bounds=settings.pretrain_global.partition_bounds,
            split=split_spec(self.card.splits, PROBED, "all", 1, _share(settings)),
        )
        chain = start.chain if start else RANDOM
        record = PHASES["diagnose"].record(dataset=self.card.name, chain=chain, seed=seed, key=spec.key)
        return Job(
            "diagnose", record, spec, self.card.name, name, chain, seed=seed, data=data.record,
            start=start.record if start else None, weights=file_of(settings, self.bought),
            bought=self.brought(settings),
            parents=(data.record, start.record) if start else (data.record,),
        )  # fmt: skip

    def tuned(
        self, method: Method, settings: Settings, start: Job | None, budget: Budget, repeat: Repeat, data: Job
    ) -> Iterator[Job]:
        """The fine-tuning of a method with a budget in a repeat, or what stands in its place, and its scores."""
        if method.regime in untrained():
            spec: FinetuneSpec | UntrainedSpec = self.unlearned(method, settings, budget, repeat, data)
        else:
            if regimes()[method.regime].frozen:
                start = self.features(method, settings, repeat, data)
            spec = self.finetuning(method, settings, start, budget, repeat, data)
        fields = {"dataset": self.card.name, "chain": method.chain, "budget": budget, "repeat": repeat.name}
        record = PHASES["finetune"].record(**fields, key=spec.key)
        if (other := self.methods.setdefault(str(record), method.id)) != method.id:
            raise ConfigError(
                f"methods: expected methods that differ, found {shown(other)} and {shown(method.id)} with one and the same "
                "specification: what they set makes no difference"
            )
        read = start is None or start.phase != "features"  # a head reads features and none of the network's weights
        tuned = Job(
            "finetune", record, spec, self.card.name, method.id, method.chain, budget, repeat, data=data.record,
            start=start.record if start else None, weights=file_of(settings, self.bought) if read else None,
            bought=self.brought(settings) if read else None,
            parents=(data.record, start.record) if start else (data.record,),
        )  # fmt: skip
        yield tuned
        scored = ScoreSpec(code=code_of("score"), data=data.spec.key, start=spec.key)
        yield Job(
            "score", PHASES["score"].record(**fields, key=scored.key), scored, self.card.name, method.id, method.chain,
            budget, repeat, data=data.record, start=record, parents=(data.record, record),
        )  # fmt: skip

    def features(self, method: Method, settings: Settings, repeat: Repeat, data: Job) -> Job:
        """The features that a head of a method starts from; those of bought-in weights are the same for all repeats."""
        own = options_of(settings, method.regime)
        seed = 0 if settings.network.weights else method.seeds(repeat)[1]
        spec = FeaturesSpec(
            code=code_of(f"features{TIMM}"),
            data=data.spec.key,
            network=network_of(settings, self.bought),
            threads=settings.threads,
            seed=seed,
            start=None,
            **own,
        )
        record = PHASES["features"].record(dataset=self.card.name, chain=method.chain, seed=seed, key=spec.key)
        return Job(
            "features", record, spec, self.card.name, method.id, method.chain, seed=seed, data=data.record,
            weights=file_of(settings, self.bought), bought=self.brought(settings), parents=(data.record,),
        )  # fmt: skip

    def finetuning(
        self, method: Method, settings: Settings, start: Job | None, budget: Budget, repeat: Repeat, data: Job
    ) -> FinetuneSpec:
        """What a fine-tuning is to do."""
        entry = regimes()[method.regime]
        selected = TUNED if settings.finetune.selection == "validation" else JUDGED
        roles = (*selected, *POOL) if entry.unlabelled else selected
        kind, code = FinetuneSpec, _code(f"finetune/{method.regime}", settings)
        if entry.frozen:
            kind, code = HeadSpec, code_of(f"finetune/{method.regime}")
        return kind(
            code=code,
            data=data.spec.key,
            network=network_of(settings, self.bought),
            threads=settings.threads,
            seed=method.seeds(repeat)[1],
            start=start.spec.key if start else None,
            regime=method.regime,
            options=_options(entry, settings.regimes),
            config=settings.finetune,
            split=split_spec(self.card.splits, roles, budget, repeat.draw, _share(settings)),
        )

    def unlearned(self, method: Method, settings: Settings, budget: Budget, repeat: Repeat, data: Job) -> UntrainedSpec:
        """What stands in the place of a fine-tuning where nothing is trained."""
        entry = untrained()[method.regime]
        return UntrainedSpec(
            code=code_of(f"untrained/{method.regime}"),
            data=data.spec.key,
            regime=method.regime,
            options=_options(entry, settings.regimes),
            split=split_spec(self.card.splits, JUDGED, budget, repeat.draw),
        )


def _share(settings: Settings) -> float | None:
    return share_of(settings.pool) if settings.pool else None


def _plain(job: Job) -> Job:
    """A pretraining with the benchmark's own settings, called by what it is made of."""
    return replace(job, name=job.chain)


def options_of(settings: Settings, regime: str) -> Options:
    """All options of a regime, those at their defaults included."""
    return parse(regimes()[regime].option_class(), settings.regimes.get(regime, {}), regime).model_dump()


def _options(entry: Entry, given: Mapping[str, Options]) -> Options:
    return options(entry, given.get(entry.name, {}), where=entry.name)


def _code(entry: str, settings: Settings) -> str:
    """What stands for the code of a job with a network, the encoder's included where it is not the U-Net."""
    return code_of(entry if settings.network.encoder == "unet" else f"{entry}{TIMM}")
