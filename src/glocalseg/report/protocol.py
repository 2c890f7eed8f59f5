"""How the numbers were made, from the configuration and the runs' own records: settings, switches, data, provenance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from glocalseg.config import ArchiveSource, AugmentConfig, Benchmark, Card, FinetuneConfig, PretrainConfig, SplitRule
from glocalseg.plan import Plan
from glocalseg.report.bookkeeping import duration
from glocalseg.report.collect import Collected
from glocalseg.report.names import display

STRATEGIES = {
    "random": "Random weights; no pretraining.",
    "gr": "Global, random: two views of a slice attract, every other image repels (SimCLR).",
    "gd_minus": "Global, domain-aware negatives: views of a slice attract; only slices of other partitions of a volume repel.",
    "gd": "Global, domain-aware: as G^{D−}, and slices of the same partition in different volumes attract as well.",
    "pcl": "Positional: slices at a similar relative position in their volumes attract.",
    "lr": "Local, random: the same region in two views of a slice attracts, other regions repel; trains decoder blocks.",
    "ld": "Local, domain-aware: as L^{R}, and the same region of same-partition slices of other volumes attracts as well.",
}
_SWITCHES = {
    "D6": ("intensity of views", {"paper": "every image has its own brightness and contrast",
                                  "release": "one brightness per batch, contrast tied to it"}),
    "D7": ("borders of partitions", {"paper": "proportional, every slice is used",
                                     "release": "slices left over at the end of a volume are never used"}),
    "D9": ("projection of regions", {"paper": "none beyond the 1 × 1 convolutions",
                                     "release": "one more shared projection of a region to 128 values"}),
    "D11": ("intensity changes in fine-tuning", {"paper": "applied", "release": "computed and dropped, so without effect"}),
    "D21": ("frozen encoder's batch norm", {"paper": "running averages", "release": "statistics of the batch"}),
}  # fmt: skip
_LOSSES = {"dice": "soft Dice", "dice_ce": "soft Dice plus cross-entropy"}


@dataclass(frozen=True)
class Fact:
    """A label and what is said about it."""

    label: str
    value: str


@dataclass(frozen=True)
class DataFacts:
    """What a data set's card says, for a reader."""

    title: str
    facts: tuple[Fact, ...]
    citation: tuple[str, ...]


def methods(b: Benchmark) -> list[Fact]:
    """Each method's display name and what it does."""
    said = []
    for method in b.methods:
        parts = [p for p in (method.global_, method.local) if p] or ["random"]
        text = " ".join(STRATEGIES.get(p, f"Strategy {p}.") for p in parts)
        said.append(Fact(display(method.id), text if method.regime == "supervised" else f"{text} Regime: {method.regime}."))
    return said


def settings(b: Benchmark) -> list[Fact]:
    """The protocol in a few lines: network, pretraining, fine-tuning, statistics."""
    n, s = b.network, b.statistics
    channels = f", channels {', '.join(map(str, n.channels))}" if n.encoder == "unet" else ""
    levels = f"{n.levels} levels" if n.levels else "as many levels as the frame allows"
    return [
        Fact("Network", f"{n.encoder}{channels}; {levels}; precision {n.precision}; CPU threads per run: {b.threads}"),
        Fact("Global pretraining", _pretraining(b.pretrain_global)),
        Fact("Local pretraining", f"{_pretraining(b.pretrain_local, crop=False)}; {_regions(b)}"),
        Fact("Fine-tuning", _finetuning(b.finetune)),
        Fact("Loss of fine-tuning", f"{_LOSSES[b.finetune.loss]}, the same for every method"),
        Fact("Augmentation of fine-tuning", _augmentation(b.finetune.augment)),
        Fact("Checkpoint", f"the best of the validation volumes, looked at every {b.finetune.validate_every} steps"),
        Fact("Lost structures", f"recorded where the validation Dice is below {b.finetune.collapse_below:g}"),
        Fact("Runs", f"budgets {', '.join(map(str, b.budgets))}; up to {b.draws} draws; seeds {', '.join(map(str, b.seeds))}"),
        Fact("Evaluation", "3-D Dice, HD95 and ASSD in mm on the native grid, per volume and structure, no post-processing"),
        Fact("Dice of a subject", "structures averaged, then the subject's volumes; a structure absent from truth and prediction "
             "is left out"),
        Fact("Intervals", f"{100 * s.confidence:g}%, standard errors from {s.resamples} bootstrap resamples of subjects, draws "
             "and seeds, times Student's t for the few draws and seeds"),
        Fact("Comparisons", "paired on subjects, draws and seeds; Holm's correction within a data set"),
    ]  # fmt: skip


def _pretraining(p: PretrainConfig, *, crop: bool = True) -> str:
    v = p.views
    cut = f"crop to {100 * v.crop:.0f}% of the side, " if crop else "no crop, "
    return (
        f"{p.steps} steps of {p.images} images, learning rate {p.learning_rate:g}, temperature {p.temperature:g}; "
        f"views: {cut}brightness ±{v.brightness:g}, contrast ±{v.contrast:g}, clipped to "
        f"{v.clip[0]:g} to {v.clip[1]:g}"
    )


