"""How everything was trained and judged, and what was done where the paper and its release differ: from the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Literal

from glocalseg.config.benchmark import SUPERVISED, Benchmark
from glocalseg.config.settings import AugmentConfig, LocalConfig, PretrainConfig
from glocalseg.evaluation.metrics import METRICS
from glocalseg.evaluation.statistics.arrays import MIN_REPEATS
from glocalseg.methods.catalogue import Entry, strategies, untrained
from glocalseg.report.text.about.methods import is_control, reads, uses
from glocalseg.report.text.fact import Fact, listed
from glocalseg.report.text.names import display

REGIONS = 13  # of a local strategy, where its options say nothing else (docs/method.md 5)
_LOSSES = {"dice": "soft Dice", "dice_ce": "soft Dice plus cross-entropy"}
_SELECTION = {
    "validation": "those with the best mean Dice on the validation volumes, looked at every {steps} steps",
    "labelled": "those with the best mean Dice on the labelled volumes that are trained on, looked at every {steps} steps",
    "none": "those of the last step",
}
Level = Literal["global", "local"]


@dataclass(frozen=True)
class Switch:
    """A difference between paper and release: the settings that choose, and what each choice means."""

    title: str
    paths: tuple[str, ...]
    paper: str
    release: str


SWITCHES = {
    "D6": Switch(
        "intensity of views", ("pretrain_global.views.scalars", "pretrain_local.views.scalars"),
        "every image has its own brightness and contrast", "one brightness per batch, contrast tied to it",
    ),
    "D7": Switch(
        "borders of partitions", ("pretrain_global.partition_bounds", "pretrain_local.partition_bounds"),
        "proportional, every slice is used", "slices left over at the end of a volume are never used",
    ),
    "D9": Switch(
        "projection of regions", ("pretrain_local.region_projection",),
        "none beyond the 1 × 1 convolutions", "one more shared projection of a region to 128 values",
    ),
    "D11": Switch(
        "intensity changes in fine-tuning", ("finetune.augment.intensity",),
        "applied", "computed and dropped, so without effect",
    ),
    "D21": Switch(
        "frozen encoder's batch norm", ("pretrain_local.frozen_batchnorm",),
        "running averages", "statistics of the batch",
    ),
}  # fmt: skip


def settings(b: Benchmark) -> list[Fact]:
    """The protocol in a few lines: network, pretraining, fine-tuning, statistics."""
    n, s, f = b.network, b.statistics, b.finetune
    channels = f", channels {', '.join(map(str, n.channels))}" if n.encoder == "unet" else ""
    levels = f"{n.levels} levels" if n.levels else "as many levels as the frame allows"
    regimes = any(m.regime != SUPERVISED and m.regime not in untrained() for m in b.methods)
    measured = [metric.title for metric in METRICS.values() if metric.summary != "sum"]
    return [
        Fact("Network", f"{n.encoder}{channels}; {levels}; precision {n.precision}; CPU threads per run: {b.threads}"
             + _otherwise(b, "network", "threads")),
        *_pretraining(b, "global"),
        *_pretraining(b, "local"),
        Fact("Fine-tuning", _finetuning(b) + _otherwise(b, "finetune", "regimes")),
        Fact("Loss of fine-tuning", f"{_LOSSES[f.loss]}" + ("; a regime may add its own" if regimes else "")),
        Fact("Augmentation of fine-tuning", _augmentation(f.augment)),
        Fact("Weights", _SELECTION[f.selection].format(steps=f.validate_every)),
        Fact("Runs", f"{', '.join(map(str, b.budgets))} labelled volumes to train on; {_repeats(b)}"),
        Fact("Evaluation", f"3-D {listed(measured)} on the native grid, per volume and structure, no post-processing"),
        Fact("Dice of a subject", "structures averaged, then the subject's volumes; a structure that a volume's truth lacks is "
             "left out for all methods"),
        Fact("Intervals", f"{100 * s.confidence:g}%, with test subjects and repeats as random factors; Student's t with "
             "Satterthwaite's degrees of freedom"),
        Fact("Comparisons", "paired on subjects and repeats; exact p values by turning the signs of repeats, corrected within "
             "each declared family by the largest statistic (max-T)"),
        Fact("Declared before the run", _declared(b)),
        Fact("Verdicts", f"better or worse: corrected p below {1 - s.confidence:.2g} and an interval that leaves zero out; "
             f"equivalent: an interval within ±{s.margin:g} Dice; undecided otherwise; none below {MIN_REPEATS} repeats, or "
             "where repeats share volumes or seeds"),
    ]  # fmt: skip


def _repeats(b: Benchmark) -> str:
    """How many repeats there are, and what is a repeat's own."""
    count = len(b.all_repeats)
    if isinstance(b.repeats, int):
        own = "each with its own choice of them, pretraining and fine-tuning seed, the same for every method"
        return f"{count} repeat{'s' if count > 1 else ''}, {own}"
    names = ", ".join(repeat.name for repeat in b.all_repeats)
    return f"{count} listed repeats of choices, pretraining seeds and fine-tuning seeds: {names}"


