"""The two things a person writes: the benchmark and the dataset card, typed and validated.

Every value that changes a number is a field here, with its default materialised before it is hashed, so that this module
itself is not part of any content key (see ``provenance.code_digest``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

M = TypeVar("M", bound="Model")
Quirk = Literal["paper", "release"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
MethodId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*(\+[a-z][a-z0-9_]*)*$")]


class ConfigError(ValueError):
    """A configuration that cannot run: names the file and the key, what was expected and what was found."""


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# ---------------------------------------------------------------- dataset card


class ArchiveSource(Model):
    """An archive that is downloaded, or taken from the benchmark's mirror. ``root`` is the data set's folder inside it."""

    kind: Literal["archive"]
    url: str | None = Field(default=None, description="left out: only a mirror has this very archive")
    file: str | None = Field(default=None, description="the archive's file name, where the url does not end in it")
    size: int | None = Field(default=None, gt=0, description="bytes, where known; a checksum is needed anyway")
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    root: str = "."
    steps: list[str] = Field(default=[], description="what a person does to get the archive where there is no url")

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if self.sha256 is None and self.md5 is None:
            raise ValueError("an archive needs sha256, or md5 where the publisher gives only that")
        if not self.file_name or "/" in self.file_name:
            raise ValueError("an archive needs a url that ends in its file name, or file")
        return self

    @property
    def file_name(self) -> str:
        """What the archive is called, on the publisher's server and in a mirror."""
        return self.file or (self.url or "").split("?")[0].rsplit("/", 1)[-1]


class RegistrationSource(Model):
    """Data that a person must fetch. ``steps`` are shown when it is missing; ``lock`` names every case's sha256."""

    kind: Literal["registration"]
    url: str
    steps: list[str] = Field(min_length=1)


class FolderSource(Model):
    """Data that already lies in a folder, relative to the repository or absolute."""

    kind: Literal["folder"]
    path: str


class GeneratedSource(Model):
    """Data that the phantom generator writes. Spacings are in mm."""

    kind: Literal["generated"]
    generator: Literal["phantom"]
    subjects: int = Field(ge=4)
    seed: int = Field(ge=0)
    matrix: int = Field(default=80, ge=32, description="rows and columns of a generated volume, before variation")


Source = Annotated[ArchiveSource | RegistrationSource | FolderSource | GeneratedSource, Field(discriminator="kind")]


class Frame(Model):
    """The in-plane grid that the network sees: spacing in mm and size in pixels, (rows, columns)."""

    spacing: tuple[float, float]
    size: tuple[int, int]

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.spacing) <= 0 or min(self.size) < 16:
            raise ValueError(f"spacing must be positive and size at least 16, found {self.spacing} and {self.size}")
        return self


class LabelledDraw(Model):
    """One fixed choice of labelled subjects, with the validation subjects that belong to it (METHOD.md 2.3)."""

    train: list[str] = Field(min_length=1)
    validation: list[str] = Field(min_length=1)


class SplitLists(Model):
    """Splits fixed by the paper: lists of subjects. ``budgets`` maps a number of volumes to its draws c1, c2, ..."""

    kind: Literal["lists"]
    pretrain: list[str]
    test: list[str]
    budgets: dict[int, list[LabelledDraw]]
    all: LabelledDraw


class SplitRule(Model):
    """Splits drawn by subject from a seed: ``test`` and ``validation`` subjects, the rest is the training pool."""

    kind: Literal["rule"]
    test: int = Field(ge=1)
    validation: int = Field(ge=1)
    seed: int = Field(ge=0)
    test_volumes: Literal["all", "one"] = Field(default="all", description="of each test subject; one is drawn by the seed")


Splits = Annotated[SplitLists | SplitRule, Field(discriminator="kind")]


class SubjectRule(Model):
    """How a volume's name gives its subject: a regular expression with one group, or a two-column tsv in the data."""

    pattern: str | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.pattern is None) == (self.table is None):
            raise ValueError("give either pattern or table")
        return self


