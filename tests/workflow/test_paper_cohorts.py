"""The paper's configuration on made-up cohorts in the layouts of its three data sets: from what a person is told to the report.

Cards, methods and switches are those that are shipped; trainings are a few steps of a thin network. Snakemake asks for the data,
verifies and slices it, and ends with the last methods and the report. The trainings in between, some hundred, are made by the
same stages in one process, so that torch is imported once.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import yaml
from cohorts import pack, write_acdc, write_mmwhs, write_prostate
from snakemake_call import environment, snakemake

from conftest import REPOSITORY, copy_code, plan_in
from glocalseg.config.benchmark import load_benchmark
from glocalseg.data.acquire.verify import verify
from glocalseg.data.cards.card import Card, load_card, load_cards
from glocalseg.data.slices.store import open_store
from glocalseg.data.splits.given import listed_subjects
from glocalseg.plan.jobs import Plan

pytestmark = pytest.mark.timeout(3600)
slow = pytest.mark.slow  # all that asks for the whole run
CALL = ("--profile", "local", "--cores", "1", "--configfile", "config/cohorts.yaml")
SMALL: dict[str, Any] = {
    "name": "cohorts",
    "budgets": [1],
    "repeats": 1,
    "network": {"channels": [4, 4, 4, 8, 8, 8], "precision": "float32"},
    "pretrain_global": {"steps": 2, "images": 24},
    "pretrain_local": {"steps": 2, "images": 24},
    "finetune": {"steps": 4, "batch": 2, "validate_every": 4},
}
PIXELS = 64  # of a frame's rows and columns, for 192 and 160
VALUES: dict[str, dict[int, int]] = {  # of labels in the files, and the classes that they are to become
    "acdc": {1: 1, 2: 2, 3: 3},
    "prostate": {1: 1, 2: 2},
    "mmwhs": {205: 1, 420: 2, 500: 3, 550: 4, 600: 5, 820: 6, 850: 7},
}
DEPTH_FIRST = {"acdc": (2, 0, 1), "prostate": (2, 0, 1), "mmwhs": (1, 0, 2)}  # of axes towards R, A, S: along S, or along A
Writer = Callable[[Path], None]
LEFT = "gd+lr+mixup"  # whose trainings and scores are left to Snakemake
PROGRAM = f"""
import sys
sys.path.insert(0, "workflow/scripts")
import _checkout
from pathlib import Path
from glocalrun.plans import plan_of
from glocalseg.stages.diagnose import diagnose
from glocalseg.stages.finetune import finetune
from glocalseg.stages.pretrain import pretrain
from glocalseg.stages.score import score

stages = dict(pretrain_global=pretrain, pretrain_local=pretrain, diagnose=diagnose, finetune=finetune, score=score)
for job in plan_of(Path("config/cohorts.yaml")).jobs.values():
    if job.phase in stages and job.name != {LEFT!r}:
        stages[job.phase](job.spec, job.place())