def _declared(b: Benchmark) -> str:
    """The comparisons that a benchmark is made for."""
    primary = (
        " against ".join(display(m) for m in b.primary) + ", at the smallest number of labelled volumes" if b.primary else ""
    )
    claims = ", ".join(f"{display(method)} against {display(other)}" for method, other in b.claims)
    controls = [display(m.id) for m in b.methods if is_control(m)]
    said = [
        f"primary: {primary or 'none'}",
        f"claims: {claims or 'none'}",
        "every other method against random weights",
        *([f"controls: {listed(controls)}"] if controls else []),
    ]
    return "; ".join(said)


def _otherwise(b: Benchmark, *sections: str) -> str:
    """Who sets something in a section otherwise, if anyone."""
    who = [display(m.id) for m in b.methods if any(f"{path}.".startswith(f"{s}.") for path in m.set_ for s in sections)]
    return f"; {listed(who)} set{'s' if len(who) == 1 else ''} some of it otherwise" if who else ""


def _pretraining(b: Benchmark, level: Level) -> list[Fact]:
    """The settings of a level that its strategies read, if there are any strategies."""
    names = [name for m in b.methods if (name := m.global_ if level == "global" else m.local)]
    used = [strategies()[name] for name in dict.fromkeys(names)]
    if not used:
        return []
    p = b.pretrain_global if level == "global" else b.pretrain_local
    pieces = [*_common(p), *(_local(b, p, used) if isinstance(p, LocalConfig) else ())]
    said = [f"{text}{_unread(used, path)}" for path, text in pieces if any(reads(entry, path) for entry in used)]
    sections = (f"pretrain_{level}", *(f"strategies.{entry.name}" for entry in used))
    return [Fact(f"{level.capitalize()} pretraining", "; ".join(said) + _otherwise(b, *sections))]


def _unread(used: list[Entry], path: str) -> str:
    without = [entry.symbol for entry in used if not reads(entry, path)]
    return f" (not {listed(without)})" if without else ""


def _common(p: PretrainConfig) -> list[tuple[str, str]]:
    """Settings of pretraining with the path of the field that each sentence is about."""
    v = p.views
    return [
        ("steps", f"{p.steps} steps of {p.images} images, learning rate {p.learning_rate:g}"),
        ("temperature", f"temperature {p.temperature:g}"),
        ("partitions", f"{p.partitions} partitions of a volume"),
        ("views.crop", f"views cropped to {100 * v.crop:.0f}% of the side"),
        ("views.brightness", f"brightness of views ±{v.brightness:g}"),
        ("views.contrast", f"contrast ±{v.contrast:g}"),
        ("views.clip", f"clipped to {v.clip[0]:g} to {v.clip[1]:g}"),
    ]


def _local(b: Benchmark, p: LocalConfig, used: list[Entry]) -> list[tuple[str, str]]:
    counts = dict.fromkeys(str(b.strategies.get(entry.name, {}).get("regions", REGIONS)) for entry in used)
    blocks = f"{p.blocks} decoder blocks" if p.blocks else "decoder blocks up to a quarter of the frame's resolution"
    return [
        ("region_size", f"{' or '.join(counts)} regions of {p.region_size} × {p.region_size}"),
        ("blocks", blocks),
        ("frozen_batchnorm", "the encoder frozen"),
    ]


def _finetuning(b: Benchmark) -> str:
    f, rate = b.finetune, b.regimes.get(SUPERVISED, {}).get("encoder_rate", 1)
    schedule = "constant" if f.schedule == "constant" else f"cosine decay after {100 * f.warmup:g}% warm-up"
    return f"{f.steps} steps of {f.batch} slices, learning rate {f.learning_rate:g} ({schedule}); {_trained(rate)}"


def _trained(rate: float) -> str:
    """Which weights are trained, by the encoder's share of the learning rate."""
    if rate == 1:
        return "all weights are trained"
    return f"the encoder at {rate:g} of it" if rate else "all weights but the encoder's are trained"


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
    """Where the authors' release and the paper differ (docs/method.md 9), what this benchmark did."""
    facts = [
        Fact(f"{key}: {switch.title}", said) for key, switch in SWITCHES.items() if (said := _chosen(b, switch)) is not None
    ]
    options = [
        f"{display(name)} {key} = {v}" for name, own in {**b.strategies, **b.regimes}.items() for key, v in own.items()
    ]
    default = "none: each strategy as its file has it, which is the paper's way (D1, D3, D4)"
    return [
        *facts,
        Fact("Options of single strategies", "; ".join(options) + "; otherwise as the paper" if options else default),
    ]


def _chosen(b: Benchmark, switch: Switch) -> str | None:
    """What the methods chose, and who chose what where they differ; None if none of them reads the setting."""
    chosen: dict[str, list[str]] = {}
    for path in switch.paths:
        for method in uses(b, path):
            value = str(reduce(getattr, path.split("."), b.settings(method)))
            who = chosen.setdefault(value, [])
            who += [] if display(method.id) in who else [display(method.id)]
    if not chosen:
        return None
    words = {"paper": switch.paper, "release": switch.release}
    if len(chosen) == 1:
        return "".join(f"{value}: {words[value]}" for value in chosen)
    return "; ".join(f"{value}: {words[value]} ({listed(who)})" for value, who in chosen.items())
