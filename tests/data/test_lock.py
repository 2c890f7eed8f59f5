"""The lock file: what the identity of a data set is made of, and what it is compared with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nifti_layouts import image_voxels, label_voxels, make_card, save, write_acdc, write_list, write_msd

from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.lock.file import Lock, check_subjects, facts_of, how_read, locked, read_lock, write_lock
from glocalseg.data.acquire.verify import VerifyError, accept, verify
from glocalseg.data.cards.card import Card

CASES = ["case_01", "case_02", "case_03"]
IMAGE, LABEL = "imagesTr/case_02.nii.gz", "labelsTr/case_02.nii.gz"
AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_msd(tmp_path / "data", CASES)
    return tmp_path / "data"


def lock_of(card: Card, root: Path) -> Lock:
    """What a first verification would write down."""
    found = verify(card, root)
    assert found.problems == []
    return Lock(how_read(card.reading), found.cases)


def identity(root: Path, **card: Any) -> str:
    return lock_of(make_card(**card), root).identity


# ---------------------------------------------------------------- identity


def _unpacked(root: Path) -> None:
    """Files that are not compressed, in a list of another form, with leftovers beside them."""
    for path in [*root.rglob("case*.nii.gz")]:
        voxels = image_voxels(int(path.name[5:7]) - 1) if path.parent.name == "imagesTr" else label_voxels()
        save(path.with_name(path.name.removesuffix(".gz")), voxels)
        path.unlink()
    pairs = [{"label": f"labelsTr/{n}.nii", "image": f"imagesTr/{n}.nii"} for n in reversed(CASES)]
    about = {"name": "The same", "training": pairs, "test": [], "description": "another list"}
    (root / "dataset.json").write_text(json.dumps(about, indent=4), encoding="utf-8")
    (root / "readme.txt").write_text("hello", encoding="utf-8")


def _as_float(root: Path) -> None:
    save(root / LABEL, label_voxels(dtype=np.float64))


def _unlabelled_ones(root: Path) -> None:
    save(root / "imagesTs/case_09.nii.gz", image_voxels(9))
    write_list(root, CASES, test=["./imagesTs/case_09.nii.gz"])


@pytest.mark.parametrize("wrap", [_unpacked, _as_float, _unlabelled_ones])
def test_another_wrapping_of_the_same_cases_is_the_same_data(root: Path, wrap: Callable[[Path], None]) -> None:
    before = identity(root)
    wrap(root)
    assert identity(root) == before


def test_another_folder_and_layout_is_the_same_data(root: Path, tmp_path: Path) -> None:
    before = identity(root)
    (tmp_path / "elsewhere").mkdir()
    for source, name in (("imagesTr", "scans"), ("labelsTr", "masks")):
        shutil.copytree(root / source, tmp_path / "elsewhere" / name)
    assert identity(tmp_path / "elsewhere", reader={"kind": "folders", "images": "scans", "labels": "masks"}) == before


def _one_voxel(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        voxels = image_voxels(1) if name == IMAGE else label_voxels()
        voxels[0, 0, 0] += 1
        save(root / name, voxels)

    return change


def _moved(root: Path) -> None:
    affine = AFFINE.copy()
    affine[2, 3] = 0.05
    for name, voxels in ((IMAGE, image_voxels(1)), (LABEL, label_voxels())):
        save(root / name, voxels, affine)


@pytest.mark.parametrize("change", [_one_voxel(IMAGE), _one_voxel(LABEL), _moved])
def test_voxels_labels_and_geometry_are_the_identity(root: Path, change: Callable[[Path], None]) -> None:
    before = identity(root)
    change(root)
    assert identity(root) != before


def test_whom_a_volume_shows_is_the_identity(root: Path) -> None:
    names = "case_01\ta\ncase_02\tb\ncase_03\tc\n"
    table: dict[str, Any] = {"subject": {"table": "subjects.tsv"}}
    (root / "subjects.tsv").write_text(names, encoding="utf-8")
    one = identity(root, **table)
    (root / "subjects.tsv").write_text(f"# of the clinic\nvolume\tsubject\tside\n{names}", encoding="utf-8")
    assert identity(root, **table) == one
    (root / "subjects.tsv").write_text(names.replace("01\ta\ncase_02\tb", "01\tb\ncase_02\ta"), encoding="utf-8")
    assert identity(root, **table) != one
    assert identity(root, subject={"card_table": "beside.tsv", "rows": dict(zip(CASES, "abc", strict=True))}) == one
    assert identity(root) != one


def test_the_channel_that_is_used_is_the_identity(tmp_path: Path) -> None:
    write_msd(tmp_path, CASES, channels=2)
    assert identity(tmp_path, channel=0) != identity(tmp_path, channel=1)


def test_phases_and_the_list_of_frames_are_the_identity(tmp_path: Path) -> None:
    write_acdc(tmp_path, {f"patient00{k}": (1, 12) for k in range(1, 5)})
    card: dict[str, Any] = {"subjects": 4, "subject": {"pattern": r"^(patient\d+)"}}
    ed = identity(tmp_path, reader="acdc", **card)
    assert identity(tmp_path, reader={"kind": "acdc", "phases": ["ES"]}, **card) != ed
    info = tmp_path / "training/patient001/Info.cfg"
    info.write_text(info.read_text(encoding="utf-8").replace("ED: 1\nES: 12", "ED: 12\nES: 1"), encoding="utf-8")
    assert identity(tmp_path, reader="acdc", **card) != ed


def test_a_label_more_is_other_data(root: Path) -> None:
    every = identity(root, labels="some")
    assert identity(root, labels="all") == every  # what is said of labels is not what they are
    (root / LABEL).unlink()
    write_list(root, ["case_01", "case_03"], test=[f"./{IMAGE}"])
    assert identity(root, labels="some") != every


# ---------------------------------------------------------------- the file


def test_a_lock_file_comes_back_as_it_was_and_has_a_case_a_line(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "tiny.lock.json"
    names = {"case_01": "Jürgen", "case_02": "Ö", "case_03": "山田"}
    lock = lock_of(make_card(subject={"card_table": "t.tsv", "rows": names}), root)
    write_lock(path, lock)
    assert read_lock(path) == lock
    text = path.read_text(encoding="utf-8")
    assert "山田" in text
    assert sum(line.startswith('  "case_') for line in text.splitlines()) == 3
    assert lock.reading["subject"] == {"card_table": "t.tsv"}  # the rows are its subjects


def test_it_is_written_once_and_then_compared(root: Path, tmp_path: Path) -> None:
    card, lock, record = make_card(), tmp_path / "tiny.lock.json", tmp_path / "verified.json"
    accept(verify(card, root, lock=lock), record=record, lock=lock, code="x")
    first = lock.read_bytes()
    accept(verify(card, root, lock=lock), record=record, lock=lock, code="x")
    assert lock.read_bytes() == first

    save(root / IMAGE, image_voxels(77))
    (problem,) = verify(card, root, lock=lock).problems
    assert problem.file == str(root / IMAGE)
    assert problem.expected == f"the contents of tiny.lock.json (if the data is meant to have changed: delete {lock})"

    write_msd(root, [*CASES[:2], "case_04"])
    for kind in ("imagesTr", "labelsTr"):
        (root / kind / "case_03.nii.gz").unlink()
    found = verify(card, root, lock=lock)
    assert {p.file for p in found.problems} == {"case_03", str(root / "imagesTr/case_04.nii.gz")}
    with pytest.raises(VerifyError):
        accept(found, record=record, lock=lock, code="x")
    assert lock.read_bytes() == first


def test_data_that_is_read_otherwise_is_compared_with_nothing_and_gets_a_lock_file_of_its_own(tmp_path: Path) -> None:
    lock, record = tmp_path / "tiny.lock.json", tmp_path / "verified.json"
    write_msd(tmp_path / "data", CASES, channels=2)
    one, other = make_card(), make_card(channel=1)
    accept(verify(one, tmp_path / "data", lock=lock), record=record, lock=lock, code="x")
    assert locked(lock, one.reading) is not None
    assert locked(lock, other.reading) is None
    accept(verify(other, tmp_path / "data", lock=lock), record=record, lock=lock, code="x")
    assert locked(lock, one.reading) is None
    assert locked(lock, other.reading) is not None


def test_what_only_says_that_files_are_unused_reads_nothing_otherwise(root: Path, tmp_path: Path) -> None:
    write_lock(tmp_path / "tiny.lock.json", lock_of(make_card(), root))
    assert locked(tmp_path / "tiny.lock.json", make_card(ignore=["*.txt"]).reading) is not None


@pytest.mark.parametrize(
    "text", ["[", "{}", '{"reading": {}, "cases": {"a": {}}}', '{"reading": {}, "cases": 3}', "[" * 99999]
)
def test_a_broken_lock_file_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "tiny.lock.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"tiny\.lock\.json: expected JSON with 'reading' and 'cases'") as caught:
        read_lock(tmp_path / "tiny.lock.json")
    assert len(str(caught.value).splitlines()) == 1


def test_there_is_none() -> None:
    assert read_lock(Path("nowhere.lock.json")) is None


def test_a_plan_knows_slices_and_structures_from_it(root: Path) -> None:
    card = make_card(structures={1: "one", 2: "both"}, label_values={1: 1, 2: 2, 3: 2}, slice_axis="A")
    save(root / LABEL, label_voxels((1, 2, 3)))
    facts = facts_of(lock_of(card, root).cases, card.preparation)
    assert facts["slices"].tolist() == [5, 5, 5]  # the second axis of (6, 5, 4), which goes to A
    assert facts["voxels_1"].tolist() == [4, 4, 4]
    assert facts["voxels_2"].tolist() == [4, 8, 4]


def test_a_table_beside_the_card_is_compared_without_any_data(root: Path) -> None:
    lock = lock_of(make_card(), root)
    same = dict(zip(CASES, CASES, strict=True))
    assert check_subjects(lock, same, "x") == check_subjects(lock, {}, "x") == []
    (problem,) = check_subjects(lock, {**same, "case_02": "case_01"}, "x")
    assert str(problem) == "case_02: expected subject 'case_02', as in x, found 'case_01'"
