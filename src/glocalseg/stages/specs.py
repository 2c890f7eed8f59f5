"""What each stage is to do: one frozen specification a phase, whose digest is the key of what it makes.

A stage gets its specification and a ``Place``, and nothing else. What it can read is in the specification, and what is in the
specification is in the key; so no result can be stale, and none is made again for the sake of something that it does not read.
Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import SerializeAsAny

from glocalseg.config.model import Model, keyed
from glocalseg.config.settings import FinetuneConfig, NetworkConfig, Options, PretrainConfig
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.splits.lists import SplitSpec
from glocalseg.records.digest import content_key
from glocalseg.records.sealed import CorruptedError


@dataclass(frozen=True)
class Place:
    """Where a job's inputs lie and where its result goes; nothing in it can change a number.

    Args:
        record: ``run.json`` or ``manifest.json``, to be made in a folder of its own.
        label: what people call the job.
        data: ``manifest.json`` of the slice store.
        start: ``run.json`` of the run that it starts from, or that it scores.
        weights: file with the encoder's bought-in weights.
    """

    record: Path
    label: str
    data: Path | None = None
    start: Path | None = None
    weights: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder that the job fills."""
        return self.record.parent

    @property
    def key(self) -> str:
        """The job's key, which its folder is called by."""
        return self.folder.name

    def require(self, *, data: str, start: str | None) -> None:
        """Raise CorruptedError if the inputs are not those of these keys, which a specification names."""
        for what, record, key in (("data", self.data, data), ("start", self.start, start)):
            found = record.parent.name if record is not None else None
            if found != key:
                raise CorruptedError(f"{self.label}: expected {what} of key {key}, found {record}")


class Spec(Model):
    """What is to be made; ``code`` stands for the code that makes it (``records.generations``)."""

    kind: ClassVar[str]
    code: str

    @cached_property
    def key(self) -> str:
        """Ten hex digits that stand for everything that the result depends on."""
        return content_key({"kind": self.kind, **keyed(self)})

    def dump(self) -> dict[str, Any]:
        """The specification as its record holds it: JSON-able, complete, its key among its values."""
        return {"key": self.key, **keyed(self)}


class DataSpec(Spec):
    """A slice store. ``identity`` stands for the contents of the data set's cases."""

    kind: ClassVar[str] = "data"
    identity: str
    preparation: Preparation


class RunSpec(Spec):
    """What every job on a slice store has: the store's key, the network, its seed, and the key of the run that it starts from.

    ``network.weights`` is the sha256 of the file, not its path.
    """

    data: str
    network: NetworkConfig
    threads: int
    seed: int
    start: str | None


class PretrainSpec(RunSpec):
    """A pretraining. ``config`` lacks the fields that the strategy says it does not read; ``split`` holds the pool alone."""

    kind: ClassVar[str] = "pretrain"
    level: Literal["global", "local"]
    strategy: str
    options: Options
    config: SerializeAsAny[PretrainConfig]
    split: SplitSpec


class DiagnoseSpec(RunSpec):
    """Label-free tests of a pretraining, or of random weights; ``blocks`` decoder blocks give the local map."""

    kind: ClassVar[str] = "diagnose"
    blocks: int | None
    partitions: int
    partition_bounds: Literal["paper", "release"]
    split: SplitSpec


class FeaturesSpec(RunSpec):
    """Features of all slices of a store, of a network that stays as it is; ``seed`` is 0 where its weights are bought in."""

    kind: ClassVar[str] = "features"
    blocks: int
    upsampling: float


class FinetuneSpec(RunSpec):
    """A fine-tuning. ``split`` holds training, validation and test volumes, and the pool where the regime reads it."""

    kind: ClassVar[str] = "finetune"
    regime: str
    options: Options
    config: FinetuneConfig
    split: SplitSpec


class HeadSpec(FinetuneSpec):
    """A fine-tuning of a head alone; ``start`` is the key of the features that it reads."""

    kind: ClassVar[str] = "head"


class UntrainedSpec(Spec):
    """Labels without training, by a control of ``methods.untrained``; ``split`` holds training and test volumes."""

    kind: ClassVar[str] = "untrained"
    data: str
    regime: str
    options: Options
    split: SplitSpec


class ScoreSpec(Spec):
    """The scores of a fine-tuning's predictions against the native labels of a slice store."""

    kind: ClassVar[str] = "score"
    data: str
    start: str


class ReportSpec(Spec):
    """A report: the benchmark as it runs, its cards, the records of all its runs, and the texts that it shows.

    ``words`` is what methods and metrics say of themselves, in docstrings that no other key holds.
    """

    kind: ClassVar[str] = "report"
    benchmark: Mapping[str, Any]
    cards: Mapping[str, Any]
    runs: tuple[str, ...]
    templates: Mapping[str, str]
    words: Mapping[str, tuple[str, ...]]