"""


@dataclass(frozen=True)
class Done:
    """A tree in which everything has run, and what the calls said: without data, with data, and at the end."""

    tree: Path
    plan: Plan
    cards: dict[str, Card]
    asked: str
    verified: str
    ended: str


class Quiet(SimpleHTTPRequestHandler):
    """A server of files that says nothing."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def prepare_tree(folder: Path, archive: Path) -> Path:
    """A copy of the code with the small benchmark.

    Cards are the shipped ones but for frames of fewer pixels, which are as many times larger, and the made-up archive's md5.
    """
    tree = copy_code(folder)
    raw = yaml.safe_load((tree / "config/paper.yaml").read_text(encoding="utf-8"))
    raw |= {key: {**raw.get(key, {}), **value} if isinstance(value, dict) else value for key, value in SMALL.items()}
    (tree / "config/cohorts.yaml").write_text(yaml.safe_dump(raw, sort_keys=False), encoding="utf-8")
    for name in raw["datasets"]:
        path = tree / f"config/datasets/{name}.yaml"
        card = yaml.safe_load(path.read_text(encoding="utf-8"))
        frame = card["frame"]
        times = frame["size"][0] / PIXELS
        card["frame"] = {"spacing": [times * side for side in frame["spacing"]], "size": [PIXELS, PIXELS]}
        if name == "prostate":
            card["source"]["md5"] = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        path.write_text(yaml.safe_dump(card, sort_keys=False), encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """All of it, once."""
    folder = tmp_path_factory.mktemp("cohorts")
    write_prostate(folder / "Task05_Prostate")
    archive = folder / "served/Task05_Prostate.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.add(folder / "Task05_Prostate", "Task05_Prostate")
    tree = prepare_tree(folder / "tree", archive)
    incoming = tree / "data/incoming"
    pack(incoming / "mmwhs/MM-WHS 2017 Dataset.zip")
    with served(archive.parent) as address, pytest.MonkeyPatch.context() as patched:
        patched.setenv("NO_PROXY", "127.0.0.1")  # the loopback interface is not behind the proxy that this machine may have
        patched.setenv("no_proxy", "127.0.0.1")
        asked = snakemake(tree, *CALL, "--config", f"mirror={address}", timeout=600)
    assert asked.returncode != 0, asked.stdout
    write_acdc(incoming / "acdc")
    write_mmwhs(incoming / "mmwhs")
    verified = snakemake(tree, *CALL, "--until", "verify", timeout=900)
    assert verified.returncode == 0, verified.stdout
    plan = plan_in(tree, "cohorts")
    sliced = snakemake(tree, *CALL, "--", *(str(job.record) for job in plan.of("data")), timeout=1800)
    assert sliced.returncode == 0, sliced.stdout
    trained = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=tree,
        env={**environment(), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1800,
    )
    assert trained.returncode == 0, trained.stdout
    ended = snakemake(tree, *CALL, timeout=1800)
    assert ended.returncode == 0, ended.stdout
    cards = load_cards(load_benchmark(tree / "config/cohorts.yaml").datasets, tree / "config/datasets")
    return Done(tree, plan, cards, asked.stdout, verified.stdout, ended.stdout)


def method_names(done: Done) -> list[str]:
    """What the paper's configuration compares, as tables call it."""
    return [method.id for method in load_benchmark(done.tree / "config/paper.yaml").methods]


# ---------------------------------------------------------------- the data


@slow
def test_a_person_is_asked_for_what_is_behind_a_registration_and_told_what_lies_there_instead(done: Done) -> None:
    for name, found in (("acdc", "nothing"), ("mmwhs", "MM-WHS 2017 Dataset.zip, not unpacked")):
        card: Any = done.cards[name]
        said = (
            f"data/incoming/{name}: expected the NIfTI files of {card.title}, found {found}. A person has to get this data:"
        )
        assert said in done.asked
        for number, step in enumerate(card.source.steps, 1):
            assert f"  {number}. {step}" in done.asked
        assert f"Put it into the folder data/incoming/{name} and start again. ({card.source.url})" in done.asked
    assert "acdc, mmwhs: not verified, for the reasons above; nothing else was begun" in done.asked
    assert "done: verify prostate" in done.asked, "it comes from the server"
    assert "Traceback" not in done.asked


@slow
def test_what_is_odd_is_told_and_stops_nothing(done: Done) -> None:
    told = done.asked + done.verified
    for words in (
        "data/incoming/acdc: 300 files that reader 'acdc' knows and leaves, such as patient001_4d.nii.gz",
        "patient002_frame01.nii.gz and one more file: voxels of 9 x 9 x 12 mm, axes as stored",
        "imagesTs: 16 volumes without a label are not used",
        "original: one file that no case uses: prostate.zip",
        "'transition zone' is in 30 of the 32 volumes with labels",
        "mr_test: one volume without a label is not used",
        "2 files that reader 'mmwhs' knows and leaves, such as ct_train_1001_image.nii.gz",
        "data/incoming/mmwhs: one file that no case uses: MM-WHS 2017 Dataset.zip",
        "'ascending aorta' has",
        "Verified for the first time: commit config/datasets/acdc.lock.json, config/datasets/mmwhs.lock.json",
    ):
        assert words in told, words
    assert not list((done.tree / "data/raw").rglob("._*")), "what macOS knows of files is not unpacked"


@slow
def test_lock_files_hold_every_volume_of_the_cards(done: Done) -> None:
    for name, card in done.cards.items():
        lock = json.loads((done.tree / f"config/datasets/{name}.lock.json").read_text(encoding="utf-8"))
        assert len(lock["cases"]) == card.subjects
        assert {case["subject"] for case in lock["cases"].values()} >= listed_subjects(card.splits)


@slow
@pytest.mark.parametrize("name", ["acdc", "prostate", "mmwhs"])
def test_labels_are_those_of_the_files_along_one_axis_of_the_body(done: Done, name: str) -> None:
    """However a file's axes are stored: what nibabel makes of it, by the values that the layouts define."""
    (job,) = done.plan.of("data")[list(done.cards).index(name) :][:1]
    store = open_store(done.tree / job.record)
    assert store.structures == done.cards[name].structures
    assert np.isfinite(store.images).all()
    assert set(np.unique(store.labels)) == {0, *store.structures}
    for volume in store.known:
        stored = towards_ras(label_file(done.tree, name, volume))
        expected = np.zeros(stored.shape, np.uint8)
        for value, number in VALUES[name].items():
            expected[stored == value] = number
        assert np.array_equal(store.native_label(volume), expected.transpose(DEPTH_FIRST[name])), volume


def towards_ras(path: Path) -> np.ndarray:
    """A label, its axes the nearest to R, A and S; as stored, where the header says nothing of orientation."""
    image = nib.load(path)
    if image.header["sform_code"] or image.header["qform_code"]:
        image = nib.as_closest_canonical(image)
    return np.asanyarray(image.dataobj).reshape(image.shape[:3])


def label_file(tree: Path, name: str, volume: str) -> Path:
    """Where the layouts have the label of a volume."""
    if name == "acdc":
        patient = volume.removesuffix("_ED")
        frame = 11 if patient == "patient090" else 1
        return tree / f"data/incoming/acdc/training/{patient}/{patient}_frame{frame:02d}_gt.nii.gz"
    if name == "mmwhs":
        return tree / f"data/incoming/mmwhs/mr_train/{volume}_label.nii.gz"
    (path,) = tree.glob(f"data/raw/prostate/*/files/Task05_Prostate/labelsTr/{volume}.nii.gz")
    return path


@slow
def test_of_two_channels_the_first_is_taken(done: Done) -> None:
    """The peripheral zone is bright in T2 and dark in ADC, as they are made up here."""
    store = open_store(done.tree / done.plan.of("data")[1].record)
    inside = store.images[(store.labels == 0) & (store.images > 0.2)]
    assert store.images[store.labels == 1].mean() > inside.mean()


# ---------------------------------------------------------------- trainings, scores, report


@slow
def test_the_first_repeat_has_the_papers_first_choice(done: Done) -> None:
    found = {
        job.dataset: (job.spec.split.train, job.spec.split.validation)  # type: ignore[union-attr]
        for job in done.plan.of("finetune")
        if job.budget == 1
    }
    assert found == {
        "acdc": (("patient002",), ("patient011", "patient071")),
        "prostate": (("prostate_01",), ("prostate_13", "prostate_14")),
        "mmwhs": (("1003",), ("1002", "1005")),
    }


@slow
def test_every_method_of_the_paper_has_scores_of_every_test_subject(done: Done) -> None:
    table = pd.read_csv(done.tree / "results/cohorts/scores.csv.gz", dtype={"budget": str, "subject": str})
    for name, card in done.cards.items():
        own = table[(table["dataset"] == name) & (table["weights"] == "selected")]
        assert set(own["method"]) == set(method_names(done))
        assert set(own.loc[own["budget"] == "all", "method"]) == {"random"}, "the upper bound"
        for _, run in own.groupby(["method", "budget"]):
            assert set(run["subject"]) == set(card.splits.test)
            assert set(run["structure"]) == set(card.structures.values())
    dice = table[table["metric"] == "dice"]
    without = dice[~np.isfinite(dice["value"])]
    assert set(zip(without["volume"], without["structure"], strict=True)) == {("prostate_32", "transition zone")}
    assert dice["value"].dropna().between(0, 1).all()


@slow
def test_snakemake_takes_what_is_there_and_makes_the_rest(done: Done) -> None:
    assert f"{len(done.plan.jobs) - 7} of {len(done.plan.jobs)} results are there, 7 to make" in done.ended
    for name in done.cards:
        assert f"done: scores {name} {LEFT} n1 r1" in done.ended
    assert "Report: results/cohorts/report/index.html" in done.ended
    assert all((done.tree / record).is_file() for record in done.plan.jobs)


@slow
def test_the_page_names_every_row_and_data_set(done: Done) -> None:
    folder = done.tree / "results/cohorts"
    main = pd.read_csv(folder / "tables/main.csv", dtype=str)
    of = {name: list(main.loc[main["dataset"] == name, "method"]) for name in done.cards}
    for name, methods in of.items():
        assert methods[: len(method_names(done))] == method_names(done), name
        assert len(methods) == len(method_names(done)) + 1, "and the upper bound"
    page = (folder / "report/index.html").read_text(encoding="utf-8")
    assert page.rstrip().endswith("</html>")
    text = (folder / "tables/main.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    labels = set(rows) - {"Method", ":---"}
    assert len(labels) == len(method_names(done)) + 1
    for label in labels:
        assert page.count(label) >= len(done.cards), label
    for name, card in done.cards.items():
        assert escape(card.title) in page
        assert f'id="{name}-main"' in page
        about = (folder / f"report/data-{name}.html").read_text(encoding="utf-8")
        assert all(escape(structure) in about for structure in card.structures.values())


# ---------------------------------------------------------------- what the layouts must not be


def harm_acdc(root: Path) -> None:
    move(root, "patient090_frame11.nii.gz", "patient090_frame01.nii.gz")
    one(root / "training/patient007", "Info.cfg").unlink()


def harm_prostate(root: Path) -> None:
    shutil.copy(one(root, "prostate_03.nii.gz"), root / "imagesTr")
    pack(root / "labelsTr/labels.zip")


def harm_mmwhs(root: Path) -> None:
    revalue(one(root, "mr_train_1010_label.nii.gz"), 421, 422)
    move(root, "mr_train_1003_label.nii.gz", "mr_train_1103_label.nii.gz")


@pytest.mark.parametrize(
    ("name", "write", "harm", "words"),
    [
        ("acdc", write_acdc, harm_acdc, ["patient090_frame11.nii.gz: expected", "patient007: expected Info.cfg"]),
        (
            "prostate",
            write_prostate,
            harm_prostate,
            ["imagesTr/prostate_03.nii.gz: expected", "labelsTr/labels.zip: expected"],
        ),
        ("mmwhs", write_mmwhs, harm_mmwhs, ["mr_train_1010_label.nii.gz: expected", "mr_train_1003_label.nii.gz: expected"]),
    ],
)
def test_what_is_not_the_layout_is_named(tmp_path: Path, name: str, write: Writer, harm: Writer, words: list[str]) -> None:
    """A frame under another name and no Info.cfg; an image that is not listed and an archive among labels; 422 and a slip."""
    write(tmp_path)
    harm(tmp_path)
    problems = "\n".join(map(str, verify(load_card(REPOSITORY / f"config/datasets/{name}.yaml"), tmp_path).problems))
    assert [word for word in words if word not in problems] == [], problems


def one(root: Path, name: str) -> Path:
    """The one file of a name."""
    (path,) = root.rglob(name)
    return path


def move(root: Path, name: str, to: str) -> None:
    """Another name for a file."""
    one(root, name).rename(one(root, name).with_name(to))


def revalue(path: Path, value: int, by: int) -> None:
    """Another value for some voxels of a label."""
    image = nib.load(path)
    voxels = np.asanyarray(image.dataobj).copy()
    voxels[voxels == value] = by
    nib.save(nib.Nifti1Image(voxels, image.affine), path)
