"""Data that a person brings, from its first call to its changes: really verified and sliced, with trainings that only pretend."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from snakemake_call import environment, snakemake
from test_graph import PROGRAM, made

from conftest import copy_code, plan_in

pytestmark = pytest.mark.timeout(600)
CARD: dict[str, Any] = {
    "name": "clinic", "title": "Clinic", "modality": "MR", "subjects": 6, "licence": "none", "citation": ["nobody"],
    "source": {"kind": "folder", "path": "given"}, "reader": "folders", "structures": {1: "core"}, "slice_axis": "S",
    "frame": {"spacing": [1.0, 1.0], "size": [16, 16]}, "subject": {"table": "subjects.tsv"},
    "splits": {"kind": "rule", "test": 1, "validation": 1, "seed": 0},
}  # fmt: skip
BENCHMARK: dict[str, Any] = {
    "name": "clinic", "title": "Clinic", "datasets": ["clinic"], "methods": [{}], "budgets": [1], "repeats": 1,
    "upper_bound": False, "network": {"channels": [4, 8, 8]}, "pretrain_global": {"steps": 2, "images": 8},
    "pretrain_local": {"steps": 2, "images": 8}, "finetune": {"steps": 2, "batch": 2},
}  # fmt: skip
CALL = ("--profile", "local", "--cores", "1", "--configfile", "config/clinic.yaml")
SLOW = """

import time
_write = write_piece


def write_piece(folder, prepared):
    _write(folder, prepared)
    time.sleep(60)
"""
PRETENDED = ("diagnose", "finetune", "score", "report")
IMAGE, LABEL = "imagesTr/v2.nii.gz", "labelsTr/v2.nii.gz"


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(100, 20, (14, 14, 4)).astype(np.float32)


def label(*, more: int = 0) -> np.ndarray:
    voxels = np.zeros((14, 14, 4), np.uint8)
    voxels[4 : 9 + more, 5:10, 1:3] = 1
    return voxels


def save(path: Path, voxels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(voxels, np.eye(4)), path)


def table(root: Path, subjects: str) -> None:
    (root / "subjects.tsv").write_text("".join(f"v{i}\t{s}\n" for i, s in enumerate(subjects)), encoding="utf-8")


def write(root: Path, volumes: int = 6) -> Path:
    for i in range(volumes):
        save(root / f"imagesTr/v{i}.nii.gz", image(i))
        save(root / f"labelsTr/v{i}.nii.gz", label())
    table(root, "abcdefghijklmn"[:volumes])
    return root


def tree_with_data(folder: Path, **card: Any) -> Path:
    """A copy of the code with the data, of which nothing is known yet."""
    tree = copy_code(folder)
    write(tree / "given")
    (tree / "config/datasets/clinic.yaml").write_text(yaml.safe_dump({**CARD, **card}), encoding="utf-8")
    (tree / "config/clinic.yaml").write_text(yaml.safe_dump(BENCHMARK), encoding="utf-8")
    for name in PRETENDED:
        (tree / f"workflow/scripts/{name}.py").write_text(PROGRAM)
    return tree


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A tree after its first call, and what that said."""
    tree = tree_with_data(tmp_path_factory.mktemp("once") / "tree")
    done = snakemake(tree, *CALL)
    assert done.returncode == 0, done.stdout
    return tree, done.stdout


@pytest.fixture
def finished(once: tuple[Path, str], tmp_path: Path) -> Path:
    """The same in a folder of its own; nothing is noted of what was made."""
    tree = Path(shutil.copytree(once[0], tmp_path / "tree", symlinks=True))
    made(tree)
    return tree


def lock(tree: Path) -> Path:
    return tree / "config/datasets/clinic.lock.json"


