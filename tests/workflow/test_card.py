"""``make card`` as a person calls it: a card where there was none, never over one, and what it says to the console."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from snakemake_call import environment, snakemake

from glocalseg.data.cards.card import load_card

BENCHMARK = {
    "name": "mine",
    "title": "What was drafted",
    "datasets": ["mine"],
    "methods": [{}, {"global": "gd"}],
    "budgets": [1],
    "repeats": 1,
    "upper_bound": False,
    "network": {"channels": [4, 8, 8]},
    "pretrain_global": {"steps": 3, "images": 8},
    "pretrain_local": {"steps": 2, "images": 8},
    "finetune": {"steps": 10, "batch": 4, "validate_every": 5},
    "hardware": {"gpus": []},
}


def _card(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "workflow/scripts/card.py", *arguments]
    return subprocess.run(call, cwd=tree, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def _write(root: Path) -> Path:
    """Seven people, each with two visits, in folders of any name."""
    x, y, _ = np.meshgrid(*map(np.arange, (32, 32, 8)), indexing="ij")
    for i in range(14):
        far = np.hypot(x - 14 - i % 5, y - 16)
        label = np.where(far < 4, 2, np.where(far < 8, 1, 0)).astype(np.uint8)
        voxels = (np.random.default_rng(i).normal(100, 10, label.shape) + 50 * label).astype(np.float32)
        for kind, array in (("ct", voxels), ("masks", label)):
            path = root / kind / f"p{i // 2}_visit{i % 2}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([1.5, 1.5, 8.0, 1.0])), path)
    return root


def test_a_folder_becomes_a_card_and_never_replaces_one(tree: Path) -> None:
    _write(tree / "data/incoming/some scans")
    card = tree / "config/datasets/mine.yaml"
    done = _card(tree, "--folder", "data/incoming/some scans", "--name", "mine", "--workers", "1")
    assert done.returncode == 0, done.stdout
    for part in (
        "14 volumes with a label, 0 without",
        "7 subjects",
        "p0_visit1  ->  p0",
        "slice axis S",
        "make look CONFIG=",
    ):
        assert part in done.stdout
    assert "problem" not in done.stdout
    found = load_card(card)
    assert found.source.model_dump() == {"kind": "folder", "path": "data/incoming/some scans"}
    assert (found.subjects, found.volumes, found.slice_axis) == (7, 14, "S")

    before = card.read_bytes()
    card.write_text("mine by hand", encoding="utf-8")
    refused = _card(tree, "--folder", "data/incoming/some scans", "--name", "mine")
    assert (refused.returncode, card.read_text(encoding="utf-8")) == (1, "mine by hand")
    assert "FORCE=yes" in refused.stdout
    assert len(refused.stdout.strip().splitlines()) == 1
    assert _card(tree, "--folder", "data/incoming/some scans", "--name", "mine", "--force").returncode == 0
    assert card.read_bytes() == before


def test_what_is_wrong_with_a_call_is_one_line(tree: Path) -> None:
    (tree / "empty").mkdir()
    (tree / "no.tar").write_text("no archive")
    for arguments, said in (
        ([], "make card FOLDER=<folder or archive> NAME=<name>"),
        (["--folder", "nowhere", "--name", "mine"], "nowhere: expected a folder, or an archive"),
        (["--folder", "empty", "--name", "Mine"], "NAME: expected small letters"),
        (["--folder", "empty", "--name", "mine"], "found no file"),
        (["--folder", "no.tar", "--name", "mine"], "no.tar: expected"),
    ):
        done = _card(tree, *arguments)
        assert done.returncode == 1
        assert said in done.stdout
        assert len(done.stdout.strip().splitlines()) == 1
    assert not (tree / "config/datasets/mine.yaml").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_drafted_card_runs_as_it_is(tree: Path) -> None:
    folder = _write(tree / "Task99")
    (tree / "mirror").mkdir()
    with tarfile.open(tree / "mirror/Task99.tar.gz", "w:gz") as tar:
        tar.add(folder, "Task99")
    shutil.rmtree(folder)
    done = _card(tree, "--folder", "mirror/Task99.tar.gz", "--name", "mine")
    assert done.returncode == 0, done.stdout
    assert "glocalseg-card" not in done.stdout  # the temporary folder is gone
    (tree / "config/mine.yaml").write_text(yaml.safe_dump(BENCHMARK), encoding="utf-8")
    call = ("--profile", "local", "--cores", "1", "--configfile", "config/mine.yaml", "--config", "mirror=mirror")
    for _ in range(2):  # the first call verifies data that is new
        ran = snakemake(tree, *call, timeout=600)
        assert ran.returncode == 0, ran.stdout
    assert (tree / "results/mine/report/index.html").is_file()
