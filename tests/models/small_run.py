"""A data set of NIfTI files of many grids, and fine-tunings of it that train in a second, for tests of what is handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from glocalseg.config.benchmark import parse_benchmark
from glocalseg.config.settings import NetworkConfig
from glocalseg.data.cards.card import Card
from glocalseg.data.cards.reading import Preparation
from glocalseg.data.files.cases import require_cases
from glocalseg.data.slices.prepare import prepare
from glocalseg.models.about import WEIGHTS, About, DataSet, ImageFile, write_about
from glocalseg.models.export import export
from glocalseg.networks.build import build_network
from glocalseg.networks.weights import save_weights
from glocalseg.plan.jobs import Job, Plan
from glocalseg.plan.make import make_plan
from glocalseg.records.digest import sha256_file
from glocalseg.stages.finetune import finetune
from glocalseg.stages.score import score

VALUES = {1: 420, 2: 85}  # class to value in the files
CARD: dict[str, Any] = {
    "name": "made_up",
    "title": "Discs in boxes",
    "modality": "none",
    "subjects": 6,
    "licence": "CC0-1.0",
    "citation": ["Nobody: Discs, a journal, 2020."],
    "source": {"kind": "folder", "path": "nowhere"},
    "reader": "folders",
    "channel": 1,
    "structures": {1: "disc", 2: "core"},
    "label_values": {420: 1, 85: 2},
    "slice_axis": "S",
    "frame": {"spacing": [1.5, 1.5], "size": [32, 32]},
    "subject": {"pattern": "(.*)"},
    "splits": {"kind": "rule", "test": 3, "validation": 1, "seed": 0},
}
BENCHMARK: dict[str, Any] = {
    "name": "small",
    "title": "Small",
    "datasets": ["made_up"],
    "methods": [{}, {"regime": "mean_teacher"}],
    "budgets": [1],
    "repeats": 2,
    "upper_bound": False,
    "network": {"channels": [8, 12, 16, 16], "precision": "float32", "batchnorm_momentum": 0.1},
    "pretrain_global": {"steps": 6, "images": 24},
    "pretrain_local": {"steps": 6, "images": 8},
    "finetune": {"steps": 12, "batch": 8, "validate_every": 6, "learning_rate": 0.01},
}


def small_plan(**changes: Any) -> Plan:
    """The plan, with keys of the benchmark changed."""
    card = Card.model_validate(CARD)
    return make_plan(parse_benchmark({**BENCHMARK, **changes}, where="test"), {"made_up": card}, lock_folder=Path("nowhere"))


def volume(number: int) -> tuple[NDArray[np.int16], NDArray[np.int16], NDArray[np.float64]]:
    """An image with two channels, its label and affine: a disc with a core, on a grid and in an orientation of its own."""
    rng = np.random.default_rng(number)
    shape = (40 + 5 * number, 36 + 4 * (number % 3), 6 + number)
    spacing = (1.0 + 0.1 * number, 1.6 - 0.1 * number, 4.0)
    x, y = np.meshgrid(*(np.arange(n) * s - n * s / 2 for n, s in zip(shape[:2], spacing[:2], strict=True)), indexing="ij")
    label = np.zeros(shape, np.int16)
    for k in range(shape[2]):
        radius = np.hypot(x - 3, y + 2) / (8 + 4 * np.sin(np.pi * (k + 0.5) / shape[2]))
        label[..., k] = np.where(radius < 0.5, VALUES[2], np.where(radius < 1, VALUES[1], 0))
    image = 300 * (label > 0) + 300 * (label == VALUES[2]) + rng.integers(0, 80, shape)
    pair = np.stack([rng.integers(0, 900, shape), image], axis=-1).astype(np.int16)
    return pair, label, np.diag([*spacing, 1.0])


def turned(array: NDArray[Any], affine: NDArray[np.float64], axes: str) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The same image stored in another orientation: axes go towards these directions."""
    change = nib.orientations.ornt_transform(
        nib.orientations.io_orientation(affine), nib.orientations.axcodes2ornt(tuple(axes))
    )
    moved = affine @ nib.orientations.inv_ornt_aff(change, array.shape[:3])
    return np.ascontiguousarray(nib.orientations.apply_orientation(array, change)), moved


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def write_data(root: Path, plan: Plan) -> None:
    """Six volumes as NIfTI files below ``root``, and the slice store that the plan expects."""
    for number, axes in enumerate(("RAS", "LPS", "SAR", "ASL", "PIR", "LAI")):
        image, label, affine = volume(number)
        write_nifti(root / "raw/imagesTr" / f"v{number}.nii.gz", *turned(image, affine, axes))
        write_nifti(root / "raw/labelsTr" / f"v{number}.nii.gz", *turned(label, affine, axes))
    card, (job,) = plan.cards["made_up"], plan.of("data")
    payload = {"spec": job.spec.dump(), "label": job.label, "image": {"channel": card.channel, "header": card.header}}
    cases = require_cases(card.reading, root / "raw")
    prepare(card.reading, card.preparation, cases, root / job.record, payload=payload, workers=1)


def jobs_of(plan: Plan, method: str) -> list[Job]:
    """The repeats of a method."""
    return [job for job in plan.of("finetune") if job.name == method]


def run_and_score(root: Path, plan: Plan, job: Job) -> None:
    """Run a fine-tuning, and its scores."""
    finetune(job.spec, job.place(root))  # type: ignore[arg-type]
    scored = score_job(plan, job)
    score(scored.spec, scored.place(root))  # type: ignore[arg-type]


def score_job(plan: Plan, job: Job) -> Job:
    (scored,) = [other for other in plan.of("score") if other.start == job.record]
    return scored


def export_job(root: Path, plan: Plan, job: Job, out: Path) -> Path:
    """Export a fine-tuning that was run and scored; the folder."""
    assert job.data is not None
    export(
        root / job.record,
        store=root / job.data,
        card=plan.cards["made_up"],
        score=root / score_job(plan, job).record,
        out=out,
    )
    return out


def random_model(folder: Path, *, seed: int = 0, beyond: float = 0.0, **changes: Any) -> Path:
    """An exported folder whose network was never trained, and of which nobody knows a score; card's fields changed."""
    raw = {**CARD, **changes}
    preparation = Preparation.model_validate({name: raw[name] for name in Preparation.model_fields if name in raw})
    network = NetworkConfig(channels=[8, 12, 16], levels=3, precision="float32")
    net = build_network(network, size=preparation.frame.size, classes=preparation.classes, seed=seed)
    folder.mkdir(parents=True)
    save_weights(net.state_dict(), folder / WEIGHTS)
    data = DataSet(
        name="made_up", title="Discs", modality="none", licence="none", citation=["none"], labelled_volumes=1,
        labelled_subjects=1, selecting_volumes=1, unlabelled_volumes=0, tested_volumes=1, tested_subjects=1, beyond_frame=beyond,
    )  # fmt: skip
    about = About(
        format=2,
        label="made up",
        weights=sha256_file(folder / WEIGHTS),
        network=network,
        threads=1,
        preparation=preparation,
        image=ImageFile(channel=raw["channel"], header=raw.get("header", "agree")),
        data=data,
        scores={},
        provenance={},
    )
    write_about(folder, about)
    return folder