def stores(tree: Path) -> dict[str, str]:
    """sha256 of every file of every slice store but its records, by path."""
    files = [p for p in sorted(tree.glob("data/slices/clinic/*/*")) if not p.name.endswith("manifest.json")]
    return {str(p.relative_to(tree)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


# ---------------------------------------------------------------- the first call


def test_one_call_goes_from_new_files_to_the_report(once: tuple[Path, str]) -> None:
    tree, said = once
    assert "clinic: this data was never verified. It is fetched and verified first" in said
    assert "the same label as" in said, "what was noted is on the console"
    assert "Verified for the first time: commit config/datasets/clinic.lock.json" in said
    assert len(json.loads(lock(tree).read_text(encoding="utf-8"))["cases"]) == 6
    records = {str(p) for p in plan_in(tree, "clinic").jobs}
    assert all((tree / record).is_file() for record in records)
    (verified,) = tree.glob("data/raw/clinic/*/*/verified.json")
    assert not (verified.parent / "pieces").exists(), "they are in the slice store"
    assert "Nothing to be done" in snakemake(tree, *CALL).stdout


def test_files_with_other_dates_are_the_same_data(finished: Path) -> None:
    for path in finished.rglob("*"):
        path.touch()
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


def test_results_do_not_need_the_data(finished: Path) -> None:
    shutil.rmtree(finished / "given")
    shutil.rmtree(finished / "data/raw")
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


def test_data_that_is_refused_is_said_on_the_console_and_stops_before_anything_else(tmp_path: Path) -> None:
    tree = tree_with_data(tmp_path / "tree", subjects=7)
    save(tree / "given" / IMAGE, image(0))
    (tree / "given" / LABEL).write_bytes(b"nothing")
    done = snakemake(tree, *CALL)
    assert done.returncode == 1
    named = (f"{IMAGE}: expected an image of its own", f"{LABEL}: expected", "7 subjects, as the card says")
    for part in ("clinic: 3 problems", *named):
        assert part in done.stdout
    assert "clinic: not verified, for the reasons above; nothing else was begun" in done.stdout
    assert "Missing:" not in done.stdout
    assert "Traceback" not in done.stdout
    assert not lock(tree).exists()
    assert not (tree / "data/slices").exists()
    assert made(tree) == []


# ---------------------------------------------------------------- it changes


def _new_volume(root: Path) -> None:
    save(root / "imagesTr/v6.nii.gz", image(6))
    save(root / "labelsTr/v6.nii.gz", label())
    table(root, "abcdefg")


def _no_volume(root: Path) -> None:
    (root / IMAGE).unlink()
    (root / LABEL).unlink()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda root: save(root / LABEL, label(more=1)), f"{LABEL}: expected the contents of clinic.lock.json"),
        (lambda root: save(root / IMAGE, image(99)), f"{IMAGE}: expected the contents of clinic.lock.json"),
        (lambda root: table(root, "abbdef"), "v2: expected subject 'c', as in clinic.lock.json"),
        (_new_volume, "v6.nii.gz: expected only the volumes of clinic.lock.json"),
        (_no_volume, "v2: expected a volume of that name, as in clinic.lock.json"),
    ],
    ids=["label", "image", "table", "new volume", "no volume"],
)
def test_data_that_changed_after_a_finished_run_is_named_by_the_next_call(
    finished: Path, change: Callable[[Path], None], named: str
) -> None:
    change(finished / "given")
    done = snakemake(finished, *CALL)
    assert done.returncode == 1
    lines = [line for line in done.stdout.splitlines() if not line.startswith("Using ")]
    assert len(lines) == 1
    assert named in lines[0]
    assert "delete config/datasets/clinic.lock.json" in lines[0]
    assert made(finished) == []