def _regions(b: Benchmark) -> str:
    p = b.pretrain_local
    blocks = f"{p.blocks} decoder blocks" if p.blocks else "decoder blocks up to a quarter of the frame's resolution"
    return f"13 regions of {p.region_size} × {p.region_size}; {blocks}; the encoder frozen"


def _finetuning(f: FinetuneConfig) -> str:
    schedule = "constant" if f.schedule == "constant" else f"cosine decay after {100 * f.warmup:g}% warm-up"
    return f"{f.steps} steps of {f.batch} slices, learning rate {f.learning_rate:g} ({schedule}); all weights are trained"


def _augmentation(a: AugmentConfig) -> str:
    parts = [
        f"rotation ±{a.rotation:g}°" if a.rotation else "",
        f"scale ±{100 * a.scale:g}%" if a.scale else "",
        "left-right flip" if a.flip else "",
        "multiples of 45°" if a.right_angles else "",
        f"elastic, {a.elastic:g} px of 192" if a.elastic else "",
        f"brightness ±{a.brightness:g} and contrast ±{a.contrast:g}" if a.intensity == "paper" else "",
    ]
    return ", ".join(p for p in parts if p) or "none"


def switches(b: Benchmark) -> list[Fact]:
    """Where the authors' release and the paper differ, what this benchmark did (METHOD.md 9)."""
    chosen = {
        "D6": b.pretrain_global.views.scalars,
        "D7": b.partition_bounds,
        "D9": b.pretrain_local.region_projection,
        "D11": b.finetune.augment.intensity,
        "D21": b.pretrain_local.frozen_batchnorm,
    }
    said = [Fact(f"{key}: {_SWITCHES[key][0]}", f"{value}: {_SWITCHES[key][1][value]}") for key, value in chosen.items()]
    options = [f"{display(name)} {key} = {v}" for name, own in b.strategies.items() for key, v in own.items()]
    default = "none: each strategy as its file has it, which is the paper's way (D1, D3, D4)"
    return [
        *said,
        Fact("Options of single strategies", "; ".join(options) + "; otherwise as the paper" if options else default),
    ]


def data(card: Card) -> DataFacts:
    """Source, size, licence and splits of a data set."""
    s = card.splits
    splits = (
        f"by rule, seed {s.seed}: {s.test} test and {s.validation} validation subjects, the rest is the training pool"
        if isinstance(s, SplitRule)
        else f"the paper's lists: {len(s.test)} test subjects, {len(s.pretrain)} for pretraining"
    )
    source = card.source
    checksum = []
    if isinstance(source, ArchiveSource):
        kind, value = ("sha256", source.sha256) if source.sha256 else ("md5", source.md5)
        checksum = [Fact("Archive", source.url or source.file_name), Fact(f"Archive's {kind}", str(value))]
    elif source.kind == "registration":
        checksum = [Fact("Source", f"{source.url} (registration)")]
    else:
        checksum = [
            Fact("Source", "generated by this project's phantom" if source.kind == "generated" else "a local folder")
        ]
    frame = card.frame
    facts = (
        Fact("Modality", card.modality),
        Fact("Subjects", str(card.subjects)),
        Fact("Structures", ", ".join(card.structures[k] for k in sorted(card.structures))),
        Fact("Slices", f"towards {card.slice_axis}; {frame.size[0]} × {frame.size[1]} pixels of "
             f"{frame.spacing[0]:g} × {frame.spacing[1]:g} mm; {card.partitions} partitions"),
        Fact("Intensity", f"percentiles {card.percentiles[0]:g} and {card.percentiles[1]:g} of a volume to 0 and 1"
             + ("; N4 bias correction" if card.bias_correction else "; no bias correction")),
        Fact("Splits", splits),
        Fact("Licence", card.licence),
        *checksum,
    )  # fmt: skip
    return DataFacts(card.title, facts, tuple(card.citation))


def provenance(plan: Plan, collected: Collected) -> list[Fact]:
    """Commits, packages, devices and keys of the runs, counted where runs differ."""
    environments = [p.get("environment", {}) for p in collected.payloads.values()]
    devices = [_device(p.get("device", {})) for p in collected.payloads.values()]
    total = float(collected.timings["wall_seconds"].sum())
    said = [
        Fact(
            "Runs", f"{len(collected.payloads)} finished, {len(collected.missing)} missing; every file's sha256 was checked"
        ),
        Fact("Computing time", f"{duration(total)}, runs added up"),
        Fact("Commit", _counted([str(e.get("commit") or "not recorded") for e in environments])),
        Fact("Python", _counted([str(e.get("python")) for e in environments])),
        Fact("Packages", _counted([_packages(e) for e in environments])),
        Fact("System", _counted([str(e.get("system")) for e in environments])),
        Fact("Device", _counted(devices)),
        Fact("Report", plan.report.record.stem.removeprefix("report-")),
    ]
    said += [Fact(f"Slice store, {job.dataset}", job.record.parent.name) for job in plan.of("data")]
    return said


def _packages(environment: dict[str, Any]) -> str:
    return ", ".join(f"{name} {found}" for name, found in environment.get("packages", {}).items())


def _device(device: dict[str, Any]) -> str:
    return f"{device.get('type')}, {device.get('name')}, {device.get('precision')}, threads: {device.get('threads')}"


def _counted(values: list[str]) -> str:
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return counts[0][0]
    return "; ".join(f"{value} ({n} runs)" for value, n in counts)