class Card(Model):
    """A data set: where it comes from, how it is read, and how it is split."""

    name: Name
    title: str
    modality: str
    subjects: int = Field(ge=3, description="how many subjects the data set has; checked when it is verified")
    licence: str
    citation: list[str] = Field(min_length=1)
    source: Source
    reader: Literal["msd", "folders", "acdc", "mmwhs"]
    images: str = "imagesTr"
    labels: str = "labelsTr"
    channel: int = Field(default=0, ge=0)
    phases: list[Literal["ED", "ES"]] = ["ED"]
    structures: dict[int, str] = Field(min_length=1, description="class index, from 1 without gaps, to its name")
    label_values: dict[int, int] = Field(default={}, description="value in the file to class; empty: the classes")
    stray_values: list[int] = Field(default=[], description="values in the file that count as background")
    slice_axis: Literal["R", "L", "A", "P", "S", "I"] = Field(description="slices are counted towards this direction")
    frame: Frame
    percentiles: tuple[float, float] = (1.0, 99.0)
    bias_correction: bool = False
    partitions: int = Field(default=4, ge=2)
    subject: SubjectRule
    splits: Splits

    @model_validator(mode="after")
    def _structures(self) -> Self:
        if sorted(self.structures) != list(range(1, len(self.structures) + 1)):
            raise ValueError(f"structures must be numbered 1, 2, ... without gaps, found {sorted(self.structures)}")
        bad = set(self.label_values.values()) - set(self.structures) - {0}
        if bad:
            raise ValueError(f"label_values maps to classes {sorted(bad)} that structures does not name")
        return self

    @property
    def classes(self) -> int:
        """Number of classes, background included."""
        return len(self.structures) + 1


# ---------------------------------------------------------------- benchmark


class MethodSpec(Model):
    """One line of a benchmark: what the weights start from, and how labelled slices train them."""

    global_: Name | None = Field(default=None, alias="global")
    local: Name | None = None
    regime: Name = "supervised"

    @model_validator(mode="after")
    def _local_needs_global(self) -> Self:
        if self.local and not self.global_:
            raise ValueError("a local strategy starts from a global one: give both")
        return self

    @property
    def pretraining(self) -> str | None:
        """Name of the last pretraining, ``gd`` or ``gd+lr``; None for random weights."""
        return "+".join(p for p in (self.global_, self.local) if p) or None

    @property
    def id(self) -> str:
        """How the method is called everywhere: ``random``, ``gd``, ``gd+lr``, ``gd+lr+mixup``."""
        stem = self.pretraining or "random"
        return stem if self.regime == "supervised" else f"{stem}+{self.regime}"


class NetworkConfig(Model):
    """``encoder`` is ``unet`` (METHOD.md 3) or ``timm:<model>``; ``levels`` adapts to the frame when left out."""

    encoder: str = Field(default="unet", pattern=r"^(unet|timm:[A-Za-z0-9_.]+)$")
    channels: list[int] = [16, 32, 64, 128, 128, 128]
    levels: int | None = Field(default=None, ge=2)
    weights: str | None = Field(default=None, description="safetensors file with the timm encoder's weights")
    batchnorm_momentum: float = Field(
        default=0.01,
        gt=0,
        le=1,
        description="share of the newest batch in the running averages; raise it for short trainings",
    )
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compiled: Literal["auto", "never", "always"] = Field(
        default="auto",
        description="auto: on a GPU, for trainings long enough to earn the compiler's minute back",
    )


class ViewConfig(Model):
    """Views of pretraining (METHOD.md 4.3): crop side as a share of the frame, brightness and contrast half-widths."""

    crop: float = Field(default=100 / 192, gt=0, le=1)
    crop_start: tuple[float, float] = Field(
        default=(10 / 192, 69 / 192),
        description="range of a crop's top and left edge as shares; kept inside the frame (D26)",
    )
    brightness: float = Field(default=0.3, ge=0)
    contrast: float = Field(default=0.3, ge=0, lt=1)
    clip: tuple[float, float] = (0.0, 1.5)
    scalars: Quirk = Field(default="paper", description="D6: release draws one scalar a batch with f = 1 + delta")


class PretrainConfig(Model):
    """What global and local pretraining have in common. ``images`` counts images per step, views included."""

    steps: int = Field(ge=1)
    images: int = Field(ge=8)
    learning_rate: float = Field(default=1e-3, gt=0)
    temperature: float = Field(default=0.1, gt=0)
    views: ViewConfig = ViewConfig()
    checkpoint_every: int = Field(default=100, ge=1)


class LocalConfig(PretrainConfig):
    """``blocks``: decoder blocks trained (l of METHOD.md 5); left out: up to a quarter of the frame's resolution."""

    blocks: int | None = Field(default=None, ge=1)
    region_size: Literal[1, 3] = 3
    region_projection: Quirk = Field(default="paper", description="D9: release adds a shared 9C -> 128 projection")
    frozen_batchnorm: Quirk = Field(
        default="release", description="D21: release runs the frozen encoder's batch norm on batch statistics"
    )


