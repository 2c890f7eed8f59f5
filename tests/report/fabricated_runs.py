"""A small plan whose run folders hold made-up numbers, in the format of the real ones: for tests of the report alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glocalseg.config.benchmark import Benchmark
from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import write_store
from glocalseg.evaluation.metrics import METRICS
from glocalseg.evaluation.predictions import LAST, PREDICTIONS, write_predictions
from glocalseg.methods.catalogue import regimes
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.sealed import FAILURE, seal
from glocalseg.report.collected.signs import declaring
from glocalseg.stages.score import COLUMNS, SCORES
from glocalseg.stages.specs import FinetuneSpec

EFFECT = {"random": 0.0, "gr": 0.012, "gd_minus": 0.03, "gd": 0.04, "pcl": 0.034, "gd+lr": 0.036, "gd+ld": 0.03}
LEVEL = {"1": 0.66, "2": 0.75, "8": 0.82, "all": 0.87}
SPACING = (1.5, 1.0, 1.0)
Line = dict[str, Any]
POOL = [f"p{i:02d}_L" for i in range(20)]  # the unlabelled volumes
VALIDATION = ["v0_L", "v1_L"]
CONTROLS: tuple[Line, ...] = (
    {"regime": "atlas", "control": True},
    {"name": "random_again", "other_seeds": True, "control": True},
    {"name": "random_long", "control": True, "set": {"finetune.steps": 500}},
)


@dataclass(frozen=True)
class Size:
    """How much to make up.

    ``lines`` are further methods, as a benchmark writes them; ``bare`` volumes, the first of the pool, have no label; runs whose
    labels (without the data set) are in ``failing`` lose a structure; validation of cells in ``rising`` (their labels without the
    repeat) still rises at the end. ``gains`` multiplies what pretraining gives, ``spread`` is the standard deviation of
    Dice between seeds. Runs in ``missing`` (labels without the data set) were not made; where a reason stands there, the run left
    it. ``more`` are further settings of the benchmark.
    """

    datasets: tuple[str, ...] = ("toy_a",)
    methods: tuple[str, ...] = ("random", "gd", "gd+lr")
    lines: tuple[Line, ...] = ()
    budgets: tuple[int, ...] = (1, 2)
    repeats: int | tuple[Line, ...] = 7
    subjects: int = 5
    grid: tuple[int, int, int] = (8, 22, 20)
    steps: int = 60
    bare: int = 0
    failing: tuple[str, ...] = ()
    rising: tuple[str, ...] = ()
    gains: float = 1.0
    spread: float = 0.004
    missing: Mapping[str, str] = field(default_factory=dict)
    more: Line = field(default_factory=dict)


_SQUARE = tuple({"draw": i + 1, "pretraining": j, "finetuning": (i + j) % 3} for i in range(3) for j in range(3))
_SIGNS: tuple[Line, ...] = (
    {"regime": "uamt"},
    {"regime": "fixmatch"},
    {"global": "vicreg"},
    {"global": "gd", "local": "lr_geo"},
)
_SWITCHED: tuple[Line, ...] = (
    {"global": "gd", "name": "gd_scalars", "set": {"pretrain_global.views.scalars": "release"}},
    {"global": "gd", "name": "gd_cross_views", "set": {"strategies.gd.cross_views": "release"}},
    {"global": "gd", "name": "gd_release", "set": {
        "pretrain_global.views.scalars": "release", "strategies.gd.cross_views": "release",
    }},
    *({"global": "gd", "name": f"gd_pool{k}", "set": {"pool": f"{k}%"}} for k in (10, 30)),
    *({"global": "gd", "name": f"gd_s{k}", "set": {"pretrain_global.partitions": k}} for k in (3, 6, 8)),
    *({"global": "gd", "local": "lr", "name": f"lr_blocks{k}", "set": {"pretrain_local.blocks": k}} for k in (1, 2)),
    {"name": "random_half", "set": {"finetune.batch": 10}},
)  # fmt: skip
_RATES = tuple({"name": f"gd_{k}", "global": "gd", "set": {"finetune.learning_rate": k / 1e4}} for k in range(11, 38))

# One benchmark of each kind that a page must say the right thing of.
KINDS: Mapping[str, Size] = {
    "too_small": Size(repeats=3, subjects=3),
    "undecided": Size(repeats=8, subjects=4, gains=0, spread=0.03),
    "equivalent": Size(repeats=8, subjects=4, gains=0, more={"statistics": {"margin": 0.03}}),
    "found": Size(repeats=8, subjects=4, methods=("random", "gr", "gd", "gd+lr"), budgets=(1, 2, 8)),
    "failures": Size(
        repeats=8, subjects=4, failing=("random n1 r2", "random n1 r5", "random n2 r1", "gd n1 r4", "gd+lr n1 r5"),
        rising=("random n1",),
    ),
    "missing": Size(
        repeats=8, subjects=4, missing={
            "gd+lr n1 r2": "OutOfMemoryError: expected 2 GB of memory, found 1", "gd n2 r1": "", "gd n2 r7": "",
        },
    ),
    "three_datasets": Size(datasets=("toy_a", "toy_b", "toy_c"), repeats=6, subjects=3),
    "thirty_methods": Size(methods=("random", "gd", "gd+lr"), lines=_RATES, budgets=(1,), repeats=6, subjects=2),
    "latin_square": Size(repeats=_SQUARE, subjects=3, budgets=(1,)),
    "diagnostics": Size(repeats=6, subjects=3, lines=_SIGNS),
    "switches": Size(repeats=6, subjects=3, lines=_SWITCHED, budgets=(2,), more={
        "statistics": {"claims": [[line["name"], "gd"] for line in _SWITCHED[:8]]},
    }),
    "controls": Size(repeats=8, subjects=4, methods=("random", "gd+lr"), lines=CONTROLS),
}  # fmt: skip


def make_benchmark(size: Size) -> Benchmark:
    parts = [m.split("+") for m in size.methods]
    methods: list[Line] = [{} if p == ["random"] else {"global": p[0], **({"local": p[1]} if p[1:] else {})} for p in parts]
    pretrain = {"steps": size.steps, "images": 16}
    return Benchmark.model_validate({
        "name": "toy", "title": "A made-up benchmark with 100% <invented> numbers", "datasets": list(size.datasets),
        "methods": [*methods, *size.lines], "budgets": list(size.budgets),
        "repeats": size.repeats if isinstance(size.repeats, int) else list(size.repeats),
        "pretrain_global": pretrain, "pretrain_local": pretrain, "finetune": {"steps": size.steps, "loss": "dice_ce"},
        "strategies": {"gd": {"views": "release"}}, **size.more,
    })  # fmt: skip


def make_card(name: str, size: Size) -> Card:
    return Card.model_validate({
        "name": name, "title": f"Toy & Co_{name[-1]}", "modality": "MR", "subjects": 30, "licence": "CC0",
        "citation": ["A. Nobody, 50% of Nothing & more_things, 2020"], "reader": "folders",
        "source": {"kind": "archive", "url": "https://example.org/toy.tar", "size": 1, "sha256": "a" * 64},
        "structures": {1: "anterior_part", 2: "posterior"}, "slice_axis": "A",
        "frame": {"spacing": [1.0, 1.0], "size": [24, 16]}, "subject": {"pattern": "(.*)_.*"},
        "splits": {"kind": "rule", "test": size.subjects, "validation": 2, "seed": 1},
    })  # fmt: skip


def fabricate(root: Path, size: Size | None = None) -> Plan:
    """Write every run folder of a plan below ``root`` but those that are missing; return the plan."""
    size = size or Size()
    cards = {name: make_card(name, size) for name in size.datasets}
    plan = make_plan(make_benchmark(size), cards, lock_folder=root)
    make: dict[str, Callable[[Path, Job, Size, Card], None]] = {
        "data": _store, "pretrain_global": _pretraining, "pretrain_local": _pretraining, "diagnose": _diagnosis,
        "finetune": _finetuning, "score": _scoring,
    }  # fmt: skip
    for job in plan.jobs.values():
        reason = _missing(job, size)
        if reason:
            error, _, message = reason.partition(": ")
            note = root / job.record.parent / FAILURE
            note.parent.mkdir(parents=True)
            note.write_text(json.dumps({"error": error, "message": message}), encoding="utf-8")
        elif job.phase != "report" and reason is None:
            (root / job.record.parent).mkdir(parents=True)
            make[job.phase](root, job, size, cards[job.dataset])
    return plan


def _rng(*words: Any) -> np.random.Generator:
    return np.random.default_rng(list(" ".join(map(str, words)).encode()))


def _volumes(size: Size) -> list[tuple[str, str]]:
    return [(f"s{i:02d}_{side}", f"s{i:02d}") for i in range(size.subjects) for side in "LR"]


def _label(volume: str, size: Size) -> np.ndarray:
    depth, height, width = size.grid
    z, y, x = np.mgrid[:depth, :height, :width]
    shift = _rng(volume).uniform(-1.5, 1.5, 2)
    inside = ((z - depth / 2) / (depth / 2.4)) ** 2 + ((y - height / 2 - shift[0]) / (height / 4)) ** 2
    inside = inside + ((x - width / 2 - shift[1]) / (width / 5)) ** 2 < 1
    return (inside * np.where(z < depth / 2, 2, 1)).astype(np.uint8)


def _store(root: Path, job: Job, size: Size, card: Card) -> None:
    depth, height, width = size.grid
    names = [*_volumes(size), *((v, v.split("_")[0]) for v in [*VALIDATION, *POOL])]
    labelled = np.array([v not in POOL[: size.bare] for v, _ in names])
    labels = [_label(v, size) * np.uint8(has) for (v, _), has in zip(names, labelled, strict=True)]
    frames = []
    for (volume, _), label in zip(names, labels, strict=True):
        image = (0.4 * label + _rng("image", volume).normal(0, 0.25, label.shape)).astype(np.float32)
        frame = np.zeros((depth, 24, 16), np.float32)  # padded by 1 above, cut by 2 on either side
        frame[:, 1:23] = image[:, :, 2:18]
        frames.append(frame)
    images = np.concatenate(frames)
    count = len(labels)
    volumes = pd.DataFrame({
        "volume": [v for v, _ in names], "subject": [s for _, s in names],
        "first_slice": np.arange(count) * depth, "depth": depth, "height": height, "width": width, "spacing_depth": SPACING[0],
        "spacing_height": SPACING[1], "spacing_width": SPACING[2], "resampled_height": height, "resampled_width": width,
        "native_offset": np.arange(count) * depth * height * width, "labelled": labelled,
    })  # fmt: skip
    slices = pd.DataFrame({
        "subject": np.repeat(volumes["subject"].to_numpy(), depth), "volume": np.repeat(volumes["volume"].to_numpy(), depth),
        "slice": np.tile(np.arange(depth), count), "position": np.tile((np.arange(depth) + 0.5) / depth, count),
    })  # fmt: skip
    native = np.concatenate([n.ravel() for n in labels])
    blank = np.zeros(images.shape, np.uint8)
    write_store(
        root / job.record, images=images, labels=blank, native_labels=native, slices=slices, volumes=volumes,
        preparation=card.preparation, manifest={"spec": job.spec.dump(), "verified": {
            "notes": ["imagesTr/a.nii.gz: 3.2% of its voxels hold -1024"], "subjects": 30, "volumes": 60,
            "labelled": 60 - size.bare,
            "losses": {"anterior_part": {"native": 200.0, "resampled": 198.0, "framed": 190.0},
                       "posterior": {"native": 100.0, "resampled": 100.0, "framed": 100.0}},
        }},
    )  # fmt: skip


def _common(job: Job, rate: float, seconds: float) -> dict[str, Any]:
    return {
        "spec": job.spec.dump(), "label": job.label,
        "device": {"type": "cpu", "name": "Toy processor", "precision": "bfloat16", "threads": 1},
        "timing": {"wall_seconds": seconds, "train_seconds": seconds * 0.8, "test_seconds": seconds * 0.15,
                   "images_per_second": rate, "peak_memory_mb": 512.0},
        "environment": {"python": "3.11.2", "packages": {"torch": "2.13.0"}, "system": "Toy", "commit": "c0ffee"},
    }  # fmt: skip


def _pretraining(root: Path, job: Job, size: Size, card: Card) -> None:
    folder = root / job.record.parent
    rng = _rng(job.label)
    steps = np.arange(1, size.steps + 1)
    floor = 0.05 if job.phase == "pretrain_local" else 2.2
    loss = floor + 2 * np.exp(-steps / 15) + rng.normal(0, 0.03, len(steps))
    logged = {"step": steps, "loss": loss, **_signs(job, steps), "learning_rate": 1e-3, "images_per_second": 800.0}
    pd.DataFrame(logged).to_csv(folder / "log.csv", index=False)
    seal(root / job.record, {**_common(job, 840 + rng.normal(0, 20), 50.0), "pool": POOL})


def _signs(job: Job, steps: np.ndarray) -> dict[str, np.ndarray]:
    """What a method declares, from 0.1 to about 0.9, and a column that nobody declares."""
    entry = declaring(job)
    if entry is None or not entry.diagnostics:
        return {}
    end = 0.9 + _rng(job.label, "signs").normal(0, 0.02)
    course = 0.1 + (end - 0.1) * (steps - steps[0]) / (steps[-1] - steps[0])
    return {**dict.fromkeys(entry.diagnostics, course), "undeclared": steps * 1.0}


def _diagnosis(root: Path, job: Job, size: Size, card: Card) -> None:
    folder = root / job.record.parent
    rng = _rng(job.label)
    known = {"random": 0.81, "gr": 0.95, "gd": 0.91, "pcl": 0.97}.get(job.name, 0.96)
    same = 0.98 if "+" in job.chain else 0.12
    values = {"position_r2": known + rng.normal(0, 0.005), "same_place": same, "same_place_chance": 1 / 144}
    (folder / "diagnostics.json").write_text(json.dumps(values), encoding="utf-8")
    position = np.tile((np.arange(20) + 0.5) / 20, 12)
    basis = rng.normal(size=(2, 16))
    angle = 2.4 * position[:, None] * (1 if job.name != "random" else 0.4)
    features = np.cos(angle) * basis[0] + np.sin(angle) * basis[1] + rng.normal(0, 0.25, (len(position), 16))
    np.savez(
        folder / "embeddings.npz", features=features.astype(np.float32), position=position,
        partition=(position * 4).astype(np.int64), volume=np.repeat([f"v{i}" for i in range(12)], 20),
        subject=np.repeat([f"s{i}" for i in range(12)], 20),
    )  # fmt: skip
    seal(root / job.record, _common(job, float("nan"), 3.0) | {"timing": {"wall_seconds": 3.0}})


def _dice(job: Job, size: Size, volume: str, subject: str) -> float:
    base = _base(job, size)
    return base + _rng("subject", subject).normal(0, 0.05) + _rng(job.label, volume).normal(0, 0.015)


def _base(job: Job, size: Size) -> float:
    budget = str(job.budget)
    draw = job.repeat.draw if job.repeat else 0
    base = LEVEL[budget] + _bad(job) + _rng("draw", budget, draw).normal(0, 0.02)
    return (
        base
        + size.gains * EFFECT.get(job.chain, 0.02) * (0.4 if budget == "8" else 1)
        + _rng(job.name, "seed", job.repeat).normal(0, size.spread)
    )


def _bad(job: Job) -> float:
    """The second choice of one volume is a bad one."""
    return -0.1 if str(job.budget) == "1" and job.repeat and job.repeat.draw == 2 else 0.0


def _cell(job: Job) -> str:
    """A run's label without data set and repeat: ``gd n1``."""
    return f"{job.name} n{job.budget}"


