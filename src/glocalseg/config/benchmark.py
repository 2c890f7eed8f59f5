"""The benchmark that a person writes: data sets x methods x budgets x repeats, and how everything is trained."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from glocalseg.config.lines import shown
from glocalseg.config.model import Amount, ConfigError, Model, Name, parse, read_yaml
from glocalseg.config.settings import Settings

RANDOM = "random"  # weights of no pretraining
MOST_RUNS = 30_000  # which are planned in seconds
SUPERVISED = "supervised"  # the regime that a line without one has
ATLAS = "atlas"  # the control that has no network, so that none of its weights can be random
OTHER_SEEDS = 1_000_000  # what a method with other seeds adds to those of a repeat
MethodName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.-]*(\+[a-z0-9][a-z0-9_.-]*)*$")]


class Method(Model):
    """One line of a benchmark: what the weights start from, how labelled slices train them, and what it sets otherwise."""

    global_: Name | None = Field(default=None, alias="global", description="strategy of the global phase")
    local: Name | None = Field(default=None, description="strategy of the local phase, which starts from the global one")
    regime: Name = Field(
        default="supervised", description="how labelled, and unlabelled, slices are used; atlas: a control without a network"
    )
    name: MethodName | None = Field(default=None, description="how the method is called; needed with set")
    set_: dict[str, Any] = Field(
        default={}, alias="set", description="settings of this method alone, by dotted path: {pretrain_global.steps: 500}"
    )
    control: bool = Field(default=False, description="a row that the others are held against, and no candidate itself")
    other_seeds: bool = Field(
        default=False, description="the same once more with other seeds: what comes out is what chance alone gives (A/A)"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.local and not self.global_:
            raise ValueError("a local strategy starts from a global one: give both")
        if self.regime == ATLAS and (self.global_ or self.set_ or self.other_seeds):
            raise ValueError("the atlas has no network and draws nothing: give it no strategy, no set and no other_seeds")
        if (self.set_ or self.other_seeds) and not self.name:
            raise ValueError("a method with settings or seeds of its own needs a name")
        return self

    @property
    def chain(self) -> str:
        """What it is made of, whatever it sets: ``random``, ``gd``, ``gd+lr``, ``gd+lr+mixup``. Paths are made of this."""
        if self.regime == ATLAS:
            return ATLAS
        parts = [p for p in (self.global_, self.local) if p] or [RANDOM]
        return "+".join(parts if self.regime == SUPERVISED else [*parts, self.regime])

    def seeds(self, repeat: Repeat) -> tuple[int, int]:
        """The seeds of its pretraining and of its fine-tuning in a repeat."""
        added = OTHER_SEEDS if self.other_seeds else 0
        return repeat.pretraining + added, repeat.finetuning + added

    @property
    def id(self) -> str:
        """How the method is called in tables and figures: its name, or its chain."""
        return self.name or self.chain


class Repeat(Model):
    """One repetition of the whole experiment: its own choice of labelled volumes, pretraining and fine-tuning.

    ``draw`` counts choices of labelled volumes from 1; ``pretraining`` and ``finetuning`` are seeds. Random weights are drawn by
    the seed of the fine-tuning.
    """

    draw: int = Field(ge=1)
    pretraining: int = Field(ge=0, lt=OTHER_SEEDS)
    finetuning: int = Field(ge=0, lt=OTHER_SEEDS)

    @classmethod
    def joint(cls, number: int) -> Repeat:
        """Repeat ``number``, from 1: everything that varies is its own."""
        return cls(draw=number, pretraining=number, finetuning=number)

    @property
    def name(self) -> str:
        """``r3``; ``c1-p2-f5`` where what varies does not go together."""
        joint = self.draw == self.pretraining == self.finetuning
        return f"r{self.draw}" if joint else f"c{self.draw}-p{self.pretraining}-f{self.finetuning}"


def _written(raw: Any) -> str:
    """How repeats are written: an error is then of this form alone."""
    return "list" if isinstance(raw, list | tuple) else "number"


Repeats = Annotated[
    Annotated[int, Field(ge=1), Tag("number")] | Annotated[list[Repeat], Field(min_length=1), Tag("list")],
    Discriminator(_written),
]
Pair = Annotated[list[MethodName], Field(min_length=2, max_length=2)]  # a method, and what it is compared with
PRIMARY = ("gd+lr", RANDOM)  # the paper's method and weights of no pretraining
CLAIMS = (("gd", "gr"), ("gd_minus", "gr"), ("gd+lr", "gd"), ("gd+ld", "gd+lr"))  # what the paper says is better than what


class StatisticsConfig(Model):
    """How the report judges, declared before the run; no run depends on it."""

    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = 0
    margin: float = Field(
        default=0.01, ge=0, lt=1, description="a difference of Dice up to this does not matter in practice"
    )
    primary: Pair | None = Field(
        default=None,
        description="[method, other]: the one comparison that the benchmark is made for, at its smallest budget; left out: "
        "gd+lr and random, where the benchmark has them",
    )
    claims: list[Pair] | None = Field(
        default=None,
        description="[[method, other], ...]: what is claimed to be better than what, at every budget; left out: the paper's, as "
        "far as the benchmark has the methods. Every method is compared with random weights besides",
    )


Gpu = Annotated[str, Field(pattern=r"^([0-9]+|(GPU|MIG)-[\w/.-]+)$", coerce_numbers_to_str=True)]


class Hardware(Model):
    """Which GPUs the jobs of this machine may use, and how many at a time on one: in no key, as no device is."""

    gpus: Literal["all"] | list[Gpu] = Field(default="all", description="as CUDA_VISIBLE_DEVICES takes them; []: CPU only")
    jobs_per_gpu: int = Field(default=1, ge=1, description="a second job on the same GPU only if this allows it")

    @model_validator(mode="after")
    def _unique(self) -> Self:
        if self.gpus != "all" and len(set(self.gpus)) != len(self.gpus):
            raise ValueError(f"gpus must be different from one another, found {self.gpus}")
        return self


class Benchmark(Settings):
    """One benchmark: datasets x methods x budgets x repeats, and everything that shapes a number in it."""

    name: Name
    title: str
    datasets: list[Name] = Field(min_length=1)
    mirror: str | None = Field(default=None, description="url or folder that holds the archives instead of their url")
    methods: list[Method] = Field(min_length=1)
    budgets: list[Amount] = Field(
        min_length=1, description="labelled volumes: numbers, or percentages of the training pool, such as 10%"
    )
    repeats: Repeats = Field(
        description="how many; repeat r has a choice of labelled volumes, a pretraining and a fine-tuning of its own, the same "
        "for every method and budget. A list of {draw, pretraining, finetuning} for studies of what varies"
    )
    upper_bound: bool = True
    statistics: StatisticsConfig = StatisticsConfig()
    hardware: Hardware = Hardware()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for key, values in (
            ("budgets", self.budgets),
            ("repeats", [repeat.name for repeat in self.all_repeats]),
            ("datasets", self.datasets),
            ("methods", [m.id for m in self.methods]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must be different from one another, found {values}")
        self._require_methods()
        runs = len(self.datasets) * len(self.methods) * len(self.budgets) * len(self.all_repeats)
        if runs > MOST_RUNS:
            raise ValueError(
                f"methods x budgets x repeats must be at most {MOST_RUNS} fine-tunings of all datasets, found {runs}"
            )
        return self

    def _require_methods(self) -> None:
        """Raise ValueError if a declared comparison is of a method that the benchmark does not have."""
        known = [m.id for m in self.methods]
        given = {
            "primary": [self.statistics.primary] if self.statistics.primary else [],
            "claims": self.statistics.claims or [],
        }
        for key, pairs in given.items():
            for pair in pairs:
                if missing := [name for name in pair if name not in known]:
                    raise ValueError(f"statistics.{key}: expected two of {', '.join(known)}, found {shown(missing[0])}")
                if pair[0] == pair[1]:
                    raise ValueError(f"statistics.{key}: expected two methods, found {shown(pair[0])} twice")

    @property
    def primary(self) -> tuple[str, str] | None:
        """The primary comparison: a method, and what it is compared with; None where the benchmark lacks one of them."""
        method, other = self.statistics.primary or PRIMARY
        return (method, other) if {method, other} <= {m.id for m in self.methods} else None

    @property
    def claims(self) -> tuple[tuple[str, str], ...]:
        """The comparisons that are declared besides those with random weights."""
        pairs = self.statistics.claims if self.statistics.claims is not None else CLAIMS
        return tuple((method, other) for method, other in pairs if {method, other} <= {m.id for m in self.methods})

    @property
    def all_repeats(self) -> tuple[Repeat, ...]:
        """Every repeat; more of them keep the first ones."""
        if isinstance(self.repeats, int):
            return tuple(map(Repeat.joint, range(1, self.repeats + 1)))
        return tuple(self.repeats)

    def settings(self, method: Method | None = None) -> Settings:
        """The settings of a method: the benchmark's, and what its line sets otherwise. None: the benchmark's.

        Raises:
            ConfigError: for a path that is no setting, or a value that it cannot have.
        """
        raw = {name: _plain(getattr(self, name)) for name in Settings.model_fields}
        where = f"methods: {method.id}: set" if method else "settings"
        for path, value in method.set_.items() if method else ():
            _put(raw, path, value, where)
        return parse(Settings, raw, where)


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Model) else copy.deepcopy(value)


def _put(raw: dict[str, Any], path: str, value: Any, where: str) -> None:
    """Set a value by its dotted path. Raises ConfigError if a part of it on the way is no section."""
    *sections, last = path.split(".")
    inside: Any = raw
    for i, section in enumerate(sections):
        if isinstance(inside, dict) and section not in inside and sections[:1] in (["strategies"], ["regimes"]):
            inside[section] = {}
        if not isinstance(inside, dict) or not isinstance(inside.get(section), dict):
            there = ", ".join(sorted(raw)) if i == 0 else "settings as the benchmark has them"
            raise ConfigError(f"{where}: {path}: expected one of {there}, found {shown(section)}")
        inside = inside[section]
    inside[last] = value


def parse_benchmark(raw: dict[str, Any], *, where: str) -> Benchmark:
    """The validated benchmark of a mapping; ``where`` names its file in errors. Raises ConfigError."""
    return parse(Benchmark, raw, where)


def load_benchmark(path: Path) -> Benchmark:
    """The validated benchmark of a YAML or JSON file. Raises ConfigError."""
    return parse_benchmark(read_yaml(path), where=str(path))