class AugmentConfig(Model):
    """Augmentation of fine-tuning (METHOD.md 6). Degrees, shares, and pixels of a 192-pixel frame."""

    rotation: float = Field(default=15.0, ge=0)
    scale: float = Field(default=0.05, ge=0, lt=1)
    flip: bool = True
    right_angles: bool = Field(default=True, description="rotations by multiples of 45 degrees")
    elastic: float = Field(default=5.0, ge=0)
    brightness: float = Field(default=0.1, ge=0)
    contrast: float = Field(default=0.2, ge=0, lt=1)
    intensity: Quirk = Field(default="paper", description="D11: release computes the intensity change and drops it")


class FinetuneConfig(Model):
    steps: int = Field(ge=1)
    batch: int = Field(default=20, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(default=0.1, ge=0, lt=1, description="share of the steps, for cosine")
    loss: Literal["dice", "dice_ce"] = "dice"
    validate_every: int = Field(default=50, ge=1)
    checkpoint_every: int = Field(default=200, ge=1)
    augment: AugmentConfig = AugmentConfig()
    collapse_below: float = Field(default=0.01, ge=0, lt=1, description="validation Dice that counts as collapsed")


class StatisticsConfig(Model):
    resamples: int = Field(default=2000, ge=100)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    seed: int = 0


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


class Benchmark(Model):
    """One benchmark: datasets x methods x budgets x draws x seeds, and everything that shapes a number in it."""

    name: Name
    title: str
    datasets: list[Name] = Field(min_length=1)
    mirror: str | None = Field(default=None, description="url or folder that holds the archives instead of their url")
    methods: list[MethodSpec] = Field(min_length=1)
    budgets: list[int] = Field(min_length=1)
    draws: int = Field(ge=1)
    seeds: list[int] = Field(min_length=1)
    upper_bound: bool = True
    threads: int = Field(default=1, ge=1, description="CPU threads of one job: fixed, because sums depend on it")
    partition_bounds: Quirk = Field(default="paper", description="D7: release never samples the last Q mod S slices")
    network: NetworkConfig = NetworkConfig()
    pretrain_global: PretrainConfig
    pretrain_local: LocalConfig
    finetune: FinetuneConfig
    strategies: dict[Name, dict[str, bool | int | float | str]] = Field(
        default={}, description="options of single strategies, as their files define them (D1, D3, D4 are gd's)"
    )
    statistics: StatisticsConfig = StatisticsConfig()
    hardware: Hardware = Hardware()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for key, values in (
            ("budgets", self.budgets),
            ("seeds", self.seeds),
            ("datasets", self.datasets),
            ("methods", [m.id for m in self.methods]),
        ):
            if len(set(values)) != len(values):
                raise ValueError(f"{key} must be different from one another, found {values}")
        if min(self.budgets) < 1 or min(self.seeds) < 0:
            raise ValueError("budgets start at 1 and seeds at 0")
        return self


# ---------------------------------------------------------------- reading


def parse_benchmark(raw: dict[str, Any], *, where: str) -> Benchmark:
    """The validated benchmark of a mapping; ``where`` names its file in errors.

    Raises:
        ConfigError: one line per problem, each with file, key, what was expected and what was found.
    """
    return _parse(Benchmark, raw, where)


def load_benchmark(path: Path) -> Benchmark:
    """The validated benchmark of a YAML or JSON file. Raises ConfigError."""
    return parse_benchmark(_read(path), where=str(path))


def load_card(path: Path) -> Card:
    """The validated dataset card of a YAML file whose stem is the data set's name. Raises ConfigError."""
    card = _parse(Card, _read(path), str(path))
    if card.name != path.stem:
        raise ConfigError(f"{path}: name: expected {path.stem!r}, as the file is called, found {card.name!r}")
    return card


def load_cards(names: list[str], folder: Path) -> dict[str, Card]:
    """The cards of the named data sets, ``folder/<name>.yaml``. Raises ConfigError that lists the cards there are."""
    there = sorted(p.stem for p in folder.glob("*.yaml"))
    for name in names:
        if name not in there:
            raise ConfigError(f"datasets: expected one of {', '.join(there)} (cards in {folder}), found {name!r}")
    return {name: load_card(folder / f"{name}.yaml") for name in names}


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: expected a configuration file, found nothing there") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: expected YAML, found: {error}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: expected keys and values, found {type(raw).__name__}")
    return raw


def _parse(model: type[M], raw: dict[str, Any], where: str) -> M:
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = []
        for e in error.errors():
            key = ".".join(str(p) for p in e["loc"]) or "(whole file)"
            found = "an unknown key" if e["type"] == "extra_forbidden" else repr(e["input"])[:80]
            lines.append(f"{where}: {key}: {e['msg']}, found {found}")
        raise ConfigError("\n".join(lines)) from None
