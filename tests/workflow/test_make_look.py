"""`make look`: from data that nobody has verified to the page, without any training."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from snakemake_call import environment

from glocalrun.data.jobs import told

CARD: dict[str, Any] = {
    "name": "tiny", "title": "Tiny", "modality": "MR", "subjects": 6, "licence": "none", "citation": ["nobody"],
    "source": {"kind": "folder", "path": "given"}, "reader": {"kind": "folders"}, "labels": "some",
    "structures": {1: "core"}, "slice_axis": "S", "frame": {"spacing": [1.0, 1.0], "size": [16, 16]},
    "subject": {"pattern": "^(s[0-9]+)"}, "splits": {"kind": "rule", "test": 1, "validation": 1, "seed": 0}, "loss_limit": 1.0,
}  # fmt: skip
BENCHMARK: dict[str, Any] = {
    "name": "tiny", "title": "Tiny", "datasets": ["tiny"], "methods": [{}, {"global": "gd"}], "budgets": [1], "repeats": 2,
    "network": {"channels": [4, 8, 8]}, "pretrain_global": {"steps": 2, "images": 8},
    "pretrain_local": {"steps": 2, "images": 8}, "finetune": {"steps": 2, "batch": 2, "loss": "dice"},
}  # fmt: skip


@pytest.fixture
def data(tree: Path) -> Path:
    """A tree with a data set that was never verified: six subjects, one of them without a label."""
    for i in range(6):
        voxels = np.random.default_rng(i).normal(100, 20, (20, 20, 8)).astype(np.float32)
        label = np.zeros(voxels.shape, np.uint8)
        label[0:10, 6:14, 2:6] = 1  # two columns of it, at least, lie beyond the frame
        for folder, array in (("imagesTr", voxels), ("labelsTr", label)):
            if folder == "imagesTr" or i:
                (tree / "given" / folder).mkdir(parents=True, exist_ok=True)
                nib.save(nib.Nifti1Image(array, np.eye(4)), tree / "given" / folder / f"s{i}.nii.gz")
    (tree / "config/datasets/tiny.yaml").write_text(yaml.safe_dump(CARD), encoding="utf-8")
    (tree / "config/tiny.yaml").write_text(yaml.safe_dump(BENCHMARK), encoding="utf-8")
    return tree


def look(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "workflow/scripts/look.py", "config/tiny.yaml", *arguments]
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(call, cwd=tree, env=environment(), text=True, timeout=300, **streams)


@pytest.mark.slow
def test_data_that_was_never_verified_is_shown_by_one_call_and_nothing_is_trained(data: Path) -> None:
    done = look(data)
    assert done.returncode == 0, done.stdout
    page = data / "results/tiny/look/index.html"
    assert done.stdout.rstrip().endswith(f"Look: {page.resolve()}")
    text = page.read_text(encoding="utf-8")
    assert text.count("<article") == 6
    assert "the frame cuts off 20.0% of core" in text
    assert "6, 1 of them without a label" in text
    assert (data / "config/datasets/tiny.lock.json").is_file()
    assert sorted(p.name for p in (data / "results").iterdir()) == ["tiny"]
    assert sorted(p.name for p in (data / "results/tiny").iterdir()) == ["look"]
    store = next((data / "data/slices/tiny").iterdir())
    before = (store / "manifest.json").stat().st_mtime_ns
    page.unlink()
    assert look(data).returncode == 0
    assert page.read_text(encoding="utf-8") == text
    assert (store / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_data_that_is_refused_gives_the_reasons_and_no_page(data: Path) -> None:
    (data / "given/imagesTr/s3.nii.gz").write_bytes(b"nothing")
    done = look(data)
    assert done.returncode != 0
    assert "s3.nii.gz" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (data / "results/tiny/look").exists()


def test_a_configuration_that_is_wrong_is_one_line(data: Path) -> None:
    (data / "config/tiny.yaml").write_text(yaml.safe_dump({**BENCHMARK, "datasets": ["nobody"]}), encoding="utf-8")
    done = look(data)
    assert done.returncode == 1
    assert done.stdout.startswith("datasets: expected one of ")
    assert len(done.stdout.splitlines()) == 1


def test_what_a_verification_tells_names_no_folder_of_this_machine(tmp_path: Path) -> None:
    root = tmp_path / "given"
    notes = [
        f"{root}/images/a b.nii.gz: odd", f"{root}: 3 volumes without a label", f"x: the same label as {root}/labels/c.nii, of",
        f"{tmp_path}/given-too/a.nii: another", "v: it is 1.5 mm. ./here",
    ]  # fmt: skip
    verified = {"notes": notes, "losses": {}, "subjects": 1, "volumes": 2, "labelled": 1, "contents": {}, "stats": {}}
    said = told(verified, root)
    assert said["notes"] == [
        "images/a b.nii.gz: odd", "given: 3 volumes without a label", "x: the same label as labels/c.nii, of", notes[3], notes[4],
    ]  # fmt: skip
    assert {k: v for k, v in said.items() if k != "notes"} == {"losses": {}, "subjects": 1, "volumes": 2, "labelled": 1}
