"""A benchmark that trains in seconds: eight made-up volumes in a slice store, and the plan of a few short runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glocalseg.config.benchmark import Benchmark, parse_benchmark
from glocalseg.data.cards.card import Card
from glocalseg.data.slices.store import positions, write_store
from glocalseg.networks.unet import SegmentationNet
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.stages import finetune as finetune_stage
from glocalseg.stages import opening
from glocalseg.stages import pretrain as pretrain_stage
from glocalseg.stages.diagnose import diagnose
from glocalseg.stages.finetune import finetune
from glocalseg.stages.frozen.features import extract
from glocalseg.stages.frozen.head import tune_head
from glocalseg.stages.pretrain import pretrain
from glocalseg.stages.score import score
from glocalseg.stages.specs import HeadSpec, UntrainedSpec
from glocalseg.stages.untrained import label
from glocalseg.training.task import Task

SIDE, DEPTH, SUBJECTS = 32, 8, 9

CARD: dict[str, Any] = {
    "name": "made_up",
    "title": "Discs",
    "modality": "none",
    "subjects": SUBJECTS,
    "licence": "none",
    "citation": ["none"],
    "source": {"kind": "folder", "path": "nowhere"},
    "reader": "folders",
    "structures": {1: "disc", 2: "core"},
    "slice_axis": "S",
    "frame": {"spacing": [1.5, 1.5], "size": [SIDE, SIDE]},
    "subject": {"pattern": "(.*)"},
    "splits": {"kind": "rule", "test": 2, "validation": 2, "seed": 0},
}
BENCHMARK: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "datasets": ["made_up"],
    "methods": [{}, {"global": "gd"}, {"global": "gd", "local": "lr"}],
    "budgets": [2],
    "repeats": 1,
    "network": {"channels": [8, 12, 16, 16], "precision": "float32", "batchnorm_momentum": 0.1},
    "pretrain_global": {"steps": 6, "images": 24, "checkpoint_every": 2},
    "pretrain_local": {"steps": 6, "images": 8, "checkpoint_every": 2},
    "finetune": {"steps": 30, "batch": 8, "validate_every": 10, "checkpoint_every": 4, "learning_rate": 0.01},
}


def small_plan(**changes: Any) -> Plan:
    """The plan, with sections of the benchmark merged with ``changes``."""
    raw = {k: {**v, **changes.pop(k, {})} if isinstance(v, dict) else changes.pop(k, v) for k, v in BENCHMARK.items()}
    benchmark: Benchmark = parse_benchmark({**raw, **changes}, where="test")
    return make_plan(benchmark, {"made_up": Card.model_validate(CARD)}, lock_folder=Path("nowhere"))


def run_job(job: Job, root: Path) -> Path:
    """Run the stage of a job below a root; the folder that it made."""
    stages: dict[str, Any] = {
        "pretrain_global": pretrain, "pretrain_local": pretrain, "diagnose": diagnose, "finetune": finetune, "score": score,
        "features": extract,
    }  # fmt: skip
    others = {UntrainedSpec: label, HeadSpec: tune_head}
    stage = others.get(type(job.spec), stages[job.phase])
    stage(job.spec, job.place(root))
    return root / job.record.parent


def find(plan: Plan, phase: str, name: str, budget: int | str | None = None) -> Job:
    """The one job of a phase, name and budget."""
    (job,) = [j for j in plan.jobs.values() if (j.phase, j.name) == (phase, name) and budget in (None, j.budget)]
    return job


def write_data(root: Path, plan: Plan) -> None:
    """The slice store where the plan expects it: a disc with a core, its size growing and shrinking along the volume."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE]
    labels = np.zeros((SUBJECTS, DEPTH, SIDE, SIDE), np.uint8)
    for v in range(SUBJECTS):
        cy, cx = rng.uniform(12, 20, 2)
        for i in range(DEPTH):
            radius = np.hypot(y - cy, x - cx) / (5 + 4 * np.sin(np.pi * (i + 0.5) / DEPTH))
            labels[v, i] = np.where(radius < 0.5, 2, np.where(radius < 1, 1, 0))
    labels = labels.reshape(-1, SIDE, SIDE)
    images = 0.4 * labels + 0.1 * rng.random(labels.shape)
    names = [f"v{v}" for v in range(SUBJECTS)]
    slices = pd.DataFrame(
        {
            "subject": np.repeat(names, DEPTH),
            "volume": np.repeat(names, DEPTH),
            "slice": np.tile(np.arange(DEPTH), SUBJECTS),
            "position": np.tile(positions(DEPTH), SUBJECTS),
        }
    )
    volumes = pd.DataFrame({"volume": names, "subject": names, "first_slice": np.arange(SUBJECTS) * DEPTH})
    fixed = {
        "depth": DEPTH,
        "height": SIDE,
        "width": SIDE,
        "spacing_depth": 3.0,
        "spacing_height": 1.5,
        "spacing_width": 1.5,
    }
    volumes = volumes.assign(
        **fixed,
        resampled_height=SIDE,
        resampled_width=SIDE,
        native_offset=np.arange(SUBJECTS) * DEPTH * SIDE**2,
        labelled=True,
    )
    (data,) = plan.of("data")
    write_store(
        root / data.record,
        images=images.astype(np.float32),
        labels=labels,
        native_labels=labels.reshape(-1),
        slices=slices,
        volumes=volumes,
        preparation=plan.cards["made_up"].preparation,
        manifest={"spec": data.spec.dump()},
    )


def task_of(job: Job, root: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[SegmentationNet, Task, opening.Inputs]:
    """The network, the task and the inputs of a training, as its stage makes them; a start that was never trained is left out."""
    monkeypatch.setattr(opening, "open_sealed", lambda _: {})
    monkeypatch.setattr(opening, "load_pretrained", lambda *_, **__: [])
    stage = finetune_stage if job.phase == "finetune" else pretrain_stage
    spec: Any = job.spec
    inputs = opening.open_inputs(spec, spec.split, job.place(root), steps=spec.config.steps)
    net = inputs.network(spec, running_averages=True)
    return net, stage.make_task(spec, inputs, net), inputs