@pytest.mark.parametrize("cleared", ["data/raw", "data/raw and the card's number of volumes"])
def test_data_that_was_not_verified_here_is_compared_once(finished: Path, cleared: str) -> None:
    """Slices and results are there, so nothing is verified again; whatever the data is by now, it is looked at."""
    if cleared == "data/raw":
        shutil.rmtree(finished / "data/raw")
    else:  # another record of a verification
        card = {**CARD, "volumes": 6}
        (finished / "config/datasets/clinic.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    first, second = (snakemake(finished, *CALL, *more).stdout for more in (("-n",), ()))
    assert "clinic: its data lies here, and was not verified on this machine: 12 files are read once" in first
    assert "compared" not in second, "it was noted"
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout
    made(finished)
    save(finished / "given" / LABEL, label(more=1))
    table(finished / "given", "abbdef")
    for _ in range(2):
        done = snakemake(finished, *CALL)
        assert done.returncode == 1
        lines = [line for line in done.stdout.splitlines() if not line.startswith("Using ")]
        assert len(lines) == 2, done.stdout
        assert "v2: expected subject 'c', as in clinic.lock.json" in lines[0]
        assert f"{LABEL}: expected the contents of clinic.lock.json" in lines[1]
    save(finished / "given" / LABEL, label())
    table(finished / "given", "abcdef")
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


def test_changes_are_named_by_the_first_call_after_raw_data_was_cleared(finished: Path) -> None:
    shutil.rmtree(finished / "data/raw")
    save(finished / "given" / IMAGE, image(99))
    (finished / "given/labelsTr/v4.nii.gz").unlink()
    done = snakemake(finished, *CALL)
    assert done.returncode == 1
    for part in (f"{IMAGE}: expected the contents of clinic.lock.json", "v4.nii.gz: expected"):
        assert part in done.stdout
    assert made(finished) == []


def test_an_empty_folder_is_no_data(finished: Path) -> None:
    shutil.rmtree(finished / "data/raw")
    shutil.rmtree(finished / "given")
    (finished / "given").mkdir()
    (finished / "given/readme.txt").write_text("moved to the archive", encoding="utf-8")
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


def test_data_that_is_meant_to_have_changed_is_verified_again_and_has_keys_of_its_own(finished: Path) -> None:
    before = set(plan_in(finished, "clinic").jobs)
    save(finished / "given" / LABEL, label(more=1))
    lock(finished).unlink()
    done = snakemake(finished, *CALL)
    assert done.returncode == 0, done.stdout
    after = set(plan_in(finished, "clinic").jobs)
    assert not before & after
    assert all((finished / record).is_file() for record in before | after), "the old results stay"
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


@pytest.mark.parametrize(
    ("change", "same"),
    [({"header": "sform"}, True), ({"labels": "some"}, True), ({"reader": {"kind": "folders", "labels": "other"}}, False)],
)
def test_a_card_that_reads_otherwise_has_the_data_verified_again(finished: Path, change: dict[str, Any], same: bool) -> None:
    (before,) = plan_in(finished, "clinic").of("data")
    shutil.copytree(finished / "given/labelsTr", finished / "given/other")
    save(finished / "given/other/v2.nii.gz", label(more=2))
    ignored = [] if "reader" not in change else ["labelsTr/*"]
    card = {**CARD, **change, "ignore": ignored or ["other/*"]}
    (finished / "config/datasets/clinic.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    done = snakemake(finished, *CALL)
    assert done.returncode == 0, done.stdout
    assert "clinic: this data was never verified" in done.stdout
    (after,) = plan_in(finished, "clinic").of("data")
    assert len(list(finished.glob("data/raw/clinic/*/*/verified.json"))) == 2
    assert (before.record == after.record) == same
    assert "Nothing to be done" in snakemake(finished, *CALL).stdout


# ---------------------------------------------------------------- on the way from verification to the slices


def verify_only(tree: Path) -> Path:
    """The record of a verification, which is made alone."""
    done = snakemake(tree, *CALL, "--until", "verify")
    assert done.returncode == 0, done.stdout
    (record,) = tree.glob("data/raw/clinic/*/*/verified.json")
    return record


def test_pieces_that_other_code_made_are_not_used(once: tuple[Path, str], tmp_path: Path) -> None:
    tree = tree_with_data(tmp_path / "tree")
    record = verify_only(tree)
    assert len(list((record.parent / "pieces").iterdir())) == 6
    code = tree / "src/glocalseg/data/slices/pieces.py"
    code.write_text(code.read_text(encoding="utf-8") + "\n\ndef read_piece(pieces, case):\n    raise RuntimeError('used')\n")
    done = snakemake(tree, *CALL)
    assert done.returncode == 0, done.stdout
    assert sorted(stores(tree).values()) == sorted(stores(once[0]).values())


def test_a_killed_verification_leaves_nothing_that_is_taken_for_whole(once: tuple[Path, str], tmp_path: Path) -> None:
    tree = tree_with_data(tmp_path / "tree")
    code = tree / "src/glocalseg/data/slices/pieces.py"
    text = code.read_text(encoding="utf-8")
    code.write_text(text + SLOW, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "snakemake", *CALL], cwd=tree, env=environment(), stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    ) as running:  # fmt: skip
        end = time.monotonic() + 120
        while not list(tree.glob("data/raw/clinic/*/*/pieces/*.npz")):
            assert running.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGKILL)
    assert not lock(tree).exists()
    assert not list(tree.rglob("verified.json"))
    (piece,) = tree.glob("data/raw/clinic/*/*/pieces/*.npz")
    piece.write_bytes(b"half")
    code.write_text(text, encoding="utf-8")
    done = snakemake(tree, *CALL)
    assert done.returncode == 0, done.stdout
    assert stores(tree) == stores(once[0])
    assert lock(tree).read_bytes() == lock(once[0]).read_bytes()


