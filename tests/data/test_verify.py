from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from nifti_layouts import SHAPE, image_voxels, label_voxels, make_card, save, write_acdc, write_msd

from glocalseg.config.model import ConfigError
from glocalseg.data.acquire.fetch import fetch
from glocalseg.data.acquire.lock import check_tables
from glocalseg.data.acquire.sources.base import UNVERIFIED
from glocalseg.data.acquire.verify import VerifyError, require_unchanged, verify, verify_or_raise
from glocalseg.data.card import Card
from glocalseg.records.sealed import CorruptedError

CASES = ["case_01", "case_02", "case_03"]
IMAGE, LABEL = "imagesTr/case_02.nii.gz", "labelsTr/case_02.nii.gz"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_msd(tmp_path / "data", CASES)
    return tmp_path / "data"


def test_sound_data_has_no_problem(root: Path) -> None:
    assert verify(make_card(), root) == []


def _with(value: float) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        voxels = image_voxels(1)
        voxels[0, 0, 0] = value
        save(root / IMAGE, voxels)

    return change


def _truncate(name: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        whole = (root / name).read_bytes()
        (root / name).write_bytes(whole[: len(whole) // 2])

    return change


def _flip_a_byte(root: Path) -> None:
    """A gzip stream whose checksum does not fit its content."""
    whole = bytearray((root / IMAGE).read_bytes())
    whole[-6] ^= 0xFF
    (root / IMAGE).write_bytes(bytes(whole))


def _shift(root: Path) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = 0.2
    save(root / LABEL, label_voxels(), affine)


def _flat_affine(root: Path) -> None:
    """Headers in which the third axis has no direction; written by hand, because nibabel refuses to."""
    for name, voxels in ((IMAGE, image_voxels(1)), (LABEL, label_voxels())):
        image = nib.Nifti1Image(voxels, np.eye(4))
        image.header["sform_code"] = 1
        image.header["srow_z"] = 0
        image.header["vox_offset"] = 352
        plain = image.header.binaryblock + b"\0\0\0\0" + voxels.tobytes(order="F")
        (root / name).write_bytes(gzip.compress(plain))


@pytest.mark.parametrize(
    ("break_it", "file", "expected", "found"),
    [
        (lambda r: (r / IMAGE).unlink(), IMAGE, "a NIfTI file", "no such file"),
        (lambda r: (r / LABEL).unlink(), LABEL, "a NIfTI file", "no such file"),
        (lambda r: (r / LABEL).write_bytes(gzip.compress(b"no header" * 99)), LABEL, "readable NIfTI", "Error"),
        (lambda r: (r / IMAGE).write_bytes(b"<html>Sign in</html>"), IMAGE, "a gzip file", "Not a gzipped file"),
        (_truncate(IMAGE), IMAGE, "a gzip file", "EOFError"),
        (_truncate(LABEL), LABEL, "a gzip file", "EOFError"),
        (_flip_a_byte, IMAGE, "a gzip file", "CRC"),
        (lambda r: save(r / LABEL, np.zeros((6, 5, 3), np.uint8)), LABEL, "shape (6, 5, 4)", "(6, 5, 3)"),
        (lambda r: save(r / LABEL, np.zeros((*SHAPE, 2), np.uint8)), LABEL, "three dimensions", "(6, 5, 4, 2)"),
        (_shift, LABEL, "the image's affine", "0.2 mm away"),
        (_flat_affine, IMAGE, "can be inverted", "0.0"),
        (lambda r: save(r / LABEL, label_voxels((1, 7))), LABEL, "label values of [0, 1, 2]", "7"),
        (lambda r: save(r / LABEL, label_voxels((1, -1), np.int16)), LABEL, "label values of [0, 1, 2]", "-1"),
        (lambda r: save(r / LABEL, label_voxels((1, 1.5), np.float32)), LABEL, "whole numbers", "1.5"),
        (lambda r: save(r / LABEL, label_voxels((1, np.nan), np.float32)), LABEL, "whole numbers", "nan"),
        (_with(np.nan), IMAGE, "finite voxels", "1 of 120"),
        (_with(np.inf), IMAGE, "finite voxels", "1 of 120"),
        (lambda r: save(r / IMAGE, np.full(SHAPE, 3, np.float32)), IMAGE, "not constant", "3 everywhere"),
        (lambda r: save(r / IMAGE, image_voxels(0)), IMAGE, "an image of its own", "case_01"),
    ],
)  # fmt: skip
def test_each_fault_is_one_problem(
    root: Path, break_it: Callable[[Path], Any], file: str, expected: str, found: str
) -> None:
    break_it(root)
    (problem,) = verify(make_card(), root)
    assert problem.file == str(root / file)
    assert expected in problem.expected
    assert found in problem.found


def test_all_problems_are_listed_in_one_go(root: Path) -> None:
    _with(np.nan)(root)
    save(root / "labelsTr/case_01.nii.gz", label_voxels((1, 9)))
    save(root / "imagesTr/unknown.nii.gz", image_voxels(8))
    with pytest.raises(VerifyError) as caught:
        verify_or_raise(make_card(subjects=4), root, record=root / "verified.json")
    said = str(caught.value)
    for part in ("finite voxels", "found 9", "dataset.json lists", "name that matches", "4 subjects", "no such file"):
        assert part in said
    assert "tiny: 6 problems" in said
    assert not (root / "verified.json").exists()


def test_the_traits_of_hippocampus_are_fine(root: Path) -> None:
    """Scales that differ by a million, float labels that are whole, two volumes of one subject."""
    save(root / "imagesTr/case_01.nii.gz", image_voxels(0) * 1e6)
    save(root / "labelsTr/case_01.nii.gz", label_voxels((1, 2), np.float32))
    (root / "subjects.tsv").write_text("volume\tsubject\ncase_01\ta\ncase_02\ta\ncase_03\tb\n", encoding="utf-8")
    assert verify(make_card(subject={"table": "subjects.tsv"}, subjects=3), root)[0].found == "2"
    rule = {"kind": "rule", "test": 1, "validation": 1, "seed": 0}
    assert verify(make_card(subject={"pattern": r"^(case_\d)"}, subjects=3, splits=rule), root)[0].found == "1"
    write_msd(root, [*CASES, "case_04"])
    (root / "subjects.tsv").write_text("volume\tsubject\ncase_01\ta\ncase_02\ta\ncase_03\tb\ncase_04\tc\n", encoding="utf-8")
    assert verify(make_card(subject={"table": "subjects.tsv"}, subjects=3), root) == []


def test_a_label_affine_within_a_tenth_of_a_voxel_is_fine(root: Path) -> None:
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    affine[0, 3] = 0.05
    save(root / LABEL, label_voxels(), affine)
    assert verify(make_card(), root) == []


def test_the_same_voxels_under_another_scaling_are_a_duplicate(root: Path) -> None:
    whole = np.arange(120, dtype=np.int16).reshape(SHAPE)
    save(root / "imagesTr/case_01.nii.gz", whole)
    save(root / IMAGE, whole.astype(np.float32))
    assert [p.expected for p in verify(make_card(), root)] == ["an image of its own"]


def test_split_lists_name_only_subjects_that_are_there(root: Path) -> None:
    draw = {"train": ["case_01"], "validation": ["case_02"]}
    lists = {"kind": "lists", "pretrain": ["case_01"], "test": ["case_33"], "budgets": {1: [draw]}, "all": draw}
    (problem,) = verify(make_card(splits=lists), root)
    assert problem.found == "none of case_33"


def test_processes_do_not_change_the_result(root: Path) -> None:
    _with(np.nan)(root)
    save(root / "labelsTr/case_03.nii.gz", label_voxels((1, 9)))
    assert verify(make_card(), root, workers=2) == verify(make_card(), root) != []


def test_wrong_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    write_acdc(tmp_path, {"patient001": (1, 12)})
    said = [str(p) for p in verify(make_card(), tmp_path)]
    assert any("dataset.json: expected the decathlon's list" in s for s in said)


def test_the_record_names_the_volumes(root: Path, tmp_path: Path) -> None:
    record = tmp_path / "raw/verified.json"
    verify_or_raise(make_card(), root, record=record)
    content = json.loads(record.read_text(encoding="utf-8"))
    assert content == {"dataset": "tiny", "subjects": 3, "volumes": CASES, "files": {}}


def test_the_lock_file_is_written_once_and_then_compared(root: Path, tmp_path: Path) -> None:
    lock = tmp_path / "tiny.lock.json"
    verify_or_raise(make_card(), root, lock=lock)
    first = lock.read_bytes()
    pairs = [f"{kind}/{n}.nii.gz" for kind in ("imagesTr", "labelsTr") for n in CASES]
    assert sorted(json.loads(first)) == sorted([*pairs, "dataset.json"])
    verify_or_raise(make_card(), root, lock=lock)
    assert lock.read_bytes() == first

    save(root / IMAGE, image_voxels(77))
    with pytest.raises(VerifyError, match=r"imagesTr/case_02\.nii\.gz: expected sha256 .*tiny\.lock\.json") as caught:
        verify_or_raise(make_card(), root, lock=lock)
    assert len(caught.value.problems) == 1
    assert lock.read_bytes() == first

    write_msd(root, [*CASES[:2], "case_04"])
    for kind in ("imagesTr", "labelsTr"):
        (root / kind / "case_03.nii.gz").unlink()
    with pytest.raises(VerifyError) as caught:
        verify_or_raise(make_card(), root, lock=lock)
    changed = {f"{k}/case_0{n}.nii.gz" for k in ("imagesTr", "labelsTr") for n in (3, 4)}
    assert {p.file for p in caught.value.problems} == {*changed, "dataset.json"}


def test_bad_data_leaves_no_lock_file(root: Path, tmp_path: Path) -> None:
    _with(np.nan)(root)
    with pytest.raises(VerifyError):
        verify_or_raise(make_card(), root, lock=tmp_path / "tiny.lock.json")
    assert not (tmp_path / "tiny.lock.json").exists()


def test_an_archive_needs_no_lock_file(root: Path, tmp_path: Path) -> None:
    source = {"kind": "archive", "file": "a.tar", "md5": "0" * 32}
    verify_or_raise(make_card(source=source), root, lock=tmp_path / "tiny.lock.json")
    assert not (tmp_path / "tiny.lock.json").exists()


def test_a_broken_lock_file_is_a_problem(root: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.lock.json").write_text("[", encoding="utf-8")
    with pytest.raises(VerifyError, match="JSON that maps files"):
        verify_or_raise(make_card(), root, lock=tmp_path / "tiny.lock.json")


def test_data_that_changed_after_it_was_verified_is_refused(root: Path, tmp_path: Path) -> None:
    raw, lock = tmp_path / "raw", tmp_path / "tiny.lock.json"
    card = make_card(source={"kind": "folder", "path": str(root)})
    with pytest.raises(CorruptedError, match=r"verified\.json"):
        require_unchanged(card, root, raw, lock=lock)
    fetch(card, raw, incoming=tmp_path / "incoming")
    verify_or_raise(card, root, record=raw / "verified.json", lock=lock)
    require_unchanged(card, root, raw, lock=lock)
    save(root / IMAGE, image_voxels(77))
    with pytest.raises(VerifyError, match=r"imagesTr/case_02\.nii\.gz: expected sha256"):
        require_unchanged(card, root, raw, lock=lock)


def _with_table(root: Path) -> Card:
    (root / "subjects.tsv").write_text("case_01\ta\ncase_02\tb\ncase_03\tc\n", encoding="utf-8")
    return make_card(source={"kind": "folder", "path": str(root)}, subject={"table": "subjects.tsv"})


def test_a_corrected_table_of_subjects_is_other_data(root: Path, tmp_path: Path) -> None:
    card, lock = _with_table(root), tmp_path / "tiny.lock.json"
    assert card.source.identity(lock) == UNVERIFIED
    check_tables(card, root, lock)  # not verified yet: nothing to compare with
    verify_or_raise(card, root, lock=lock)
    assert "subjects.tsv" in json.loads(lock.read_text(encoding="utf-8"))
    check_tables(card, root, lock)
    before = card.source.identity(lock)
    (root / "subjects.tsv").write_text("case_02\ta\ncase_01\tb\ncase_03\tc\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"subjects\.tsv: expected sha256 .* of tiny\.lock\.json, found .*delete"):
        check_tables(card, root, lock)
    with pytest.raises(VerifyError, match=r"subjects\.tsv: expected sha256"):
        verify_or_raise(card, root, lock=lock)
    lock.unlink()
    verify_or_raise(card, root, lock=lock)
    assert card.source.identity(lock) != before


def test_tables_are_compared_only_where_they_are_and_a_lock_file_counts(root: Path, tmp_path: Path) -> None:
    card, lock = _with_table(root), tmp_path / "tiny.lock.json"
    verify_or_raise(card, root, lock=lock)
    check_tables(card, tmp_path / "elsewhere", lock)  # a machine that only has the results
    (root / "dataset.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"dataset\.json: expected sha256"):
        check_tables(card, root, lock)
    archive = make_card(source={"kind": "archive", "file": "a.tar", "md5": "0" * 32})
    check_tables(archive, root, lock)
    lock.write_text("[", encoding="utf-8")
    with pytest.raises(ConfigError, match="JSON that maps files"):
        check_tables(card, root, lock)