def _fails(job: Job, size: Size) -> bool:
    return job.repeat is not None and f"{_cell(job)} {job.repeat.name}" in size.failing


def _missing(job: Job, size: Size) -> str | None:
    """Why a fine-tuning was not made, empty if nobody knows; None if it was. What was not trained is not scored."""
    if job.phase not in ("finetune", "score") or job.repeat is None:
        return None
    reason = size.missing.get(f"{_cell(job)} {job.repeat.name}")
    return "" if reason and job.phase == "score" else reason


def _finetuning(root: Path, job: Job, size: Size, card: Card) -> None:
    folder, budget = root / job.record.parent, str(job.budget)
    scores = {volume: _dice(job, size, volume, subject) for volume, subject in _volumes(size)}
    found = {v: np.roll(_label(v, size), 1 if d < LEVEL[budget] else 0, axis=2) for v, d in scores.items()}
    if not isinstance(job.spec, FinetuneSpec):
        write_predictions(folder / PREDICTIONS, found)
        split = _split(job, size)
        common = {k: v for k, v in _common(job, float("nan"), 0.5).items() if k != "device"}
        seal(root / job.record, {**common, "timing": {"wall_seconds": 0.5}, **split})
        return
    selection = job.spec.config.selection
    for name in (PREDICTIONS, *([] if selection == "none" else [LAST])):
        write_predictions(folder / name, found)
    steps = np.arange(10, size.steps + 1, 10)
    curve = _base(job, size) * (1 - np.exp(-steps / (25 if _cell(job) in size.rising else 6)))
    looked = [] if selection == "none" else list(zip(steps, curve, strict=True))
    validation = [(s, n, v) for s, v in looked for n in ("anterior_part", "posterior", "mean")]
    pd.DataFrame(validation, columns=["step", "structure", "dice"]).to_csv(folder / "validation.csv", index=False)
    pd.DataFrame({"step": steps, "loss": 1 - curve, **_signs(job, steps)}).to_csv(folder / "log.csv", index=False)
    best = None if selection == "none" else {"step": 50, "dice": 0.8}
    seal(root / job.record, {**_common(job, 280.0, 25.0), **_split(job, size), "best": best})