# ---------------------------------------------------------------- two archives of the same cases


def pack(folder: Path, archive: Path, mode: Any) -> str:
    """An archive of a folder; its sha256."""
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, mode) as tar:
        tar.add(folder, folder.name)
    return hashlib.sha256(archive.read_bytes()).hexdigest()


def msd(root: Path, *, official: bool) -> Path:
    """The cases as the decathlon publishes them, with images without labels and shadows, or as somebody packed them anew."""
    write(root)
    names = [f"v{i}" for i in range(6)]
    listed: dict[str, Any] = {
        "training": [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    }
    if official:
        save(root / "imagesTs/v9.nii.gz", image(9))
        for name in names:
            (root / f"imagesTr/._{name}.nii.gz").write_bytes(b"\x00\x05\x16\x07")
        listed |= {
            "name": "Clinic",
            "numTest": 1,
            "test": ["./imagesTs/v9.nii.gz"],
            "labels": {"0": "background", "1": "core"},
        }
    (root / "dataset.json").write_text(json.dumps(listed, indent=2 if official else None), encoding="utf-8")
    return root


def test_two_archives_of_the_same_cases_give_the_same_keys_and_bits(tmp_path: Path) -> None:
    one = pack(msd(tmp_path / "a/Task99", official=True), tmp_path / "mirror1/Task99.tar", "w")
    two = pack(msd(tmp_path / "b/Task99", official=False), tmp_path / "mirror2/Task99.tar", "w:gz")
    assert one != two
    source = {"kind": "archive", "file": "Task99.tar", "sha256": one, "repacked": [two], "root": "Task99"}
    found = []
    for n in (1, 2):
        tree = tree_with_data(tmp_path / f"tree{n}", source=source, reader="msd")
        shutil.rmtree(tree / "given")
        done = snakemake(tree, *CALL, "--config", f"mirror={tmp_path}/mirror{n}")
        assert done.returncode == 0, done.stdout
        assert ("without a label" in done.stdout) == (n == 1)
        found.append((stores(tree), made(tree), lock(tree).read_bytes()))
    assert found[0] == found[1]
    assert re.fullmatch(r"data/slices/clinic/[0-9a-f]{10}/.*", min(found[0][0]))
