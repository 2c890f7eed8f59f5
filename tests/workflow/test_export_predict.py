"""`make export` and `make predict` as a person calls them: from finished runs of a very small phantom to labels of images."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import yaml
from snakemake_call import environment, snakemake
from test_small_dag import BENCHMARK, CALL, prepare_tree

from glocalseg.data.cards.card import load_card
from glocalseg.data.files.cases import require_cases
from glocalseg.data.slices.geometry import to_canonical
from glocalseg.evaluation.predictions import read_predictions
from glocalseg.models.about import read_about
from glocalseg.records.sealed import open_sealed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code in which two repeats have run; the configuration then asks for a third."""
    tree = prepare_tree(tmp_path_factory.mktemp("handed") / "tree")
    shutil.copy(REPOSITORY / "Makefile", tree / "Makefile")
    benchmark = {
        **BENCHMARK,
        "methods": [{"global": "gd", "local": "lr"}],
        "repeats": 2,
        "network": {"channels": [4, 8, 8], "precision": "float32"},
    }
    (tree / "config/small.yaml").write_text(yaml.safe_dump(benchmark))
    done = snakemake(tree, *CALL, "--until", "score", timeout=1500)
    assert done.returncode == 0, done.stdout
    (tree / "config/small.yaml").write_text(yaml.safe_dump({**benchmark, "repeats": 3}))
    return tree


def make(tree: Path, target: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Call make in a tree, with the environment that these tests run in."""
    given = {"VENV": sys.prefix, "CONFIG": "config/small.yaml", **variables}
    installed = f"{sys.prefix}/.installed"
    call = ["make", "--no-print-directory", "-o", installed, target, *(f"{name}={value}" for name, value in given.items())]
    return subprocess.run(call, cwd=tree, env=environment(), capture_output=True, text=True, timeout=300)


def runs(tree: Path) -> list[Path]:
    """The records of the fine-tunings, by repeat."""
    found = sorted(tree.glob("results/finetune/small_phantom/gd+lr/n1/r*/*/run.json"))
    assert len(found) == 2
    return found


def images_of(tree: Path, record: Path, folder: Path) -> dict[str, Path]:
    """The images of a run's test volumes, copied to a folder, by volume."""
    folder.mkdir()
    card = load_card(tree / "config/datasets/small_phantom.yaml")
    image = {case.volume: case.image for case in require_cases(card.reading, tree / "data/raw/small_phantom")}
    return {v: Path(shutil.copy(image[v], folder / image[v].name)) for v in open_sealed(record)["split"]["test"]}


def test_one_run_labels_its_test_images_as_it_did(tree: Path, tmp_path: Path) -> None:
    record = runs(tree)[0]
    done = make(tree, "export", RUN=record.parent.relative_to(tree))
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip().removeprefix("Exported: "))
    assert folder.parent == tree / "models"
    about = read_about(folder)
    assert about.label == "small_phantom gd+lr n1 r1"
    assert set(about.scores) == {"right ventricle", "myocardium", "left ventricle"}
    pretrained = [run["spec"]["strategy"] for run in about.provenance["pretraining"]]
    assert (pretrained, about.data.labelled_volumes, about.data.unlabelled_volumes) == (["lr", "gd"], 1, 5)
    own = read_predictions(record.parent / "predictions.npz")
    images = images_of(tree, record, tmp_path / "some images")
    done = make(tree, "predict", MODEL=folder, IMAGES=tmp_path / "some images", OUT=tmp_path / "labels")
    assert done.returncode == 0, done.stderr
    assert f"{len(own)} labels written" in done.stdout
    for volume, expected in own.items():
        label: Any = nib.load(tmp_path / "labels" / images[volume].name)
        found, _ = to_canonical(np.asanyarray(label.dataobj), label.affine, "S")
        np.testing.assert_array_equal(found, expected)
    again = make(tree, "export", RUN=record.relative_to(tree))
    assert again.returncode != 0
    assert "expected nothing there yet, found an exported model" in again.stderr


def test_all_finished_repeats_of_a_method_make_one_model(tree: Path, tmp_path: Path) -> None:
    done = make(tree, "export", METHOD="gd+lr", BUDGET="1", OUT=tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert "not finished, left out: small_phantom gd+lr n1 r3" in done.stdout
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"README.md", "r1", "r2"}
    images_of(tree, runs(tree)[0], tmp_path / "in")
    (tmp_path / "in/broken.nii.gz").write_text("hello")
    for force, written in (("", 2), ("", 0), ("yes", 2)):
        done = make(tree, "predict", MODEL=tmp_path / "model", IMAGES=tmp_path / "in", OUT=tmp_path / "out", FORCE=force)
        assert done.returncode != 0
        assert "2 networks" in done.stdout
        assert f"{written} labels written" in done.stdout
        assert ("2 labels were there already" in done.stdout) == (written == 0)
        assert "1 of 3 images skipped:" in done.stderr
        assert f"{tmp_path}/in/broken.nii.gz: expected a NIfTI file" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("target", "variables", "message"),
    [
        ("export", {}, "expected RUN=<folder of a fine-tuning>, or CONFIG, METHOD and BUDGET"),
        ("export", {"RUN": "results"}, "results/run.json: expected results/finetune/{dataset}"),
        ("export", {"RUN": "results/finetune/a/b/n1/r1/k"}, "expected a finished run or store, found nothing"),
        ("export", {"METHOD": "gd", "BUDGET": "1"}, "METHOD: expected one of gd+lr, found gd"),
        ("export", {"METHOD": "gd+lr", "BUDGET": "7"}, "BUDGET: expected one of 1, found 7"),
        ("export", {"METHOD": "gd+lr", "BUDGET": "1", "DATASET": "x"}, "DATASET: expected one of small_phantom, found x"),
        ("predict", {"MODEL": "config", "IMAGES": "config"}, "found no OUT"),
        ("predict", {"MODEL": "config", "IMAGES": "config", "OUT": "x"}, "config: expected NIfTI images"),
        (
            "predict",
            {"MODEL": "config", "IMAGES": "Snakefile", "OUT": "x"},
            "config: expected a folder that `make export` wrote",
        ),
        (
            "predict",
            {"MODEL": "config", "IMAGES": "Snakefile", "OUT": "."},
            "expected another folder than that of the images",
        ),
        ("predict", {"MODEL": "config", "IMAGES": "Snakefile", "OUT": "x", "THREADS": "0"}, "THREADS: expected at least 1"),
    ],
)
def test_a_wrong_call_ends_in_one_line(tree: Path, target: str, variables: dict[str, str], message: str) -> None:
    done = make(tree, target, **variables)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if not line.startswith("make: ")]
    assert len(said) == 1, done.stderr
    assert message in said[0]