def _split(job: Job, size: Size) -> Line:
    """The lists of a run, and who each volume is of."""
    count, draw = 20 if job.budget == "all" else int(job.budget or 0), job.repeat.draw if job.repeat else 1
    tuned = isinstance(job.spec, FinetuneSpec)
    selected = tuned and job.spec.config.selection == "validation"  # type: ignore[union-attr]
    split = {
        "train": [f"p{(i + 3 * draw) % 20:02d}_L" for i in range(count)], "validation": VALIDATION if selected else [],
        "test": [v for v, _ in _volumes(size)],
        "unlabelled": POOL if tuned and regimes()[job.spec.regime].unlabelled else [],  # type: ignore[union-attr]
    }  # fmt: skip
    return {"split": split, "subjects": {v: v.split("_")[0] for volumes in split.values() for v in volumes}}


def _scoring(root: Path, job: Job, size: Size, card: Card) -> None:
    assert job.start
    last = ["last"] if (root / job.start).with_name(LAST).is_file() else []
    rows = [row for weights in ("selected", *last) for row in _score_rows(job, size, weights)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(root / job.record.parent / SCORES, index=False)
    payload = {k: v for k, v in _common(job, float("nan"), 1.0).items() if k != "device"}
    seal(root / job.record, {**payload, "timing": {"wall_seconds": 1.0}})


def _score_rows(job: Job, size: Size, weights: str) -> list[tuple[Any, ...]]:
    rows = []
    for volume, subject in _volumes(size):
        score = _dice(job, size, volume, subject) - (0.01 if weights == "last" else 0)
        for structure, shift in (("anterior_part", -0.02), ("posterior", 0.02)):
            unlucky = bool(_bad(job)) and _rng(job.label, volume, "empty").random() < 0.2
            empty = structure == "posterior" and (unlucky or _fails(job, size))
            dice = 0.0 if empty else float(np.clip(score + shift, 0, 1))
            found = {
                "dice": dice,
                "nsd": dice**0.5,
                "hd95": 12 * (1 - dice),
                "assd": 4 * (1 - dice),
                "lost": 0.0,
                "stray": float("nan"),  # both structures are in every volume
            }
            for name, metric in METRICS.items():
                worst = float(np.linalg.norm(np.multiply(size.grid, SPACING))) if metric.lost == "diagonal" else metric.lost
                value = round(worst if empty else found.get(name, 0.5), 6)
                rows.append((subject, volume, structure, name, weights, value))
    return rows


def without_pictures(patch: pytest.MonkeyPatch) -> None:
    """Drawing takes nearly all the time of a report, and most tests are about the rest."""
    patch.setattr("glocalseg.report.build._plots", lambda *_: [])
    patch.setattr("glocalseg.report.build.data_pages", lambda *_: {})
