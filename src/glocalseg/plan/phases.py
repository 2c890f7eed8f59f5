"""The table of phases: what each is called, where its records lie, who makes it. Rules, DVC, prune and the report ask here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PhaseName = Literal["data", "pretrain_global", "pretrain_local", "diagnose", "features", "finetune", "score", "report"]
STORE, RUN = "manifest.json", "run.json"


@dataclass(frozen=True)
class Phase:
    """One kind of job.

    ``pattern`` is the path of its record, relative to the repository's root, with the fields of a job in braces; ``stage`` is the
    stage of dvc.yaml that keeps it; ``trains`` says whether it takes optimiser steps. ``kept`` are the files that a published
    report keeps of a job beside its record: small ones, and none that shows an image or holds what a network sees in one.
    """

    title: str
    pattern: str
    stage: str
    trains: bool = False
    kept: tuple[str, ...] = ()

    def record(self, **fields: object) -> Path:
        """The record of a job. Raises KeyError if a field of the pattern is missing."""
        return Path(self.pattern.format(**fields))

    @property
    def folder(self) -> Path:
        """Where all records of the phase lie, a folder a data set: the fixed beginning of its pattern."""
        return Path(self.pattern.split("/{")[0])

    @property
    def glob(self) -> str:
        """What matches everything that jobs of this phase make and that a key names: their folders, or a report's record."""
        path = self.pattern if self.stage == "report" else self.pattern.rsplit("/", 1)[0]
        parts = [_starred(part) for part in path.split("/")]
        return "/".join(parts)


def _starred(part: str) -> str:
    while "{" in part:
        part = part[: part.index("{")] + "*" + part[part.index("}") + 1 :]
    return part


_RUN = "results/{phase}/{{dataset}}/{{chain}}/seed{{seed}}/{{key}}/run.json"
_TUNED = "results/{phase}/{{dataset}}/{{chain}}/n{{budget}}/{{repeat}}/{{key}}/run.json"
PHASES: dict[PhaseName, Phase] = {
    "data": Phase("Preparation", "data/slices/{dataset}/{key}/manifest.json", "data", kept=("volumes.csv",)),
    "pretrain_global": Phase(
        "Global pretraining", _RUN.format(phase="pretrain_global"), "pretrain", trains=True, kept=("log.csv",)
    ),
    "pretrain_local": Phase(
        "Local pretraining", _RUN.format(phase="pretrain_local"), "pretrain", trains=True, kept=("log.csv",)
    ),
    "diagnose": Phase("Diagnostics", _RUN.format(phase="diagnose"), "pretrain", kept=("diagnostics.json",)),
    "features": Phase("Features", _RUN.format(phase="features"), "pretrain"),
    "finetune": Phase(
        "Fine-tuning", _TUNED.format(phase="finetune"), "finetune", trains=True, kept=("log.csv", "validation.csv")
    ),
    "score": Phase("Scores", _TUNED.format(phase="score"), "score", kept=("scores.csv",)),
    "report": Phase("Report", "results/{benchmark}/report-{key}.json", "report"),
}


def phase_of(record: Path) -> PhaseName:
    """The phase whose jobs leave a record there, by where it lies. Raises KeyError."""
    for name, phase in PHASES.items():
        if name != "report" and record.parts[: len(phase.folder.parts)] == phase.folder.parts:
            return name
    raise KeyError(str(record))
