"""The phantom: the same bytes again, an anatomy that holds together, and patients that differ."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from nifti_layouts import cases_of
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, generate_binary_structure

from glocalseg.data.acquire.examine.case import examine
from glocalseg.data.acquire.verify import verify
from glocalseg.data.cards.card import load_card
from glocalseg.data.images.volumes import load_image, load_label, map_labels
from glocalseg.data.phantom.generate import generate, group_of
from glocalseg.data.readers.base import Case

CARD = load_card(Path(__file__).resolve().parents[2] / "config" / "datasets" / "phantom.yaml")
PATIENTS = 7
NEIGHBOURS = generate_binary_structure(2, 1)[:, :, None]  # the four in the plane


@dataclass(frozen=True)
class Volume:
    """A case in memory: intensities, classes, and where they lie."""

    image: NDArray[np.float32]
    label: NDArray[np.uint8]
    affine: NDArray[np.float64]


def read_case(case: Case) -> Volume:
    assert case.label is not None
    image = load_image(CARD.reading, case.image)
    return Volume(image.voxels, map_labels(CARD.preparation, load_label(CARD.reading, case.label).values)[0], image.affine)


def write(root: Path, patients: int = PATIENTS, seed: int = 1) -> None:
    generate(root, patients, seed=seed, matrix=64)


def digests(root: Path) -> dict[str, str]:
    files = sorted(p for p in root.rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom")
    write(root)
    return root


@pytest.fixture(scope="module")
def volumes(root: Path) -> dict[str, Volume]:
    """Both phases of every patient, as ACDC's reader gives them."""
    card = CARD.model_copy(update={"reader": CARD.reader.model_copy(update={"phases": ["ED", "ES"]})})
    return {case.volume: read_case(case) for case in cases_of(card, root)}


def test_the_same_source_gives_the_same_bytes_and_patients_do_not_depend_on_their_number(root: Path, tmp_path: Path) -> None:
    write(tmp_path, 4)
    again, first = digests(tmp_path), digests(root)
    assert len(again) == 4 * 5
    assert again.items() <= first.items()


def test_another_seed_gives_other_patients(root: Path, tmp_path: Path) -> None:
    write(tmp_path, 4, seed=2)
    images = {name: d for name, d in digests(tmp_path).items() if name.endswith(".nii.gz")}
    assert not set(images.values()) & set(digests(root).values())


def test_the_layout_is_acdcs(root: Path, volumes: dict[str, Volume]) -> None:
    assert sorted(volumes) == [f"patient{k:03d}_{phase}" for k in range(1, PATIENTS + 1) for phase in ("ED", "ES")]
    lines = (root / "training" / "patient003" / "Info.cfg").read_text(encoding="utf-8").splitlines()
    info = dict(line.split(": ") for line in lines)
    assert list(info) == ["ED", "ES", "Group", "Height", "NbFrame", "Weight"]
    assert info["Group"] == group_of(3) == "DCM"
    assert (root / "training" / "patient003" / f"patient003_frame{int(info['ES']):02d}_gt.nii.gz").is_file()
    assert verify(CARD.model_copy(update={"subjects": PATIENTS}), root).problems == []


def test_the_cavity_lies_inside_the_wall(volumes: dict[str, Volume]) -> None:
    for name, volume in volumes.items():
        around = binary_dilation(volume.label == 3, NEIGHBOURS) & (volume.label != 3)
        assert set(np.unique(volume.label[around])) == {2}, name


def test_structures_are_where_they_belong(volumes: dict[str, Volume]) -> None:
    for name, volume in volumes.items():
        there = np.array([[(volume.label[..., z] == k).any() for k in (1, 2, 3)] for z in range(volume.label.shape[2])])
        assert there[0].all(), f"{name}: all structures at the base"
        assert not there[-1, 0], f"{name}: no right ventricle at the apex"
        assert there.mean(axis=0).min() > 0.4, f"{name}: every structure in a good part of the slices"
        area = [(volume.label[..., z] >= 2).sum() for z in range(volume.label.shape[2])]
        assert area[-1] < 0.7 * area[0], f"{name}: tapers towards the apex"


def test_cavities_shrink_at_end_systole(volumes: dict[str, Volume]) -> None:
    for patient in range(1, PATIENTS + 1):
        cavity = {phase: (volumes[f"patient{patient:03d}_{phase}"].label == 3).sum() for phase in ("ED", "ES")}
        assert 0.1 < cavity["ES"] / cavity["ED"] < 0.95


def test_blood_is_brighter_than_muscle_but_not_cleanly(volumes: dict[str, Volume]) -> None:
    for name, volume in volumes.items():
        muscle, blood = volume.image[volume.label == 2], volume.image[volume.label == 3]
        assert np.median(blood) > 1.15 * np.median(muscle), name
        background = volume.image[volume.label == 0]
        assert (background > np.median(muscle)).mean() > 0.05, f"{name}: organs around are not all darker than the heart"


def test_patients_differ_in_size_shape_contrast_and_grid(volumes: dict[str, Volume]) -> None:
    diastole = [v for name, v in volumes.items() if name.endswith("ED")]
    spacing = np.array([np.diag(v.affine)[:3] for v in diastole])
    assert ((spacing[:, :2] >= 1.3) & (spacing[:, :2] <= 1.8)).all()
    assert ((spacing[:, 2] >= 8) & (spacing[:, 2] <= 10)).all()
    assert len({v.label.shape[2] for v in diastole}) >= 3
    assert all(6 <= v.label.shape[2] <= 12 for v in diastole)
    for measure in (
        [(v.label == 3).sum() * np.prod(np.diag(v.affine)[:3]) for v in diastole],
        [(v.label == 2).sum() / (v.label == 3).sum() for v in diastole],
        [(v.label == 1).sum() / (v.label == 3).sum() for v in diastole],
        [np.median(v.image[v.label == 3]) / np.median(v.image[v.label == 2]) for v in diastole],
    ):
        assert np.std(measure) > 0.12 * np.mean(measure)


def test_the_heart_fits_the_cards_frame(root: Path) -> None:
    for case in cases_of(CARD, root):
        found = examine(CARD.reading, CARD.preparation, case)
        assert all(loss.framed >= 0.99 * loss.resampled for loss in found.losses.values())
        assert found.prepared is not None
        assert set(np.unique(found.prepared.label)) == {0, 1, 2, 3}
